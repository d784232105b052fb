/** One partition of a producer is held back by an outcome that stays unknown: what that means for the other ones. */
import { expect, test } from 'vitest';
import { utf8 } from '../../src/client/codec.ts';
import { outcomeOf, scene } from './support/setup.ts';

test('records that were taken for another partition are still sent, also those in a batch that is not full', async () => {
  const { world, cluster, client, topic } = await scene({ partitions: 2 });
  const producer = client.topic('orders', utf8).producer({ maxBatchRecords: 2, maxInFlight: 1 });
  await world.run(producer.send({ value: 'before', partition: 0 }));
  // Partition 0 never answers again. Partition 1 does, but only after that is decided.
  const held: (() => void)[] = [];
  let isHeld = true;
  cluster.incoming = (session, frame) => {
    if (frame.message.kind !== 'append') return false;
    if (frame.message.partition === 0) return true;
    if (isHeld) held.push(() => cluster.handle(session, frame));
    return isHeld;
  };
  const lost = outcomeOf(producer.send({ value: 'lost', partition: 0 }));
  // The deadline of a lane counts from its last progress: let partition 1 begin later, so that it is decided later.
  await world.settle();
  await world.advance(5_000);
  const others = ['a', 'b', 'c'].map((value) => outcomeOf(producer.send({ value, partition: 1 })));
  expect(await world.run(lost)).toBe('TIMEOUT unknown');
  isHeld = false;
  for (const arrive of held) arrive();
  expect(await world.run(Promise.all(others))).toEqual(['ok', 'ok', 'ok']);
  expect(topic.partitions[1]!.values()).toEqual(['a', 'b', 'c']);
});
