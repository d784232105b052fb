/** What a client keeps of its one-shot appends. What they do is in client.test.ts. */
import { expect, test } from 'vitest';
import { utf8 } from '../../src/client/codec.ts';
import { scene } from './support/setup.ts';

test('hidden producers are remembered for a thousand partitions, whatever became of their topics', async () => {
  const { world, cluster, client } = await scene();
  const names = Array.from({ length: 1_001 }, (_, at) => `t${at}`);
  for (const name of names) cluster.createTopic(name);
  const producerOf = async (name: string): Promise<string | undefined> => {
    cluster.received.length = 0;
    await world.run(client.topic(name, utf8).append({ value: 'a' }));
    const append = cluster.received.find(({ frame }) => frame.message.kind === 'append')?.frame.message;
    return append?.kind === 'append' ? append.producer?.id : undefined;
  };
  const [first, second] = [await producerOf('t0'), await producerOf('t1')];
  for (let at = 2; at < 1_000; at += 100) {
    const some = names.slice(at, Math.min(at + 100, 1_000));
    await world.run(Promise.all(some.map((name) => client.topic(name, utf8).append({ value: 'a' }))));
  }
  expect(await producerOf('t0')).toBe(first);
  await producerOf('t1000');
  expect(await producerOf('t0')).toBe(first);
  expect(await producerOf('t1')).not.toBe(second);
});
