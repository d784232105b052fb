/** Clients that read: one that follows the log from its start, one that looks anywhere, one that asks for the tail. */
import { utf8 } from '../../../src/client/codec.ts';
import type { RecordBatch } from '../../../src/client/decode.ts';
import type { Subscription } from '../../../src/client/subscription.ts';
import { failure, type SimClient } from './client-world.ts';
import { sightingOf } from './records.ts';

/** Follows the log over one subscription after the other, and must never miss or repeat an offset but for a trim. */
export async function follow(it: SimClient, name: string): Promise<void> {
  const { world, random } = it;
  const topic = it.sdk.topic(name, utf8);
  const position = { offset: 0 };
  while (!world.isOver) {
    const subscription = topic.subscribe({
      from: { offset: position.offset },
      partitions: [0],
      maxBufferedBytes: random.pick([65_536, 1_000_000]),
    });
    const leavesAt = it.process.scheduler.nowMs + 500 + random.below(4_000);
    await hand(it, name, subscription, position, leavesAt);
    await subscription.close();
    await it.sleep(random.below(100));
  }
}

async function hand(
  it: SimClient,
  name: string,
  subscription: Subscription<string, string>,
  position: { offset: number },
  leavesAtMs: number,
): Promise<void> {
  const { world, random, process } = it;
  const { recorder } = world;
  const batches: AsyncIterator<RecordBatch<string, string>> = subscription.batches()[Symbol.asyncIterator]();
  // Whoever waits at the end of a log that nobody writes to is to leave in time all the same.
  const leaving = process.env.timers.after(leavesAtMs - process.scheduler.nowMs, () => void subscription.close());
  try {
    for (;;) {
      const op = recorder.begin({ kind: 'read', client: it.name, partition: name, from: 'next', level: 'any' });
      it.operates();
      try {
        const next = await batches.next();
        if (next.done === true) return;
        const { offset, nextOffset, records } = next.value;
        const seen = records.map(sightingOf);
        const tail = Math.max(nextOffset, subscription.tail.get(0) ?? 0);
        recorder.end(op, { kind: 'records', from: offset, next: nextOffset, earliest: 0, tail, records: seen });
        position.offset = nextOffset;
      } catch (error) {
        const answer = failure(error);
        recorder.end(op, answer);
        if (answer.kind === 'trimmed') position.offset = answer.earliest;
        return;
      }
      if (random.chance(0.05)) await it.sleep(random.below(300));
    }
  } finally {
    leaving.cancel();
  }
}

const LEVELS = ['any', 'linearizable', 'lease'] as const;

/** Reads anywhere in what is known to be there, at any level, and asks for the tail. Each is judged by its level. */
export async function visit(it: SimClient, name: string, paceMs: number): Promise<void> {
  const { world, random } = it;
  const { recorder } = world;
  const topic = it.sdk.topic(name, utf8);
  let highest = 0;
  /** What this client saw last, wherever it saw it. */
  let seen: { readonly token: string; readonly end: number } | undefined;
  while (!world.isOver) {
    await it.sleep(random.below(2 * paceMs));
    it.operates();
    if (random.chance(0.2)) {
      const op = recorder.begin({ kind: 'tail', client: it.name, partition: name, level: 'linearizable' });
      try {
        const { earliest, offset } = await topic.tail(0, { level: 'linearizable' });
        recorder.end(op, { kind: 'tailIs', earliest, tail: offset });
      } catch (error) {
        recorder.end(op, failure(error));
      }
      continue;
    }
    const offset = random.below(highest + 2);
    const from = random.chance(0.2) ? ('earliest' as const) : { offset };
    const asked = from === 'earliest' ? from : offset;
    const level = random.pick(seen === undefined ? LEVELS : ([...LEVELS, 'atLeast'] as const));
    const atLeast = level === 'atLeast' ? seen : undefined;
    const call = { kind: 'read', client: it.name, partition: name, from: asked, level } as const;
    const op = recorder.begin({ ...call, ...(atLeast && { atLeast: atLeast.end }) });
    try {
      const waitMs = random.below(200);
      const token = atLeast?.token;
      const read = await topic.read({
        from,
        maxBytes: 1 + random.below(4_000),
        waitMs,
        level,
        ...(token && { token }),
      });
      const records = read.records.map(sightingOf);
      const { nextOffset: next, earliest, tail, node } = read;
      const begin = records[0]?.offset ?? next;
      recorder.end(op, { kind: 'records', from: begin, next, earliest, tail, records, node });
      highest = Math.max(highest, tail);
      // Records may end before the page does.
      const end = read.records.at(-1);
      if (read.token !== undefined && end !== undefined) seen = { token: read.token, end: end.offset + 1 };
      if (read.level === 'lease' || read.level === 'atLeast') {
        const effect = `read ${read.level}`;
        world.done[effect] = (world.done[effect] ?? 0) + 1;
      }
    } catch (error) {
      recorder.end(op, failure(error));
    }
  }
}
