/** One replica among played peers: what it does with what they send. */
import { afterEach, describe, expect, test } from 'vitest';
import { encodeControl } from '../../src/partition/control.ts';
import { PartitionState } from '../../src/partition/state.ts';
import { type LogEntry, MemoryDisk, type Snapshot } from '../../storage/index.ts';
import { entries, entriesAfter, follow } from './support/entries.ts';
import { openLog } from './support/open-log.ts';
import { Replica, type ReplicaOptions } from './support/replica.ts';
import { encodeState } from './support/state-bytes.ts';

const opened: Replica[] = [];

afterEach(async () => {
  for (const replica of opened.splice(0)) await replica.close();
});

async function replica(options: ReplicaOptions = {}): Promise<Replica> {
  const made = await Replica.open(options);
  opened.push(made);
  return made;
}

/** The snapshot of a leader whose log holds `list` up to its end. */
function snapshotOf(list: readonly LogEntry[]): Snapshot {
  const state = new PartitionState(undefined);
  for (const { header, payload } of list) state.apply(header, payload);
  const { index, term, chain, appendTimeMs } = list.at(-1)!.header;
  return { index, term, nextOffset: state.highWatermark, appendTimeMs, chain, state: encodeState(state) };
}

function install(made: Replica, snapshot: Snapshot, from = 'n2', term = snapshot.term): void {
  const membership = { voters: ['n1', 'n2', 'n3'], votersOutgoing: [], learners: [] };
  const at = { term: snapshot.term, index: snapshot.index };
  made.deliver({ kind: 'snapshot', from, term, snapshot: at, membership, commit: snapshot.index }, { snapshot });
}

const rows = (count: number, term = 1): { term: number }[] => Array.from({ length: count }, () => ({ term }));

describe('a follower', () => {
  test('acks what it has flushed, applies what is committed and serves no more', async () => {
    const made = await replica();
    const list = entries(...rows(3));
    made.feed(list, { commit: 1 });
    expect(made.take('append-reply')).toEqual([]);
    await made.settle(5);
    expect(made.take('append-reply').map(({ message }) => message.message)).toMatchObject([
      { accepted: true, index: 3 },
    ]);
    expect(made.partition.status).toMatchObject({ lastIndex: 3, appliedIndex: 1, tail: 1 });
    expect(await made.partition.read(1, 1_000)).toEqual({ kind: 'at-tail' });
    expect(await made.partition.read(2, 1_000)).toEqual({ kind: 'out-of-range' });
  });

  test('drops a message with an entry of another group, and lives', async () => {
    const made = await replica();
    made.feed(entriesAfter({ groupId: 2 }, {}));
    await made.settle(5);
    expect([made.partition.status.lastIndex, made.take('append-reply')]).toEqual([0, []]);
    expect(made.troubles.join()).toContain('entry of group 2');
  });

  test('drops bytes that are no message, and lives', async () => {
    const made = await replica();
    made.partition.receive('n2', new Uint8Array([7, 1, 2, 3]));
    made.partition.receive('n2', new Uint8Array());
    made.feed(entries({}));
    await made.settle(5);
    expect([made.partition.status.lastIndex, made.troubles.length]).toEqual([1, 2]);
  });

  test('with a full disk takes no batches, but what makes room', async () => {
    const made = await replica();
    const first = entries({ values: ['a', 'b'] });
    made.feed(first, { commit: 1 });
    await made.settle(5);
    made.partition.setFull(true, false);
    const trim = entriesAfter(follow(first[0]), {
      kind: 'control',
      payload: encodeControl({ kind: 'trim', before: 1 }),
    });
    const batch = entriesAfter(follow(trim[0]), { values: ['c'] });
    made.feed([...trim, ...batch], { previous: first[0]!, commit: 1 });
    await made.settle(5);
    expect(made.partition.status.lastIndex).toBe(1);
    made.feed(trim, { previous: first[0]!, commit: 2 });
    await made.settle(5);
    expect(made.partition.status).toMatchObject({ lastIndex: 2, earliest: 1 });
  });

  test('knows producers of entries that a new leader cut away as they were before', async () => {
    const made = await replica();
    const producer = { id: 'aa'.repeat(16), epoch: 0, sequence: 0 };
    const base = entries({ kind: 'no-op' });
    made.feed(base);
    made.feed(entriesAfter(follow(base[0]), { producer, values: ['lost'] }), { previous: base[0]! });
    await made.settle(5);
    const other = entriesAfter(follow(base[0]), { kind: 'no-op', term: 2 });
    made.feed(other, { term: 2, previous: base[0]!, commit: 2 });
    await made.lead();
    const again = made.append(['again'], producer);
    await made.settle(5);
    made.ack('n2');
    expect(await made.wait(again)).toMatchObject({ kind: 'appended', baseOffset: 0, isDuplicate: false });
  });
});

describe('a leader', () => {
  test('goes on knowing uncommitted batches of the leader before it as duplicates', async () => {
    const made = await replica();
    const producer = { id: 'aa'.repeat(16), epoch: 0, sequence: 0 };
    made.feed(entries({ producer, values: ['theirs'] }));
    await made.settle(5);
    await made.lead();
    const again = made.append(['theirs'], producer);
    await made.settle(5);
    expect(made.partition.status.lastIndex).toBe(2);
    made.ack('n2');
    expect(await made.wait(again)).toMatchObject({ baseOffset: 0, isDuplicate: true });
  });

  test('is ready once its own no-op is applied, not before', async () => {
    const made = await replica();
    made.feed(entries(...rows(2)), { commit: 2 });
    await made.settle(5);
    await made.lead();
    expect(made.partition.isReadyLeader).toBe(false);
    made.ack('n2');
    await made.settle(5);
    expect(made.partition.isReadyLeader).toBe(true);
  });

  test('sends a follower that is far behind the state below its first stored entry', async () => {
    const made = await replica({ segmentBytes: 8 * 1024, cacheBytesMax: 1 });
    await made.lead();
    made.ack('n2');
    for (let i = 0; i < 30; i += 1) {
      const append = made.append(['x'.repeat(1_000)]);
      await made.settle(2);
      made.ack('n2');
      await made.wait(append);
    }
    const trimmed = made.partition.proposeTrim(20);
    await made.settle(2);
    made.ack('n2');
    await made.wait(trimmed);
    await made.settle(50);
    const [firstSegment] = made.partition.segments();
    expect(firstSegment!.firstIndex).toBeGreaterThan(1);
    made.take('snapshot');
    // The follower holds nothing: it refuses everything but a state.
    const { term } = made.partition;
    const nothing = { term: 0, index: 0 };
    const index = made.take('append').findLast(({ to }) => to === 'n3')!.message.message.previous.index;
    made.deliver({ kind: 'append-reply', from: 'n3', term, accepted: false, index, hint: nothing, lastIndex: 0 });
    await made.settle(20);
    const [sent] = made.take('snapshot');
    expect(sent!.message.snapshot!.index).toBe(firstSegment!.firstIndex - 1);
  });
});

describe('installing a snapshot', () => {
  test('replaces the log, and readers and leaders go on behind it', async () => {
    const made = await replica();
    made.feed(entries(...rows(3)), { commit: 1 });
    await made.settle(5);
    const list = entries(...rows(6, 2));
    install(made, snapshotOf(list));
    await made.settle(20);
    expect(made.partition.status).toMatchObject({ appliedIndex: 6, lastIndex: 6, tail: 6 });
    expect(made.take('snapshot-reply')).toHaveLength(1);
    const more = entriesAfter(follow(list.at(-1)), { term: 2, values: ['new'] });
    made.feed(more, { term: 2, previous: list.at(-1)!, commit: 7 });
    await made.settle(5);
    expect(await made.partition.read(6, 1_000)).toMatchObject({ kind: 'batches', nextOffset: 7 });
  });

  test('goes on when a heartbeat moves the commit index in the log that is being replaced', async () => {
    const made = await replica();
    made.feed(entries(...rows(3)), { commit: 1 });
    await made.settle(5);
    install(made, snapshotOf(entries(...rows(6))), 'n2', 1);
    // Entries 2 and 3 were acked in this term, and are known committed only now.
    made.deliver({ kind: 'heartbeat', from: 'n2', term: 1, commit: 3, round: 9 });
    expect(made.partition.status.appliedIndex).toBe(3);
    await made.settle(20);
    expect(made.partition.status).toMatchObject({ appliedIndex: 6, lastIndex: 6, tail: 6 });
  });

  test('takes nothing else meanwhile, and each message again afterwards', async () => {
    const made = await replica();
    const list = entries(...rows(6));
    install(made, snapshotOf(list));
    install(made, snapshotOf(list));
    const more = entriesAfter(follow(list.at(-1)), {});
    made.feed(more, { previous: list.at(-1)! });
    expect(made.partition.status.lastIndex).toBe(0);
    await made.settle(20);
    made.feed(more, { previous: list.at(-1)! });
    await made.settle(5);
    expect(made.partition.status.lastIndex).toBe(7);
  });

  test('tells producers of a deposed leader that their fate is unknown', async () => {
    const made = await replica();
    await made.lead();
    const append = made.append(['mine']);
    await made.settle(5);
    const { term } = made.partition;
    install(made, snapshotOf(entries(...rows(6, term + 1))));
    expect(await made.wait(append)).toEqual({ kind: 'unknown' });
    await made.settle(20);
    expect(made.partition.status).toMatchObject({ appliedIndex: 6, tail: 6 });
  });

  test('is durable: the log opens behind it', async () => {
    const disk = new MemoryDisk();
    const made = await replica({ disk });
    install(made, snapshotOf(entries(...rows(6))));
    await made.settle(20);
    await made.close();
    await made.open();
    expect(made.partition.status).toMatchObject({ appliedIndex: 6, lastIndex: 6, tail: 6 });
  });
});

describe('a replica whose chain differs from the leader although terms and indexes agree', () => {
  const own = entries({ values: ['mine'] }, { values: ['mine'] });
  const theirs = entries({ values: ['theirs'] }, { values: ['theirs'] });

  /** Holds two entries; the leader holds two others in their place. */
  async function divergent(): Promise<Replica> {
    const made = await replica({ disk: new MemoryDisk() });
    made.feed(own);
    await made.settle(5);
    made.take('append-reply');
    for (let i = 0; i < 5; i += 1) made.feed(entriesAfter(follow(theirs[1]), {}), { previous: theirs[1]! });
    await made.settle(5);
    return made;
  }

  test('takes nothing, acks nothing, grants no vote, and says so once', async () => {
    const made = await divergent();
    made.feed([], { previous: theirs[1]! });
    made.deliver({ kind: 'vote', from: 'n3', term: 9, last: { term: 8, index: 99 }, isTransfer: true });
    await made.settle(20);
    expect(made.partition.status.lastIndex).toBe(2);
    expect(made.take('append-reply')).toEqual([]);
    expect(made.take('vote-reply').map(({ message }) => message.message.granted)).toEqual([false]);
    expect(made.troubles.filter((what) => what.includes('chain'))).toHaveLength(1);
  });

  test('takes nothing either of entries that overlap with its own, which do not follow on what it has', async () => {
    const made = await replica();
    made.feed(own);
    await made.settle(5);
    made.take('append-reply');
    made.feed([...theirs, ...entriesAfter(follow(theirs[1]), {})]);
    await made.settle(5);
    expect(made.partition.status.lastIndex).toBe(2);
    expect(made.take('append-reply')).toEqual([]);
    expect(made.troubles.filter((what) => what.includes('chain checksums differ'))).toHaveLength(1);
  });

  test('begins anew once the leader has committed without it, and not before', async () => {
    const made = await divergent();
    await made.settle(50);
    const marker = made.partition.rejoining.poll();
    expect(made.givenUp).toEqual([]);
    made.partition.rejoining.committed(marker!);
    expect(made.givenUp).toEqual(['chain checksums differ from those of n2 at entry 2']);
  });

  test('stays marked when that is found while it ends its rejoining', async () => {
    const made = await replica();
    made.partition.rejoining.lose('its disk lost what it had acked');
    await made.settle(50);
    const marker = made.partition.rejoining.poll()!;
    const payload = encodeControl({ kind: 'rejoin', node: 'n1', marker });
    const list = entries({ values: ['mine'] }, { kind: 'control', payload });
    const others = entries({ values: ['theirs'] }, { kind: 'control', payload });
    made.feed(list, { commit: 2 });
    made.feed([], { previous: others[1]! });
    await made.settle(50);
    expect([made.rejoined, made.partition.rejoining.poll()]).toEqual([0, marker]);
    made.partition.rejoining.committed(marker);
    expect(made.givenUp).toEqual(['chain checksums differ from those of n2 at entry 2']);
  });

  test('stays out over a restart', async () => {
    const made = await divergent();
    await made.close();
    await made.open();
    expect(made.partition.status.rejoining).toContain('chain checksums differ');
    made.deliver({ kind: 'vote', from: 'n3', term: 9, last: { term: 8, index: 99 }, isTransfer: true });
    await made.settle(20);
    expect(made.take('vote-reply').map(({ message }) => message.message.granted)).toEqual([false]);
  });

  test('takes part again once a snapshot has replaced its log and its marker is committed behind it', async () => {
    const made = await divergent();
    const theirLog = entries(...rows(6, 2));
    install(made, snapshotOf(theirLog));
    await made.settle(20);
    expect(made.take('snapshot-reply')).toHaveLength(1);
    const marker = made.partition.rejoining.wanted;
    const payload = encodeControl({ kind: 'rejoin', node: 'n1', marker: marker! });
    const behind = entriesAfter(follow(theirLog.at(-1)), { kind: 'control', term: 2, payload });
    made.feed(behind, { previous: theirLog.at(-1)!, commit: 7 });
    await made.settle(20);
    expect(made.rejoined).toBe(1);
    expect(made.partition.status.rejoining).toBeUndefined();
    made.deliver({ kind: 'vote', from: 'n3', term: 9, last: { term: 8, index: 99 }, isTransfer: true });
    await made.settle(20);
    expect(made.take('vote-reply').map(({ message }) => message.message.granted)).toEqual([true]);
  });
});

describe('an entry that a newer version wrote', () => {
  const list = entries({ values: ['a'] }, { kind: 'control', payload: Buffer.from('{"v":2}') }, { values: ['b'] });

  test('stops the partition by name when it is committed', async () => {
    const made = await replica();
    made.feed(list, { commit: 3 });
    await made.settle(5);
    expect(made.broken.map(({ name }) => name)).toEqual(['UnsupportedEntry']);
    expect(made.partition.tail).toBe(1);
  });

  test('stops it again after a restart, as soon as that it is committed is heard', async () => {
    const made = await replica({ disk: new MemoryDisk() });
    made.feed(list, { commit: 3 });
    await made.settle(50);
    await made.close();
    await made.open();
    made.feed([], { previous: list[2]!, commit: 3 });
    expect(made.broken).toHaveLength(2);
  });

  test('keeps the partition from being opened when it is known committed, and leaves its log closed', async () => {
    const { log, disk, close } = await openLog();
    log.append(list);
    log.setCommitHint(3);
    await log.flush();
    await close();
    await expect(Replica.open({ disk })).rejects.toThrow(/newer/);
  });
});

describe('a partition that is closed', () => {
  test('wakes those who wait for records, and answers reads with that', async () => {
    const made = await replica();
    const woken: string[] = [];
    made.partition.watch(0, (reason) => woken.push(reason));
    const closing = made.close();
    opened.length = 0;
    expect(woken).toEqual(['closed']);
    expect(await made.partition.read(0, 1)).toEqual({ kind: 'closed' });
    await closing;
    made.feed(entries({}));
    made.partition.tick();
    made.partition.setFull(true, false);
    await made.partition.close();
  });

  test('in the middle of installing a snapshot ends all the same', async () => {
    const made = await replica();
    install(made, snapshotOf(entries(...rows(6))));
    await made.close();
    opened.length = 0;
  });
});
