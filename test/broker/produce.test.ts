/** The append verb by itself: what it hands to the partition, when, and whose bytes those are. */
import { expect, test } from 'vitest';
import { Admission } from '../../src/broker/admission.ts';
import { Produce, type ProduceParts } from '../../src/broker/produce.ts';
import type { AppendRequest } from '../../src/broker/verbs.ts';
import type { TimerHandle } from '../../src/env.ts';
import type { AppendOutcome } from '../../src/partition/index.ts';
import { LogError } from '../../src/protocol/index.ts';
import { batchOf } from './support/sim-cluster.ts';

const APPENDED: AppendOutcome = {
  kind: 'appended',
  baseOffset: 7,
  index: 3,
  term: 2,
  appendTimeMs: 1,
  isDuplicate: false,
};

/** What each test asks for, but for what it is about. */
const APPEND = {
  client: { inflightBytes: 0 },
  topic: { name: 't' },
  partition: 0,
  batch: batchOf(['a']),
  producer: undefined,
  redirect: false,
} satisfies AppendRequest;

/** A Produce on a node that leads the only partition, which answers in turn; timers fire at once but for deadlines. */
function produceOn(
  outcomes: AppendOutcome[],
  routes: Partial<ProduceParts['routes']> = {},
  peers: Partial<ProduceParts['peers']> = {},
): { produce: Produce; batches: Uint8Array[] } {
  const batches: Uint8Array[] = [];
  const partition = {
    append: (batch: Uint8Array) => {
      batches.push(batch);
      return Promise.resolve(outcomes.shift() as AppendOutcome);
    },
  };
  const timers = {
    after: (delayMs: number, fn: () => void): TimerHandle => {
      if (delayMs < 1_000) queueMicrotask(fn);
      return { cancel: () => {} };
    },
  };
  const route = {
    topic: { id: 1, name: 't', partitions: [] },
    partition: { groupId: 9, partition: 0, replicas: ['n1'] },
  };
  const parts = {
    nodeId: 'n1',
    batchBytesMax: 4_000_000,
    env: { clock: { monotonicMs: () => 0 }, timers },
    host: { get: () => partition, lostEntry: () => undefined },
    routes: { partition: () => route, leader: () => 'n1', waitForLeader: () => Promise.resolve(), ...routes },
    admission: new Admission(),
    peers,
  };
  return { produce: new Produce(parts as unknown as ProduceParts), batches };
}

test('a batch that may lie in the log already is offered again as a copy, also when it came as a Buffer', async () => {
  const { produce, batches } = produceOn([{ kind: 'unknown' } as AppendOutcome, APPENDED]);
  const batch = Buffer.from(batchOf(['a']));
  const result = await produce.append({ ...APPEND, batch, producer: { id: 'ab'.repeat(16), epoch: 0, sequence: 0 } });
  expect(result.baseOffset).toBe(7);
  expect(batches).toHaveLength(2);
  expect(Buffer.compare(batches[0]!, batches[1]!)).toBe(0);
  // The partition patches offsets into what it is given: the first copy may still be on its way to disk or to a peer.
  expect(batches[1]!.buffer).not.toBe(batches[0]!.buffer);
});

test('a batch that a peer refused is appended here as a copy: what left in a frame stays as it was', async () => {
  const leaders = ['n2', 'n1'];
  const sent: Uint8Array[] = [];
  const { produce, batches } = produceOn(
    [APPENDED],
    { leader: () => leaders.shift() },
    {
      call: (_to, _method, body) => {
        sent.push(body.at(-1)!);
        return Promise.reject(new LogError('NOT_LEADER'));
      },
    },
  );
  const result = await produce.append(APPEND);
  expect(result.baseOffset).toBe(7);
  expect(sent).toHaveLength(1);
  expect(batches).toHaveLength(1);
  expect(Buffer.compare(sent[0]!, batches[0]!)).toBe(0);
  expect(batches[0]!.buffer).not.toBe(sent[0]!.buffer);
});

test('a gap is told by the number that was expected and the one that came', async () => {
  const { produce } = produceOn([{ kind: 'gap', expected: 4 } as AppendOutcome]);
  const append = produce.append({ ...APPEND, producer: { id: 'ab'.repeat(16), epoch: 0, sequence: 6 } });
  await expect(append).rejects.toMatchObject({ code: 'SEQUENCE_GAP', details: { expected: 4, received: 6 } });
});

test('an append whose topic is deleted meanwhile says so at once, and that it may have been appended before', async () => {
  let asked = 0;
  const route = { topic: { id: 1, name: 't' }, partition: { groupId: 9, partition: 0, replicas: ['n1'] } };
  // First asked what the request means, then before each attempt.
  const partition = (): never => {
    if (++asked <= 2) return route as never;
    throw new LogError('TOPIC_NOT_FOUND', 'The topic with id 1 was deleted.');
  };
  const { produce, batches } = produceOn([{ kind: 'unknown' } as AppendOutcome], { partition });
  const append = produce.append({ ...APPEND, producer: { id: 'ab'.repeat(16), epoch: 0, sequence: 0 } });
  await expect(append).rejects.toMatchObject({ code: 'TOPIC_NOT_FOUND', outcome: 'unknown' });
  expect(batches).toHaveLength(1);
});

test('an append that was answered as late is not sent after that, although the clock is still before the deadline', async () => {
  let lead = (): void => undefined;
  const waitForLeader = (): Promise<void> => new Promise((resolve) => (lead = resolve));
  const leaders: (string | undefined)[] = [undefined, 'n1'];
  const { produce, batches } = produceOn([APPENDED], {
    leader: () => leaders.shift(),
    waitForLeader,
    noLeader: (what: string) => new LogError('NO_LEADER', what),
  } as Partial<ProduceParts['routes']>);
  const append = produce.append({
    ...APPEND,
    // Its timer fires at once, and the clock stands still.
    timeoutMs: 100,
  });
  await expect(append).rejects.toMatchObject({ code: 'NO_LEADER', outcome: 'none' });
  lead();
  await new Promise((resolve) => setImmediate(resolve));
  expect(batches).toHaveLength(0);
});
