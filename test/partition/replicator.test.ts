import { describe, expect, test } from 'vitest';
import { decodePeerMessage } from '../../src/partition/peer-codec.ts';
import { Replicator, type ReplicatorParts } from '../../src/partition/replicator.ts';
import { CacheBudget, TailCache } from '../../src/partition/tail-cache.ts';
import type { Append, InstallSnapshot } from '../../src/raft/index.ts';
import { EMPTY_CHAIN, type LogEntry, type Snapshot, StorageError } from '../../storage/index.ts';
import { HandTimers } from '../server/support/world.ts';
import { entries } from './support/entries.ts';

const FOUR = entries({ kind: 'no-op' }, { values: ['a'] }, { values: ['b'] }, { values: ['c'] });
const SNAPSHOT: Snapshot = {
  index: 2,
  term: 1,
  nextOffset: 1,
  appendTimeMs: 1,
  chain: EMPTY_CHAIN,
  state: Buffer.from('s'),
};

interface Bench {
  readonly replicator: Replicator;
  readonly sent: { readonly to: string; readonly lane: string; readonly bytes: Uint8Array }[];
  /** What the core was told. */
  readonly told: string[];
  readonly failures: unknown[];
  readonly time: HandTimers;
  isLinkUp: boolean;
  /** The core wants the range no more. */
  isOvertaken: boolean;
  /** The term the core has for the entries by now. */
  term: number;
  /** What the log has on disk, or why it cannot be read. */
  disk: readonly LogEntry[] | Error;
  snapshot: Snapshot | undefined;
}

function bench(cached: readonly LogEntry[]): Bench {
  const cache = new TailCache(new CacheBudget(1_000_000));
  cache.append(cached);
  const time = new HandTimers();
  const made: Bench = {
    time,
    sent: [],
    told: [],
    failures: [],
    isLinkUp: true,
    isOvertaken: false,
    term: 1,
    disk: FOUR,
    snapshot: SNAPSHOT,
    replicator: new Replicator({
      groupId: 1,
      cache,
      timers: time,
      membershipOf: () => ({ voters: ['n1', 'n2'], votersOutgoing: [], learners: [] }),
      log: {
        lastIndex: 4,
        lastChain: FOUR[3]!.header.chain,
        base: { term: 1, index: 2 },
        chainBefore: async (index: number) => (index === 1 ? EMPTY_CHAIN : FOUR[index - 2]!.header.chain),
        read: async (from: number) => {
          await Promise.resolve();
          if (made.disk instanceof Error) throw made.disk;
          return made.disk.filter(({ header }) => header.index >= from);
        },
        snapshotAt: async () => made.snapshot,
      },
      raft: {
        appendFor: (to: string, from: number, last: number): Append | undefined => {
          if (made.isOvertaken) return undefined;
          const metas = Array.from({ length: last - from + 1 }, (_, at) => ({
            term: made.term,
            index: from + at,
            bytes: 0,
          }));
          return {
            kind: 'append',
            from: 'n1',
            to,
            term: 1,
            previous: { term: 1, index: from - 1 },
            commit: 1,
            entries: metas,
          };
        },
        sent: (peer: string, last: number, bytes: number) => made.told.push(`sent ${peer} ${last} ${bytes > 0}`),
        sendFailed: (peer: string) => made.told.push(`failed ${peer}`),
        snapshotFor: (to: string): InstallSnapshot | undefined => {
          if (made.isOvertaken) return undefined;
          const membership = { voters: ['n1'], votersOutgoing: [], learners: [] };
          return { kind: 'snapshot', from: 'n1', to, term: 1, snapshot: { term: 1, index: 2 }, membership, commit: 3 };
        },
        snapshotSent: (peer: string) => made.told.push(`snapshot sent ${peer}`),
      },
      transport: {
        send: (to: string, lane: string, _groupId: number, chunks: readonly Uint8Array[]) => {
          if (made.isLinkUp) made.sent.push({ to, lane, bytes: Buffer.concat(chunks) });
          return made.isLinkUp;
        },
      },
      run: () => made.told.push('run'),
      onReadFailure: (error: unknown) => made.failures.push(error),
    } as unknown as ReplicatorParts),
  };
  return made;
}

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('entries for a follower', () => {
  test('leave at once from the cache, with the chain before them', () => {
    const made = bench(FOUR);
    made.replicator.sendEntries('n2', 3, 1_000_000);
    expect(made.told).toEqual(['sent n2 4 true']);
    const { message, entries: list, previousChain } = decodePeerMessage(made.sent[0]!.bytes, 'n1', 'n2');
    expect(message).toMatchObject({ kind: 'append', previous: { index: 2 } });
    expect(list.map(({ header }) => header.index)).toEqual([3, 4]);
    expect(previousChain).toEqual(FOUR[1]!.header.chain);
    expect(made.sent[0]!.lane).toBe('bulk');
  });

  test('stay within the bytes that are asked for, with at least one', () => {
    const made = bench(FOUR);
    made.replicator.sendEntries('n2', 2, 1);
    expect(made.told).toEqual(['sent n2 2 true']);
  });

  test('come from disk when the cache lacks them, or the chain before them', async () => {
    for (const cached of [[], FOUR.slice(2)]) {
      const made = bench(cached);
      made.replicator.sendEntries('n2', 3, 1_000_000);
      expect(made.told).toEqual([]);
      await settled();
      // The core is run again: it was not in a turn of its own.
      expect(made.told).toEqual(['sent n2 4 true', 'run']);
    }
  });

  test.each([
    ['are not sent when the core wants them no more', (made: Bench) => Object.assign(made, { isOvertaken: true })],
    ['are not sent when the log was cut and grew anew meanwhile', (made: Bench) => Object.assign(made, { term: 2 })],
    ['are not called sent when the transport takes nothing', (made: Bench) => Object.assign(made, { isLinkUp: false })],
    ['are not called sent when there are none', (made: Bench) => Object.assign(made, { disk: [] })],
  ])('%s', async (_, change) => {
    const made = bench([]);
    made.replicator.sendEntries('n2', 3, 1_000_000);
    change(made);
    await settled();
    expect([made.sent, made.told]).toEqual([[], ['failed n2', 'run']]);
  });

  test.each(['TRIMMED', 'OUT_OF_RANGE', 'CLOSED'] as const)(
    'that are %s by now are asked for anew, quietly',
    async (code) => {
      const made = bench([]);
      made.disk = new StorageError(code, 'meanwhile');
      made.replicator.sendEntries('n2', 3, 1_000_000);
      await settled();
      expect([made.told, made.failures]).toEqual([['failed n2', 'run'], []]);
    },
  );

  test('that are damaged are reported, for repair', async () => {
    const made = bench([]);
    made.disk = new StorageError('CORRUPT', 'bad', { index: 3 });
    made.replicator.sendEntries('n2', 3, 1_000_000);
    await settled();
    expect([made.told, made.failures]).toEqual([['failed n2', 'run'], [made.disk]]);
  });
});

describe('a snapshot for a follower', () => {
  test('is the state just below the first stored entry', async () => {
    const made = bench([]);
    made.replicator.sendSnapshot('n2');
    await settled();
    expect(made.told).toEqual(['snapshot sent n2', 'run']);
    const { snapshot } = decodePeerMessage(made.sent[0]!.bytes, 'n1', 'n2');
    expect(snapshot).toMatchObject({ index: 2, nextOffset: 1 });
  });

  test.each([
    ['is not there', (made: Bench) => Object.assign(made, { snapshot: undefined })],
    ['is wanted no more', (made: Bench) => Object.assign(made, { isOvertaken: true })],
    ['finds no room on the link', (made: Bench) => Object.assign(made, { isLinkUp: false })],
  ])('that %s is not called sent', async (_, change) => {
    const made = bench([]);
    change(made);
    made.replicator.sendSnapshot('n2');
    await settled();
    expect(made.told).toEqual(['failed n2', 'run']);
  });
});

describe('a commit notice', () => {
  const notice = { kind: 'heartbeat', from: 'n1', to: 'n2', term: 1, commit: 1, round: 1, isNotice: true } as const;

  test.each([
    [
      'waits a moment, and is not sent when entries leave that tell as much',
      (made: Bench) => made.replicator.sendEntries('n2', 3, 1),
      ['bulk'],
    ],
    ['is sent when nothing else is', () => undefined, ['control']],
    ['is not sent by one that leads no more', (made: Bench) => made.replicator.reset(), []],
  ])('%s', (_, then, lanes) => {
    const made = bench(FOUR);
    made.replicator.sendMessage(notice);
    expect(made.sent).toEqual([]);
    then(made);
    made.time.advance(2);
    expect(made.sent.map(({ lane }) => lane)).toEqual(lanes);
  });
});

describe('messages without entries', () => {
  test('travel beside the entries, but for checks, which follow them', () => {
    const made = bench(FOUR);
    made.replicator.sendMessage({ kind: 'heartbeat', from: 'n1', to: 'n2', term: 1, commit: 1, round: 1 });
    const check: Append = {
      kind: 'append',
      from: 'n1',
      to: 'n2',
      term: 1,
      previous: { term: 1, index: 4 },
      commit: 1,
      entries: [],
    };
    made.replicator.sendMessage(check);
    expect(made.sent.map(({ lane }) => lane)).toEqual(['control', 'bulk']);
    expect(decodePeerMessage(made.sent[1]!.bytes, 'n1', 'n2').previousChain).toEqual(FOUR[3]!.header.chain);
  });
});
