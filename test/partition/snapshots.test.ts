import { afterEach, describe, expect, test } from 'vitest';
import { encodeControl } from '../../src/partition/control.ts';
import { ROWS_PER_PIECE } from '../../src/partition/producer-table.ts';
import { Snapshots } from '../../src/partition/snapshots.ts';
import { PartitionState } from '../../src/partition/state.ts';
import { type Log, type LogEntry, MemoryDisk, StorageError } from '../../storage/index.ts';
import { type EntryFields, entriesAfter, follow } from './support/entries.ts';
import { openLog } from './support/open-log.ts';
import { Replica } from './support/replica.ts';
import { encodeState, Turns } from './support/state-bytes.ts';

const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

interface Bench {
  readonly log: Log;
  readonly state: PartitionState;
  readonly snapshots: Snapshots;
  readonly turns: Turns;
  readonly failures: StorageError[];
  /** How often the list of segments was looked at. */
  looks: number;
  /** Puts entries into the log and waits until they are flushed. */
  write(...rows: readonly EntryFields[]): Promise<readonly LogEntry[]>;
  apply(list: readonly LogEntry[]): void;
}

/** A log whose sealed segments are told to the snapshots only when the test says so. */
async function bench(): Promise<Bench> {
  const { log, close } = await openLog();
  closers.push(close);
  const state = new PartitionState(undefined);
  const failures: StorageError[] = [];
  const turns = new Turns();
  let last: LogEntry | undefined;
  const counted = new Proxy(log, {
    get: (target, name) => {
      if (name === 'segments') made.looks += 1;
      const value = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const snapshots = new Snapshots({
    log: counted,
    state,
    timers: turns,
    createMachine: undefined,
    onTrimmed: () => undefined,
    onFailure: (error) => failures.push(error),
  });
  const made: Bench = {
    log,
    state,
    snapshots,
    turns,
    failures,
    looks: 0,
    write: async (...rows) => {
      const list = entriesAfter(follow(last), ...rows);
      last = list.at(-1);
      log.append(list);
      await log.flush();
      return list;
    },
    apply: (list) => {
      for (const { header, payload } of list) state.apply(header, payload);
      snapshots.applied();
    },
  };
  return made;
}

const A = 'aa'.repeat(16);
const batch = (sequence: number): EntryFields => ({
  values: ['x'.repeat(1_000)],
  producer: { id: A, epoch: 0, sequence },
});
const trim = (before: number): EntryFields => ({ kind: 'control', payload: encodeControl({ kind: 'trim', before }) });

/** The state that applying the first `count` entries gives. */
function stateAfter(list: readonly LogEntry[], count: number): Uint8Array {
  const state = new PartitionState(undefined);
  for (const { header, payload } of list.slice(0, count)) state.apply(header, payload);
  return encodeState(state);
}

describe('the snapshot at the end of a sealed segment', () => {
  test('is the state exactly there, when everything up to there is applied', async () => {
    const { log, snapshots, write, apply } = await bench();
    const list = await write(batch(0), batch(1), batch(2));
    apply(list);
    snapshots.sealed(await log.roll());
    await snapshots.settled();
    expect(log.latestSnapshot).toMatchObject({ index: 3, term: 1, nextOffset: 3, chain: list[2]!.header.chain });
    expect(Buffer.compare(log.latestSnapshot!.state, stateAfter(list, 3))).toBe(0);
  });

  test('is the same when more was applied before it could be taken', async () => {
    const { log, snapshots, write, apply } = await bench();
    const list = [...(await write(batch(0), batch(1), batch(2)))];
    const end = await log.roll();
    list.push(...(await write(batch(3), trim(2), batch(4))));
    apply(list);
    snapshots.sealed(end);
    await snapshots.settled();
    expect(log.latestSnapshot).toMatchObject({ index: 3, nextOffset: 3 });
    expect(Buffer.compare(log.latestSnapshot!.state, stateAfter(list, 3))).toBe(0);
  });

  test('is rebuilt on top of the one before it', async () => {
    const { log, snapshots, write, apply } = await bench();
    const list = [...(await write(batch(0), batch(1)))];
    apply(list);
    snapshots.sealed(await log.roll());
    await snapshots.settled();
    const more = await write(batch(2), batch(3));
    const end = await log.roll();
    const most = await write(batch(4));
    list.push(...more, ...most);
    apply([...more, ...most]);
    snapshots.sealed(end);
    await snapshots.settled();
    expect(log.latestSnapshot).toMatchObject({ index: 4 });
    expect(Buffer.compare(log.latestSnapshot!.state, stateAfter(list, 4))).toBe(0);
  });

  test('waits until what is in the segment is applied', async () => {
    const { log, snapshots, write, apply } = await bench();
    const list = await write(batch(0), batch(1), batch(2));
    apply(list.slice(0, 1));
    snapshots.sealed(await log.roll());
    apply(list.slice(1, 2));
    await snapshots.settled();
    expect(log.latestSnapshot).toBeUndefined();
    apply(list.slice(2));
    await snapshots.settled();
    expect(log.latestSnapshot).toMatchObject({ index: 3 });
  });

  test('is never taken of a segment that was cut away, and whoever waits for it hears so', async () => {
    const { log, snapshots, write, apply } = await bench();
    const list = await write(batch(0), batch(1));
    const end = await log.roll();
    snapshots.sealed(end);
    const taken = snapshots.taken(end.index);
    snapshots.truncated(2);
    await taken;
    apply(list);
    await snapshots.settled();
    expect(log.latestSnapshot).toBeUndefined();
  });
});

describe('a snapshot of many producers', () => {
  const idOf = (n: number): string => n.toString(16).padStart(32, '0');
  const ofProducer = (n: number, sequence: number): EntryFields => ({
    values: ['x'],
    producer: { id: idOf(n), epoch: 0, sequence },
  });

  test('is encoded over as many turns as its rows take, and holds nothing of what is applied meanwhile', async () => {
    const { log, state, snapshots, turns, write, apply } = await bench();
    const producers = 3 * ROWS_PER_PIECE + 1;
    const list = await write(...Array.from({ length: producers }, (_, n) => ofProducer(n, 0)));
    apply(list);
    const expected = stateAfter(list, list.length);
    const end = await log.roll();
    // The first row and one of the last piece, a new producer: each changes the live state.
    const more = await write(ofProducer(0, 1), ofProducer(producers - 1, 1), ofProducer(producers, 0));
    let applied = 0;
    turns.onTurn = () => {
      const entry = more[applied];
      applied += 1;
      if (entry !== undefined) state.apply(entry.header, entry.payload);
    };
    snapshots.sealed(end);
    await snapshots.settled();
    expect(turns.count).toBe(3);
    expect(applied).toBe(3);
    expect(log.latestSnapshot).toMatchObject({ index: producers });
    expect(Buffer.compare(log.latestSnapshot!.state, expected)).toBe(0);
    const again = (await log.snapshotAt(producers))!.state;
    expect(Buffer.compare(again, expected)).toBe(0);
  });

  test('is rebuilt in turns as well, from the one before it', async () => {
    const { log, snapshots, turns, write, apply } = await bench();
    const producers = 2 * ROWS_PER_PIECE + 1;
    const list = [...(await write(...Array.from({ length: producers }, (_, n) => ofProducer(n, 0))))];
    apply(list);
    snapshots.sealed(await log.roll());
    await snapshots.settled();
    const turnsOfEncoding = turns.count;
    list.push(...(await write(ofProducer(5, 1))));
    const end = await log.roll();
    list.push(...(await write(ofProducer(6, 1))));
    apply(list.slice(producers));
    snapshots.sealed(end);
    await snapshots.settled();
    // Decoding the one before and encoding this one.
    expect([turnsOfEncoding, turns.count]).toEqual([2, 6]);
    expect(Buffer.compare(log.latestSnapshot!.state, stateAfter(list, producers + 1))).toBe(0);
  });
});

describe('trimming', () => {
  test('removes whole segments below the log start, and the state at their end is stored first', async () => {
    const { log, snapshots, write, apply } = await bench();
    for (let i = 0; i < 4; i += 1) {
      apply(await write(batch(2 * i), batch(2 * i + 1)));
      await log.roll();
    }
    // Told of no segment: as after a restart, nothing has a snapshot yet.
    apply(await write(trim(5)));
    await snapshots.settled();
    expect([log.firstIndex, log.firstOffset]).toEqual([5, 4]);
    expect(await log.snapshotAt(4)).toMatchObject({ index: 4, nextOffset: 4 });
    expect((await log.read(5, 1))[0]!.header.baseOffset).toBe(4);
  });

  test('never removes the active segment', async () => {
    const { log, snapshots, write, apply } = await bench();
    apply(await write(batch(0), batch(1), trim(2)));
    await snapshots.settled();
    expect(log.firstIndex).toBe(1);
  });

  test('follows when the segment is sealed after its records were trimmed', async () => {
    const { log, snapshots, write, apply } = await bench();
    apply(await write(batch(0), batch(1), trim(2)));
    snapshots.sealed(await log.roll());
    await snapshots.settled();
    expect(log.firstIndex).toBe(4);
  });

  test('looks at the segments when there is news, not at every commit', async () => {
    const made = await bench();
    made.apply(await made.write(batch(0)));
    const before = made.looks;
    for (let sequence = 1; sequence <= 20; sequence += 1) made.apply(await made.write(batch(sequence)));
    expect(made.looks).toBe(before);
    made.apply(await made.write(trim(1)));
    expect(made.looks).toBeGreaterThan(before);
  });

  test('that fails leaves everything as it was and is tried again at the next occasion', async () => {
    const { log, snapshots, write, apply, failures } = await bench();
    apply(await write(batch(0), batch(1)));
    await log.roll();
    const save = log.saveSnapshot.bind(log);
    log.saveSnapshot = () => Promise.reject(new StorageError('FULL', 'no room'));
    apply(await write(trim(1), trim(2)));
    await snapshots.settled();
    expect(failures.map(({ code }) => code)).toEqual(['FULL']);
    expect(log.firstIndex).toBe(1);
    log.saveSnapshot = save;
    apply(await write(batch(2), trim(3)));
    await snapshots.settled();
    expect(log.firstIndex).toBe(3);
  });
});

describe('a snapshot that is asked for', () => {
  test.each([
    ['FLUSH_FAILED', 'closed'],
    ['CLOSED', 'closed'],
    ['FULL', 'full'],
    ['CORRUPT', 'damaged'],
  ] as const)('of a log that is %s ends as %s: its node ends, or goes on without', async (code, kind) => {
    const { log, snapshots } = await bench();
    log.roll = () => Promise.reject(new StorageError(code, 'no roll'));
    expect(await snapshots.take()).toMatchObject({ kind });
  });

  test('waits for the commit of what it covers', async () => {
    const replica = await Replica.open();
    closers.push(() => replica.close());
    await replica.lead();
    replica.ack('n2');
    const append = replica.append(['a']);
    await replica.settle(5);
    let taken: unknown = 'waiting';
    void replica.partition.takeSnapshot().then((snapshot) => {
      taken = snapshot;
    });
    await replica.settle(50);
    expect(taken).toBe('waiting');
    replica.ack('n2');
    await replica.wait(append);
    await replica.settle(50);
    expect(taken).toMatchObject({ kind: 'taken', snapshot: { index: 2, nextOffset: 1 } });
  });

  test('ends without one when the partition is closed first', async () => {
    const replica = await Replica.open();
    await replica.lead();
    const taken = replica.partition.takeSnapshot();
    await replica.settle(50);
    await replica.close();
    expect(await taken).toEqual({ kind: 'closed' });
    // A log that is closed by now says the same, and not in the words of storage.
    expect(await replica.partition.takeSnapshot()).toEqual({ kind: 'closed' });
  });

  test('and finds no room does not keep the partition from closing', async () => {
    const disk = new MemoryDisk({ capacityBytes: 4 * 1024 * 1024 });
    const replica = await Replica.open({ disk, voters: ['n1'], segmentBytes: 8 * 1024 });
    await replica.lead();
    // Whatever is left of the disk is taken by others.
    const file = await disk.open('/other', 'create');
    for (let at = 0; ; at += 256 * 1024) {
      try {
        await file.write(at, [new Uint8Array(1)]);
      } catch {
        break;
      }
    }
    for (let i = 0; i < 40; i += 1) void replica.append(['x'.repeat(6_000)]);
    await replica.settle(2_000);
    expect(replica.troubles.join()).toContain('full');
    await replica.close();
  });
});
