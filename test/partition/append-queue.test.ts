import { afterEach, describe, expect, test } from 'vitest';
import { crc32cPortable, readBatchHeader, verifyBatch } from '../../src/protocol/index.ts';
import type { ProducerTuple } from '../../storage/index.ts';
import { batchOf, entries } from './support/entries.ts';
import { Replica, type ReplicaOptions } from './support/replica.ts';

const A = 'aa'.repeat(16);
const opened: Replica[] = [];

afterEach(async () => {
  for (const replica of opened.splice(0)) await replica.close();
});

async function leader(options: ReplicaOptions = {}): Promise<Replica> {
  const replica = await Replica.open(options);
  opened.push(replica);
  await replica.lead();
  return replica;
}

function tuple(sequence: number, epoch = 0): ProducerTuple {
  return { id: A, epoch, sequence };
}

/** What a promise has come to by now. */
async function soFar<T>(replica: Replica, promise: Promise<T>): Promise<T | 'waiting'> {
  let result: T | 'waiting' = 'waiting';
  void promise.then((value) => {
    result = value;
  });
  await replica.settle(5);
  return result;
}

const ALONE = { voters: ['n1'] } as const;

describe('appending', () => {
  test('what arrives in one turn gets consecutive offsets and shares a flush', async () => {
    const replica = await leader(ALONE);
    replica.events.length = 0;
    const outcomes = await replica.wait(
      Promise.all([replica.append(['a', 'b']), replica.append(['c']), replica.append(['d', 'e', 'f'])]),
    );
    expect(outcomes).toMatchObject([{ baseOffset: 0 }, { baseOffset: 2 }, { baseOffset: 3 }]);
    expect(replica.events.filter(({ kind }) => kind === 'flush')).toHaveLength(1);
  });

  test('the leader fills in offset and epoch, and the checksum of the producer still holds', async () => {
    const replica = await leader(ALONE);
    await replica.wait(replica.append(['a', 'b']));
    const batch = batchOf(['c']);
    await replica.wait(replica.partition.append(batch, readBatchHeader(batch), undefined));
    expect(verifyBatch(batch, crc32cPortable)).toMatchObject({ baseOffset: 2, leaderEpoch: replica.partition.term });
  });

  test('nobody is answered before a majority has flushed, and everybody is then', async () => {
    const replica = await leader();
    const append = replica.append(['a']);
    expect(await soFar(replica, append)).toBe('waiting');
    expect(replica.partition.tail).toBe(0);
    // The no-op alone: the batch behind it is not covered by this answer.
    replica.ack('n2', 1);
    expect(await soFar(replica, append)).toBe('waiting');
    replica.ack('n2', 2);
    expect(await soFar(replica, append)).toMatchObject({ kind: 'appended', baseOffset: 0, isDuplicate: false });
    expect(replica.partition.tail).toBe(1);
  });

  test('append times never go back when the clock does', async () => {
    const replica = await leader(ALONE);
    const first = await replica.wait(replica.append(['a']));
    replica.life.skewMs = -3_600_000;
    const second = await replica.wait(replica.append(['b']));
    expect(second).toMatchObject({ appendTimeMs: (first as { appendTimeMs: number }).appendTimeMs });
  });

  test('a follower takes nothing', async () => {
    const replica = await Replica.open();
    opened.push(replica);
    expect(await replica.wait(replica.append(['a']))).toEqual({ kind: 'not-leader' });
    expect(replica.partition.status.lastIndex).toBe(0);
  });

  test('more than the cap of what is uncommitted is refused, and taken again once it is committed', async () => {
    const replica = await leader({ uncommittedBytesMax: 700 });
    const first = replica.append(['x'.repeat(300)]);
    expect(await replica.wait(replica.append(['y'.repeat(300)]))).toEqual({ kind: 'overloaded' });
    replica.ack('n2');
    expect(await replica.wait(first)).toMatchObject({ kind: 'appended' });
    const second = replica.append(['y'.repeat(300)]);
    await replica.settle(5);
    replica.ack('n2');
    expect(await replica.wait(second)).toMatchObject({ baseOffset: 1 });
  });

  test('a closed partition refuses what comes and tells those who wait that their fate is unknown', async () => {
    const replica = await leader();
    const waiting = replica.append(['a']);
    await replica.settle(5);
    const late = replica.append(['b']);
    await replica.close();
    opened.length = 0;
    expect(await waiting).toEqual({ kind: 'unknown' });
    expect(await late).toEqual({ kind: 'not-leader' });
    expect(await replica.append(['c'])).toEqual({ kind: 'not-leader' });
  });

  test('a leader that hears no majority tells its producers that their fate is unknown', async () => {
    const replica = await leader();
    const append = replica.append(['a']);
    await replica.ticks(60);
    expect(replica.partition.role).not.toBe('leader');
    expect(await append).toEqual({ kind: 'unknown' });
  });
});

describe('a full disk', () => {
  test('refuses producers and lets trims through, which are what makes room', async () => {
    const replica = await leader(ALONE);
    for (const value of ['a', 'b', 'c']) await replica.wait(replica.append([value]));
    replica.partition.setFull(true, false);
    expect(await replica.wait(replica.append(['d']))).toEqual({ kind: 'full' });
    expect(await replica.wait(replica.partition.proposeTrim(2))).toMatchObject({ kind: 'appended' });
    expect(replica.partition.earliest).toBe(2);
    replica.partition.setFull(false, false);
    expect(await replica.wait(replica.append(['d']))).toMatchObject({ baseOffset: 3 });
  });

  test('takes a command that makes room, and no other', async () => {
    const replica = await leader(ALONE);
    replica.partition.setFull(true, false);
    expect(await replica.wait(replica.partition.proposeCommand({ what: 'more' }))).toEqual({ kind: 'full' });
    expect(await replica.wait(replica.partition.proposeCommand({ what: 'less' }, true))).toMatchObject({
      kind: 'appended',
    });
  });
});

describe('duplicates', () => {
  test('of a batch in the same turn become one entry, answered together', async () => {
    const replica = await leader();
    const both = [replica.append(['a'], tuple(0)), replica.append(['a'], tuple(0))];
    await replica.settle(5);
    expect(replica.partition.status.lastIndex).toBe(2);
    replica.ack('n2');
    expect(await replica.wait(Promise.all(both))).toMatchObject([
      { baseOffset: 0, isDuplicate: false },
      { baseOffset: 0, isDuplicate: true },
    ]);
  });

  test('of a batch that is not committed wait for its commit', async () => {
    const replica = await leader();
    void replica.append(['a'], tuple(0));
    await replica.settle(5);
    const again = replica.append(['a'], tuple(0));
    expect(await soFar(replica, again)).toBe('waiting');
    replica.ack('n2');
    expect(await soFar(replica, again)).toMatchObject({ baseOffset: 0, isDuplicate: true });
  });

  test('too old to be remembered are not answered either while their entry is not committed', async () => {
    const replica = await leader();
    // More batches in flight than are remembered: the first ones are known by their sequence alone.
    const first = Array.from({ length: 8 }, (_, sequence) => replica.append([`v${sequence}`], tuple(sequence)));
    await replica.settle(5);
    const again = replica.append(['v0'], tuple(0));
    expect(await soFar(replica, again)).toBe('waiting');
    replica.ack('n2', 4);
    // Entries 2, 3 and 4 hold sequences 0 to 2.
    expect(await soFar(replica, again)).toMatchObject({ kind: 'appended', baseOffset: 0, isDuplicate: true });
    expect(await soFar(replica, first[3]!)).toBe('waiting');
    const old = replica.append(['v2'], tuple(2));
    expect(await soFar(replica, old)).toMatchObject({ kind: 'appended', baseOffset: undefined, isDuplicate: true });
  });

  test('too old to be remembered and cut otherwise are answered once all of what they hold is committed', async () => {
    const replica = await leader();
    void Promise.all(Array.from({ length: 9 }, (_, sequence) => replica.append(['v'], tuple(sequence))));
    await replica.settle(5);
    // Two records that came as two batches, entries 2 and 3.
    const both = replica.append(['v', 'v'], tuple(0));
    replica.ack('n2', 2);
    expect(await soFar(replica, both)).toBe('waiting');
    replica.ack('n2', 3);
    expect(await soFar(replica, both)).toMatchObject({ kind: 'appended', baseOffset: undefined, isDuplicate: true });
  });

  test('are told that their fate is unknown, like the first, when leadership is lost', async () => {
    const replica = await leader();
    const first = replica.append(['a'], tuple(0));
    await replica.settle(5);
    const again = replica.append(['a'], tuple(0));
    await replica.ticks(60);
    expect(await Promise.all([first, again])).toEqual([{ kind: 'unknown' }, { kind: 'unknown' }]);
  });

  test('gaps and old epochs are refused by number', async () => {
    const replica = await leader(ALONE);
    await replica.wait(replica.append(['a', 'b'], tuple(0, 1)));
    expect(await replica.wait(replica.append(['c'], tuple(3, 1)))).toEqual({ kind: 'gap', expected: 2 });
    expect(await replica.wait(replica.append(['c'], tuple(2, 0)))).toEqual({ kind: 'fenced', epoch: 1 });
  });
});

describe('entries of a leader that is replaced', () => {
  test('settle when the new leader overwrites them: the producer hears unknown, and may send again', async () => {
    const replica = await leader();
    const append = replica.append(['mine'], tuple(0));
    await replica.settle(5);
    const term = replica.partition.term + 1;
    const theirs = entries({ kind: 'no-op', term }, { term, values: ['theirs'] });
    replica.feed(theirs, { term, commit: 2 });
    expect(await soFar(replica, append)).toEqual({ kind: 'unknown' });
    expect(replica.partition.tail).toBe(1);
    expect(replica.partition.status.lastIndex).toBe(2);
  });
});
