/**
 * A topic is deleted while it is written and read: everybody is told, soon, and nothing is said to be done that was
 * not.
 */
import { afterEach, expect, test } from 'vitest';
import { type Ack, connect, LogError, utf8 } from '../../src/client/index.ts';
import { within } from '../support/eventually.ts';
import { LiveCluster } from './support/live-cluster.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
}, 30_000);

/** Far below the time an append may take: nobody waits for a deadline to learn of a deletion. */
const SOON_MS = 4_000;

test('records on their way to a topic that is deleted all learn their fate, and its readers too', async () => {
  const cluster = await LiveCluster.start({ nodes: ['n1', 'n2', 'n3'], storage: 'disk' });
  closers.push(() => cluster.stop());
  const client = await connect(cluster.urls);
  closers.push(() => client.close());
  // Several rounds: what is in flight when the topic goes differs from one to the next.
  for (let round = 0; round < 4; round++) {
    const name = `topic-${round}`;
    await client.admin.createTopic({ name, partitions: 3 });
    const topic = client.topic(name, utf8);
    const seen = new Set<string>();
    const reading = (async () => {
      for await (const { partition, offset } of topic.subscribe()) seen.add(`${partition}/${offset}`);
    })().catch((error: unknown) => error);
    const producer = topic.producer({ maxBatchRecords: 5 });
    const sends = Array.from({ length: 600 }, (_, at) => producer.send({ value: `${at}`, key: `${at % 7}` }));
    const fates = Promise.allSettled(sends);
    await sends[100];
    await client.admin.deleteTopic(name);
    const settled = await within(fates, { what: 'the fate of every record', timeoutMs: SOON_MS });
    const acked = settled.flatMap((fate) => (fate.status === 'fulfilled' ? [fate.value as Ack] : []));
    const failed = settled.flatMap((fate) => (fate.status === 'rejected' ? [fate.reason as unknown] : []));
    expect(acked.length).toBeGreaterThan(0);
    expect(new Set(acked.map(({ partition, offset }) => `${partition}/${offset}`)).size).toBe(acked.length);
    for (const error of failed) expect(LogError.is(error) && error.code).toBe('TOPIC_NOT_FOUND');
    expect(await within(reading, { what: 'the reader to be told', timeoutMs: SOON_MS })).toMatchObject({
      code: 'TOPIC_NOT_FOUND',
    });
    // Whatever was read had its offset; a record that surely was not appended was not read under one.
    expect(seen.size).toBeLessThanOrEqual(settled.length - failed.filter((error) => isNone(error)).length);
    await producer.close().catch(() => undefined);
  }
}, 60_000);

function isNone(error: unknown): boolean {
  return LogError.is(error) && error.outcome === 'none';
}
