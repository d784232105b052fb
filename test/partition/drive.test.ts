import { describe, expect, test } from 'vitest';
import { UnsupportedEntry } from '../../src/partition/control.ts';
import { Drive, type DriveParts } from '../../src/partition/drive.ts';
import { PendingEntries } from '../../src/partition/pending-entries.ts';
import type { HardState, Message, Ready } from '../../src/raft/index.ts';
import { EMPTY_CHAIN, type LogEntry } from '../../storage/index.ts';
import { entries } from './support/entries.ts';

const NOTHING: Ready = {
  hardState: undefined,
  truncateFrom: undefined,
  append: undefined,
  own: [],
  membership: undefined,
  install: undefined,
  messages: [],
  messagesAfterHardState: [],
  sends: [],
  snapshotsTo: [],
  commit: undefined,
  status: undefined,
  lostAcks: [],
};

function message(kind: 'vote' | 'heartbeat-reply', term = 2): Message {
  return kind === 'vote'
    ? { kind, from: 'n1', to: 'n2', term, last: { term: 1, index: 1 }, isTransfer: false }
    : { kind, from: 'n1', to: 'n2', term, round: 1 };
}

interface Bench {
  readonly drive: Drive;
  /** Everything that was done, in order. */
  readonly done: string[];
  readonly readies: Ready[];
  readonly pending: PendingEntries;
  /** Ends the oldest save of a hard state. */
  saved(): Promise<void>;
  failSave(): Promise<void>;
  apply: (index: number) => unknown;
  role: string;
  firstIndexOfTerm: number | undefined;
}

function bench(): Bench {
  const done: string[] = [];
  const saves: { resolve: () => void; reject: (error: Error) => void }[] = [];
  const pending = new PendingEntries();
  const readies: Ready[] = [];
  const state = {
    appliedIndex: 0,
    producers: { appended: () => undefined, truncated: () => done.push('overlay rebuilt') },
    apply: ({ index }: { index: number }) => {
      const result = made.apply(index);
      state.appliedIndex = index;
      done.push(`applied ${index}`);
      return result;
    },
  };
  const made: Bench = {
    done,
    readies,
    pending,
    apply: () => undefined,
    role: 'follower',
    firstIndexOfTerm: undefined,
    saved: async () => {
      saves.shift()!.resolve();
      await new Promise((resolve) => setImmediate(resolve));
    },
    failSave: async () => {
      saves.shift()!.reject(new Error('no disk'));
      await new Promise((resolve) => setImmediate(resolve));
    },
    drive: new Drive({
      raft: {
        get role() {
          return made.role;
        },
        get firstIndexOfTerm() {
          return made.firstIndexOfTerm;
        },
        term: 2,
        ready: () => readies.shift(),
        step: () => undefined,
        hardStatePersisted: ({ term }: HardState) => done.push(`term ${term} is durable`),
      },
      log: {
        groupId: 1,
        lastIndex: 9,
        lastChain: EMPTY_CHAIN,
        lastAppendTimeMs: 5,
        nextOffset: 0,
        saveHardState: ({ term }: HardState) => {
          done.push(`save term ${term}`);
          return new Promise<void>((resolve, reject) => saves.push({ resolve, reject }));
        },
        append: (list: readonly LogEntry[]) => done.push(`append ${list.map(({ header }) => header.index).join()}`),
        truncateSuffix: (from: number) => done.push(`cut ${from}`),
        setCommitHint: (index: number) => done.push(`hint ${index}`),
      },
      state,
      pending,
      cache: { append: () => done.push('cached'), truncateSuffix: (from: number) => done.push(`cache cut ${from}`) },
      sendMessage: ({ kind }: Message) => done.push(`send ${kind}`),
      sendEntries: (peer: string) => done.push(`entries to ${peer}`),
      sendSnapshot: (peer: string) => done.push(`snapshot to ${peer}`),
      install: () => done.push('install'),
      onApplied: (index: number) => done.push(`told of ${index}`),
      onTruncated: (from: number) => done.push(`told of the cut ${from}`),
      onStatus: () => done.push('status'),
      onPace: () => undefined,
      onLostAcks: () => done.push('lost acks'),
      onUnsupported: ({ message: what }: Error) => done.push(`unsupported: ${what}`),
      nowMs: () => 7,
    } as unknown as DriveParts),
  };
  return made;
}

describe('one turn', () => {
  test('keeps the order of house B4', () => {
    const made = bench();
    const list = entries({}, {}, {});
    for (const entry of list.slice(0, 1)) made.pending.push(entry);
    const [first, last] = [list[1]!.header, list[2]!.header];
    made.readies.push({
      ...NOTHING,
      hardState: { term: 2, votedFor: undefined },
      truncateFrom: 2,
      append: { first, last },
      messages: [message('heartbeat-reply')],
      messagesAfterHardState: [message('vote')],
      sends: [{ peer: 'n2', from: 1, bytesMax: 1 }],
      snapshotsTo: ['n3'],
      commit: 1,
      status: { role: 'follower', term: 2, leader: 'n2' },
      lostAcks: [{ peer: 'n2', acked: 2, lastIndex: 1 }],
    });
    made.drive.step(message('vote'), list.slice(1));
    expect(made.done).toEqual([
      'save term 2',
      'cut 2',
      'cache cut 2',
      'overlay rebuilt',
      'told of the cut 2',
      'append 2,3',
      'cached',
      'send heartbeat-reply',
      'entries to n2',
      'snapshot to n3',
      'applied 1',
      'hint 1',
      'told of 1',
      'lost acks',
      'status',
    ]);
  });

  test('producers are answered after the entries are applied, and before readers are told', () => {
    const made = bench();
    for (const entry of entries({}, {})) {
      const { index } = entry.header;
      made.pending.push(entry).waiters = [
        { applied: (_, result) => made.done.push(`answer ${index} ${result}`), lost: () => undefined },
      ];
    }
    made.apply = (index) => `result ${index}`;
    made.readies.push({ ...NOTHING, commit: 2 });
    made.drive.run();
    expect(made.done).toEqual([
      'applied 1',
      'applied 2',
      'hint 2',
      'answer 1 result 1',
      'answer 2 result 2',
      'told of 2',
    ]);
  });

  test('a leader appends its own no-op, which the core only announces', () => {
    const made = bench();
    made.role = 'leader';
    made.firstIndexOfTerm = 10;
    made.readies.push({
      ...NOTHING,
      append: { first: { term: 2, index: 10 }, last: { term: 2, index: 10 } },
      own: [{ index: 10, membership: undefined }],
    });
    made.drive.run();
    expect(made.done).toEqual(['append 10', 'cached']);
    expect(made.pending.get(10)!.header).toMatchObject({ kind: 'no-op', term: 2, recordCount: 0, appendTimeMs: 7 });
  });

  test('a leader appends the second entry of a membership change, which the core only announces', () => {
    const made = bench();
    made.role = 'leader';
    const membership = { voters: ['n1', 'n4'], votersOutgoing: [], learners: [] };
    const at = { term: 2, index: 10 };
    made.readies.push({ ...NOTHING, append: { first: at, last: at }, own: [{ index: 10, membership }] });
    made.drive.run();
    expect(made.pending.memberships()).toEqual([{ index: 10, membership }]);
  });

  test('entries that are not those the core means are a broken invariant', () => {
    const made = bench();
    const list = entries({}, {});
    made.readies.push({ ...NOTHING, append: { first: { term: 1, index: 1 }, last: { term: 1, index: 3 } } });
    expect(() => made.drive.step(message('vote'), list)).toThrow(/last entry to append/);
  });
});

describe('what depends on term and vote', () => {
  test('leaves when they are durable, not before', async () => {
    const made = bench();
    made.readies.push({
      ...NOTHING,
      hardState: { term: 2, votedFor: 'n2' },
      messagesAfterHardState: [message('vote')],
    });
    made.drive.run();
    expect(made.done).toEqual(['save term 2']);
    await made.saved();
    expect(made.done).toEqual(['save term 2', 'term 2 is durable', 'send vote']);
  });

  test('waits for the newest of several that are on their way', async () => {
    const made = bench();
    made.readies.push({
      ...NOTHING,
      hardState: { term: 2, votedFor: 'n2' },
      messagesAfterHardState: [message('vote')],
    });
    made.drive.run();
    made.readies.push({
      ...NOTHING,
      hardState: { term: 3, votedFor: 'n1' },
      messagesAfterHardState: [message('vote', 3), message('heartbeat-reply', 3)],
    });
    made.drive.run();
    await made.saved();
    expect(made.done.filter((what) => what.startsWith('send'))).toEqual([]);
    await made.saved();
    expect(made.done.slice(-3)).toEqual(['send vote', 'send vote', 'send heartbeat-reply']);
  });

  test('never leaves when they cannot be saved, and nothing else is done either', async () => {
    const made = bench();
    made.readies.push({
      ...NOTHING,
      hardState: { term: 2, votedFor: 'n2' },
      messagesAfterHardState: [message('vote')],
    });
    made.drive.run();
    await made.failSave();
    made.readies.push({ ...NOTHING, messages: [message('heartbeat-reply')] });
    made.drive.run();
    expect(made.done).toEqual(['save term 2']);
  });
});

describe('trouble', () => {
  test('a broken invariant stops the partition for good and reaches the process', () => {
    const made = bench();
    made.pending.push(entries({})[0]!);
    made.apply = () => {
      throw new Error('a defect');
    };
    made.readies.push({ ...NOTHING, commit: 1 }, { ...NOTHING, messages: [message('vote')] });
    expect(() => made.drive.run()).toThrow('a defect');
    made.drive.run();
    expect(made.done).toEqual([]);
  });

  test('an entry that this version cannot apply stops the partition by name, and nobody hears more of it', () => {
    const made = bench();
    const told: string[] = [];
    made.pending.push(entries({})[0]!).waiters = [
      { applied: () => told.push('applied'), lost: () => told.push('lost') },
    ];
    made.apply = () => {
      throw new UnsupportedEntry('a new kind');
    };
    made.readies.push({ ...NOTHING, commit: 1 }, { ...NOTHING, messages: [message('vote')] });
    made.drive.run();
    made.drive.run();
    expect([made.done, told]).toEqual([['unsupported: a new kind: written by a newer logdrive'], []]);
  });

  test('an applied entry is never cut', () => {
    const made = bench();
    made.pending.push(entries({})[0]!);
    made.readies.push({ ...NOTHING, commit: 1 });
    made.drive.run();
    made.readies.push({ ...NOTHING, truncateFrom: 1 });
    expect(() => made.drive.run()).toThrow(/cut at 1, but 1 is applied/);
  });
});
