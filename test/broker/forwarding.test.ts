/** Appends on their way to a leader elsewhere: what is sent again, what never is, and what the client is told. */
import { describe, expect, test } from 'vitest';
import { Admission } from '../../src/broker/admission.ts';
import { type AppendAnswer, decodeCall, encodeCall } from '../../src/broker/peer-calls.ts';
import { Produce, type ProduceParts } from '../../src/broker/produce.ts';
import type { AppendOutcome } from '../../src/partition/index.ts';
import { crc32cPortable, LogError, verifyBatch } from '../../src/protocol/index.ts';
import { batchOf } from './support/sim-cluster.ts';
import { SimTime } from './support/sim-env.ts';

const TUPLE = { id: 'ab'.repeat(16), epoch: 0, sequence: 0 };
const ANSWER: AppendAnswer = { baseOffset: 7, appendTimeMs: 1, term: 2, isDuplicate: false };
const CUT = new LogError('CONNECTION');
const DOWN = new LogError('CONNECTION', 'down', { outcome: 'none' });
const DEPOSED = new LogError('NOT_LEADER', 'deposed', { outcome: 'unknown' });

type Reply = LogError | AppendAnswer | 'silence';

interface Bench {
  readonly produce: Produce;
  readonly time: SimTime;
  readonly sent: { readonly to: string; readonly batch: Uint8Array }[];
  leader: string | undefined;
}

function bench(replies: Reply[], here: AppendOutcome[] = []): Bench {
  const time = new SimTime();
  const route = {
    topic: { id: 1, name: 't', partitions: [] },
    partition: { groupId: 9, partition: 0, replicas: ['n1', 'n2'] },
  };
  const made: Bench = {
    time,
    sent: [],
    leader: 'n2',
    produce: new Produce({
      nodeId: 'n1',
      batchBytesMax: 1_000,
      env: {
        clock: { monotonicMs: () => time.nowMs },
        timers: { after: (ms: number, fn: () => void) => time.add(ms, undefined, fn) },
      },
      host: {
        get: () => ({ role: 'leader', append: () => Promise.resolve(here.shift()!) }),
        lostEntry: () => undefined,
      },
      peers: {
        call: (to: string, _method: string, body: readonly Uint8Array[]) => {
          made.sent.push({ to, batch: decodeCall(Buffer.concat(body)).bytes });
          const reply = replies.shift() ?? 'silence';
          if (reply === 'silence') return new Promise(() => undefined);
          return reply instanceof LogError ? Promise.reject(reply) : Promise.resolve(Buffer.concat(encodeCall(reply)));
        },
      },
      routes: {
        partition: () => route,
        leader: () => made.leader,
        clientUrl: (id: string) => `ws://${id}`,
        waitForLeader: async (_groupId: number, waitMs: number) => {
          if (made.leader === undefined) await new Promise<void>((resolve) => time.add(waitMs, undefined, resolve));
        },
        unlessLedByOther: (_groupId: number, _leader: string, asked: Promise<unknown>) => asked,
        noLeader: (what: string) => new LogError('NO_LEADER', what),
      },
      admission: new Admission(),
    } as unknown as ProduceParts),
  };
  return made;
}

interface Sent {
  readonly producer?: typeof TUPLE;
  readonly redirect?: boolean;
  readonly timeoutMs?: number;
  readonly batch?: Uint8Array;
  readonly client?: { inflightBytes: number };
}

async function append(made: Bench, options: Sent = {}): Promise<unknown> {
  const { producer, redirect = false, timeoutMs, batch = batchOf(['a']), client = { inflightBytes: 0 } } = options;
  const request = { client, topic: { name: 't' }, partition: 0, batch, producer, redirect };
  let result: unknown = 'waiting';
  made.produce.append(timeoutMs === undefined ? request : { ...request, timeoutMs }).then(
    (value) => {
      result = value;
    },
    (error: unknown) => {
      result = LogError.is(error) ? `${error.code} ${error.outcome}` : error;
    },
  );
  await made.time.advance(11_000);
  expect(client.inflightBytes).toBe(0);
  return result;
}

describe('an append without a producer tuple', () => {
  test.each([
    ['the link broke', CUT, 'CONNECTION unknown'],
    ['the leader was deposed', DEPOSED, 'NOT_LEADER unknown'],
    ['the leader was silent', 'silence', 'TIMEOUT unknown'],
    ['the leader had no time left', new LogError('TIMEOUT'), 'TIMEOUT unknown'],
  ] as const)('is sent once when %s: it may be in the log', async (_, reply, told) => {
    const made = bench([reply, ANSWER]);
    expect(await append(made)).toBe(told);
    expect(made.sent).toHaveLength(1);
  });

  test.each([
    ['was never sent', DOWN],
    ['was refused by a node that does not lead', new LogError('NOT_LEADER')],
  ] as const)('that %s is sent again', async (_, reply) => {
    const made = bench([reply, ANSWER]);
    expect(await append(made)).toMatchObject({ baseOffset: 7 });
    expect(made.sent).toHaveLength(2);
  });
});

describe('an append with a producer tuple', () => {
  test('is sent again, the same bytes, until somebody knows', async () => {
    const made = bench([CUT, DEPOSED, DOWN, ANSWER]);
    expect(await append(made, { producer: TUPLE })).toMatchObject({ baseOffset: 7, recordCount: 1 });
    expect(made.sent).toHaveLength(4);
    for (const { batch } of made.sent) {
      expect(Buffer.compare(batch, made.sent[0]!.batch)).toBe(0);
      expect(verifyBatch(batch, crc32cPortable).recordCount).toBe(1);
    }
  });

  test.each([
    ['a gap', new LogError('SEQUENCE_GAP'), 'SEQUENCE_GAP unknown'],
    ['a full disk', new LogError('STORAGE_FULL'), 'STORAGE_FULL unknown'],
    ['too much in flight', new LogError('OVERLOADED'), 'OVERLOADED unknown'],
  ])('that ends in %s after an attempt nobody answered may have been done all the same', async (_, reply, told) => {
    expect(await append(bench([CUT, reply]), { producer: TUPLE })).toBe(told);
  });

  test('that ends in a gap at the first attempt was surely not done', async () => {
    expect(await append(bench([new LogError('SEQUENCE_GAP')]), { producer: TUPLE })).toBe('SEQUENCE_GAP none');
    const made = bench([DOWN, new LogError('SEQUENCE_GAP')]);
    expect(await append(made, { producer: TUPLE })).toBe('SEQUENCE_GAP none');
  });

  test('goes on here when this node takes over, with a batch of its own', async () => {
    const outcome = { ...ANSWER, kind: 'appended', index: 3 } as const;
    const made = bench([CUT], [outcome]);
    const appending = append(made, { producer: TUPLE });
    made.leader = 'n1';
    expect(await appending).toMatchObject({ baseOffset: 7 });
    expect(made.sent).toHaveLength(1);
  });
});

describe('a client that follows leaders by itself', () => {
  test('is told who leads, and nothing is sent for it', async () => {
    const made = bench([ANSWER]);
    expect(await append(made, { redirect: true })).toBe('NOT_LEADER none');
    expect(made.sent).toEqual([]);
  });
});

describe('without a leader', () => {
  test('an append is given up in time, and was surely not done', async () => {
    const made = bench([]);
    made.leader = undefined;
    expect(await append(made, { timeoutMs: 300 })).toBe('NO_LEADER none');
  });

  test('that comes late, it is done then', async () => {
    const made = bench([ANSWER]);
    made.leader = undefined;
    made.time.add(500, undefined, () => {
      made.leader = 'n2';
    });
    expect(await append(made)).toMatchObject({ baseOffset: 7 });
  });
});

describe('what is no batch', () => {
  test.each([
    ['too large', batchOf(['x'.repeat(2_000)]), 'TOO_LARGE none'],
    ['damaged', batchOf(['a']).map((byte, at) => (at === 66 ? byte ^ 1 : byte)), 'CRC none'],
    ['cut short', batchOf(['a']).subarray(0, 50), 'INVALID none'],
  ])('is refused before anything is sent: %s', async (_, batch, told) => {
    const made = bench([ANSWER]);
    expect(await append(made, { batch: new Uint8Array(batch) })).toBe(told);
    expect(made.sent).toEqual([]);
  });
});

describe('the answer to a forwarded append', () => {
  test('is given by a leader only: it is never sent on', async () => {
    const made = bench([ANSWER], [{ kind: 'not-leader' }]);
    const body = Buffer.concat(encodeCall({ groupId: 9, producer: undefined }, [batchOf(['a'])]));
    await expect(made.produce.onForwarded(body)).rejects.toMatchObject({ code: 'NOT_LEADER', outcome: 'none' });
    expect(made.sent).toEqual([]);
  });

  test('checks the bytes again: every hop does', async () => {
    const batch = batchOf(['a']);
    batch[66]! ^= 1;
    const body = Buffer.concat(encodeCall({ groupId: 9, producer: undefined }, [batch]));
    await expect(bench([]).produce.onForwarded(body)).rejects.toMatchObject({ code: 'CRC' });
  });
});
