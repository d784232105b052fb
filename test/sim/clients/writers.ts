/** Clients that append: a pipelining producer that resumes after every failure, and one that appends batch by batch. */
import { utf8 } from '../../../src/client/codec.ts';
import { failure, type SimClient, type SimTopic } from './client-world.ts';
import { keysOf, recordOf } from './records.ts';

/** Records sent and not answered, at most: more would only wait in the client. */
const UNANSWERED_MAX = 24;
const PADDINGS = [0, 1, 20, 20, 20, 100, 100, 100, 100, 400, 2_000] as const;

/** Sends records one behind the other without waiting; the SDK makes batches and keeps their order. */
export async function produce(it: SimClient, simTopic: SimTopic, paceMs: number): Promise<void> {
  const { world, random, process } = it;
  const { recorder } = world;
  const { name: topic } = simTopic;
  const producer = it.sdk.topic(topic, utf8).producer({
    maxBatchRecords: random.pick([1, 3, 10]),
    maxInFlight: 1 + random.below(5),
    lingerMs: random.pick([0, 0, 3]),
  });
  const unanswered = new Set<Promise<void>>();
  for (let order = 0; !world.isOver; ) {
    await it.sleep(random.below(2 * paceMs));
    for (let burst = 1 + random.below(4); burst > 0; burst -= 1, order += 1) {
      const id = `${process.name}.${order}`;
      const asked = { kind: 'append', client: it.name, partition: topic, values: [id], order } as const;
      const op = recorder.begin({ ...asked, ...keysOf(simTopic, [id]) });
      it.operates();
      const answered = producer.send({ ...recordOf(simTopic, id, random.pick(PADDINGS)), partition: 0 }).then(
        ({ offset, timestamp, term }) => {
          recorder.end(op, { kind: 'acked', offset: offset ?? null, time: timestamp, term });
          world.acked.set(topic, (world.acked.get(topic) ?? 0) + 1);
        },
        (error: unknown) => {
          recorder.end(op, failure(error));
          producer.resume();
        },
      );
      unanswered.add(answered);
      void answered.finally(() => unanswered.delete(answered));
    }
    while (unanswered.size > UNANSWERED_MAX) await Promise.race(unanswered);
  }
  await Promise.all(unanswered);
}

/** Appends one batch after the other, each all or nothing. */
export async function appendBatches(it: SimClient, simTopic: SimTopic, paceMs: number): Promise<void> {
  const { world, random, process } = it;
  const { recorder } = world;
  const { name } = simTopic;
  const topic = it.sdk.topic(name, utf8);
  for (let order = 0; !world.isOver; order += 1) {
    await it.sleep(random.below(2 * paceMs));
    const ids = Array.from({ length: 1 + random.below(3) }, (_, at) => `${process.name}.${order}.${at}`);
    const asked = { kind: 'append', client: it.name, partition: name, values: ids } as const;
    const op = recorder.begin({ ...asked, ...keysOf(simTopic, ids) });
    it.operates();
    try {
      const records = ids.map((id) => ({ ...recordOf(simTopic, id, random.pick(PADDINGS)), partition: 0 }));
      const { offset, timestamp, term, count } = await topic.appendBatch(records);
      recorder.end(op, { kind: 'acked', offset: offset ?? null, time: timestamp, term });
      world.acked.set(name, (world.acked.get(name) ?? 0) + count);
    } catch (error) {
      recorder.end(op, failure(error));
    }
  }
}
