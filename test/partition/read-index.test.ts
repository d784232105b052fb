/** When a leader may say which index a linearizable read needs (R4, R7). The core is played by hand. */
import { describe, expect, test } from 'vitest';
import { ReadIndex, type ReadIndexOutcome } from '../../src/partition/read-index.ts';
import type { Membership, Raft } from '../../src/raft/index.ts';

const THREE: Membership = { voters: ['n1', 'n2', 'n3'], votersOutgoing: [], learners: [] };
/** A majority by itself, which holds a lease at all times. */
const ONE: Membership = { ...THREE, voters: ['n1'] };

class Bench {
  role = 'leader';
  term = 3;
  commit = 10;
  firstIndexOfTerm = 8;
  confirmedRound = 0;
  /** Rounds begun so far. */
  rounds = 0;
  id = 'n1';
  membership: Membership = THREE;
  readonly reads: ReadIndex;

  constructor() {
    const raft = Object.assign(this, {
      progressOf: () => ({ standing: 'sound' }),
      startRound: () => {
        this.rounds += 1;
        return this.rounds;
      },
    }) as unknown as Raft;
    const clock = { nowMs: () => 0, monotonicMs: () => 0 };
    const lease = { driftPercent: 10, stallMs: 40 };
    this.reads = new ReadIndex({ raft, clock, lease, run: () => undefined });
  }

  answer(round: number): void {
    this.confirmedRound = Math.max(this.confirmedRound, round);
    this.reads.advance();
  }
}

/** What was answered so far. */
async function soFar(asked: Promise<ReadIndexOutcome>): Promise<ReadIndexOutcome | 'open'> {
  const open = new Promise<'open'>((resolve) => setImmediate(() => resolve('open')));
  return Promise.race([asked, open]);
}

const AT_TEN = { kind: 'confirmed', level: 'linearizable', index: 10, term: 3 };

describe('the read index', () => {
  test('is the commit index, confirmed by a round that begins at once', async () => {
    const bench = new Bench();
    const asked = bench.reads.ask(false);
    expect([bench.rounds, await soFar(asked)]).toEqual([1, 'open']);
    bench.answer(1);
    expect(await soFar(asked)).toEqual(AT_TEN);
  });

  test('is not confirmed by a round that was begun before it was asked for', async () => {
    const bench = new Bench();
    const first = bench.reads.ask(false);
    bench.commit = 11;
    const second = bench.reads.ask(false);
    bench.answer(1);
    expect(await soFar(first)).toEqual(AT_TEN);
    expect([await soFar(second), bench.rounds]).toEqual(['open', 2]);
    bench.answer(2);
    expect(await soFar(second)).toEqual({ ...AT_TEN, index: 11 });
  });

  test('asked for many times while a round is under way takes one more round', async () => {
    const bench = new Bench();
    const asked = Array.from({ length: 100 }, () => bench.reads.ask(false));
    expect(bench.rounds).toBe(1);
    bench.answer(1);
    bench.answer(2);
    expect(bench.rounds).toBe(2);
    expect(await Promise.all(asked)).toEqual(asked.map(() => AT_TEN));
  });

  test('is confirmed by a later round too, when answers of its own got lost', async () => {
    const bench = new Bench();
    const asked = bench.reads.ask(false);
    bench.answer(5);
    expect(await soFar(asked)).toEqual(AT_TEN);
  });

  test('waits for the no-op of the term: until then commits of earlier terms may be unknown (R4)', async () => {
    const bench = new Bench();
    bench.commit = 7;
    bench.membership = ONE;
    const asked = [bench.reads.ask(false), bench.reads.ask(true)];
    bench.answer(4);
    expect([bench.rounds, await soFar(asked[0]!), await soFar(asked[1]!)]).toEqual([0, 'open', 'open']);
    bench.commit = 8;
    bench.rounds = 4;
    bench.reads.advance();
    bench.answer(5);
    for (const one of asked) expect(await soFar(one)).toEqual({ ...AT_TEN, index: 8 });
  });

  test('is denied by a follower, and to whoever waits when role or term change', async () => {
    const bench = new Bench();
    const inRound = bench.reads.ask(false);
    const waiting = bench.reads.ask(false);
    bench.reads.reset();
    for (const one of [inRound, waiting]) expect(await soFar(one)).toEqual({ kind: 'not-leader' });
    bench.role = 'follower';
    expect(await soFar(bench.reads.ask(false))).toEqual({ kind: 'not-leader' });
  });

  test('is not confirmed in another term than it was asked in', async () => {
    const bench = new Bench();
    const asked = bench.reads.ask(false);
    bench.term = 4;
    bench.answer(9);
    expect(await soFar(asked)).toBe('open');
    bench.reads.close();
    expect(await soFar(asked)).toEqual({ kind: 'not-leader' });
    expect(await soFar(bench.reads.ask(false))).toEqual({ kind: 'not-leader' });
  });

  test('takes no round while a lease is held, for those to whom that is enough', async () => {
    const bench = new Bench();
    bench.membership = ONE;
    expect(await soFar(bench.reads.ask(true))).toEqual({ ...AT_TEN, level: 'lease' });
    expect(bench.rounds).toBe(0);
    void bench.reads.ask(false);
    expect(bench.rounds).toBe(1);
    bench.membership = THREE;
    bench.answer(1);
    const asked = bench.reads.ask(true);
    bench.answer(2);
    expect(await soFar(asked)).toEqual(AT_TEN);
  });
});
