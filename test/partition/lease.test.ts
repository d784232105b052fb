/** For how long a leader may believe that nobody else was elected (R8, R24). */
import { describe, expect, test } from 'vitest';
import { Lease } from '../../src/partition/lease.ts';
import type { Membership, Message, Raft } from '../../src/raft/index.ts';

const STALL_MS = 40;
const PROMISE_MS = 200;

class Bench {
  id = 'n1';
  role = 'leader';
  term = 3;
  membership: Membership = { voters: ['n1', 'n2', 'n3'], votersOutgoing: [], learners: [] };
  monotonicMs = 1_000;
  wallMs = 1_000;
  readonly lease: Lease;
  #round = 0;

  constructor(driftPercent: number | undefined = 10) {
    const clock = { nowMs: () => this.wallMs, monotonicMs: () => this.monotonicMs };
    const options = { driftPercent, stallMs: STALL_MS };
    this.lease = new Lease(this as unknown as Raft, clock, options);
  }

  /** Voters that lost what they had promised. */
  readonly lost = new Set<string>();

  progressOf(peer: string): { readonly standing: string } {
    return { standing: this.lost.has(peer) ? 'lost' : 'sound' };
  }

  send(): number {
    this.#round += 1;
    const envelope = { from: 'n1', to: 'n2', term: this.term };
    this.lease.onSending({ kind: 'heartbeat', ...envelope, commit: 0, round: this.#round });
    return this.#round;
  }

  answer(round: number, from = 'n2', promiseMs = PROMISE_MS): void {
    const message: Message = { kind: 'heartbeat-reply', from, to: 'n1', term: this.term, round, promiseMs };
    this.lease.onReceived(message);
  }

  /** Time passes, with ticks. */
  pass(ms: number): void {
    for (let passed = 0; passed < ms; passed += 10) {
      this.monotonicMs += 10;
      this.lease.onTick();
    }
  }
}

describe('a lease', () => {
  test('lasts for the promise less the drift bound, from the time the round was sent', () => {
    const bench = new Bench();
    const round = bench.send();
    bench.pass(100);
    expect(bench.lease.isHeld()).toBe(false);
    bench.answer(round);
    bench.pass(70);
    expect(bench.lease.isHeld()).toBe(true);
    bench.pass(10);
    expect(bench.lease.isHeld()).toBe(false);
  });

  test('is counted from the first heartbeat of a round that is said again', () => {
    const bench = new Bench();
    const round = bench.send();
    bench.pass(100);
    bench.lease.onSending({ kind: 'heartbeat', from: 'n1', to: 'n3', term: 3, commit: 5, round });
    bench.answer(round, 'n3');
    bench.pass(80);
    expect(bench.lease.isHeld()).toBe(false);
  });

  test('needs a majority of promises: not strangers, not voters that promise nothing', () => {
    const bench = new Bench();
    bench.membership = { ...bench.membership, voters: ['n1', 'n2', 'n3', 'n4', 'n5'] };
    bench.lease.onTick();
    const round = bench.send();
    bench.answer(round, 'n2');
    bench.answer(round, 'x');
    bench.answer(round, 'n3', 0);
    expect(bench.lease.isHeld()).toBe(false);
    bench.answer(round, 'n4');
    expect(bench.lease.isHeld()).toBe(true);
  });

  test('does not count a voter that lost what it had promised before: it may have elected another leader', () => {
    const bench = new Bench();
    bench.answer(bench.send());
    expect(bench.lease.isHeld()).toBe(true);
    bench.lost.add('n2');
    expect(bench.lease.isHeld()).toBe(false);
    bench.answer(bench.send(), 'n3');
    expect(bench.lease.isHeld()).toBe(true);
  });

  test('is held by nobody who does not lead, and by whoever is a majority alone', () => {
    const alone = new Bench();
    alone.membership = { voters: ['n1'], votersOutgoing: [], learners: [] };
    expect(alone.lease.isHeld()).toBe(true);
    alone.role = 'follower';
    expect(alone.lease.isHeld()).toBe(false);
  });

  test('does not look at the wall clock', () => {
    const bench = new Bench();
    const round = bench.send();
    bench.answer(round);
    bench.wallMs += 3_600_000;
    expect(bench.lease.isHeld()).toBe(true);
    bench.wallMs -= 7_200_000;
    bench.pass(190);
    expect(bench.lease.isHeld()).toBe(false);
  });

  test('is void after a pause, and answers to rounds from before it do not bring it back', () => {
    const bench = new Bench();
    bench.answer(bench.send());
    const before = bench.send();
    bench.monotonicMs += STALL_MS;
    expect(bench.lease.isHeld()).toBe(true);
    // The socket is served before the timer that would have told of the pause.
    bench.monotonicMs += 1;
    expect(bench.lease.isHeld()).toBe(false);
    bench.lease.onTick();
    bench.answer(before);
    expect(bench.lease.isHeld()).toBe(false);
    bench.answer(bench.send());
    expect(bench.lease.isHeld()).toBe(true);
  });

  test('is void after a pause that a tick noticed first', () => {
    const bench = new Bench();
    bench.answer(bench.send());
    bench.monotonicMs += STALL_MS + 1;
    bench.lease.onTick();
    expect(bench.lease.isHeld()).toBe(false);
  });

  test('is void from a transfer on, for the rest of the term', () => {
    const bench = new Bench();
    bench.answer(bench.send());
    bench.lease.forbidInTerm();
    expect(bench.lease.isHeld()).toBe(false);
    bench.answer(bench.send());
    expect(bench.lease.isHeld()).toBe(false);
    bench.term = 5;
    bench.answer(bench.send());
    expect(bench.lease.isHeld()).toBe(true);
  });

  test('is void when the membership changes', () => {
    const bench = new Bench();
    bench.answer(bench.send());
    const before = bench.send();
    bench.membership = { ...bench.membership };
    expect(bench.lease.isHeld()).toBe(false);
    bench.answer(before);
    expect(bench.lease.isHeld()).toBe(false);
    bench.answer(bench.send());
    expect(bench.lease.isHeld()).toBe(true);
  });

  test('is not counted from a notice of a commit, which names a round that was sent long before', () => {
    const bench = new Bench();
    const round = bench.send();
    // As when a leadership begins: what was sent before its status was told counts for nothing.
    bench.lease.drop();
    bench.pass(100);
    bench.lease.onSending({ kind: 'heartbeat', from: 'n1', to: 'n3', term: 3, commit: 5, round, isNotice: true });
    bench.answer(round);
    expect(bench.lease.isHeld()).toBe(false);
  });

  test('is never held where leases are off', () => {
    const bench = new Bench();
    const clock = { nowMs: () => 0, monotonicMs: () => 0 };
    bench.membership = { voters: ['n1'], votersOutgoing: [], learners: [] };
    expect(new Lease(bench as unknown as Raft, clock, undefined).isHeld()).toBe(false);
  });
});
