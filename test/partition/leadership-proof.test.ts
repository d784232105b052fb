import { describe, expect, test } from 'vitest';
import { LeadershipProof } from '../../src/partition/leadership-proof.ts';
import type { Membership, Message, Raft } from '../../src/raft/index.ts';

interface Bench {
  readonly proof: LeadershipProof;
  role: string;
  term: number;
  beat(round: number): void;
  answer(from: string, round: number, term?: number): void;
}

function bench(membership: Partial<Membership> = {}): Bench {
  const made: Bench = {
    role: 'leader',
    term: 3,
    beat: (round) => made.proof.onSent({ kind: 'heartbeat', from: 'n1', to: 'n2', term: made.term, commit: 0, round }),
    answer: (from, round, term = made.term) =>
      made.proof.onReceived({ kind: 'heartbeat-reply', from, to: 'n1', term, round } as Message),
    proof: new LeadershipProof({
      id: 'n1',
      get role() {
        return made.role;
      },
      get term() {
        return made.term;
      },
      membership: { voters: ['n1', 'n2', 'n3'], votersOutgoing: [], learners: [], ...membership },
    } as unknown as Raft),
  };
  return made;
}

/** What was answered so far. */
async function soFar(asked: Promise<boolean>): Promise<boolean | 'open'> {
  const open = new Promise<'open'>((resolve) => setImmediate(() => resolve('open')));
  return Promise.race([asked, open]);
}

describe('that this replica leads', () => {
  test('is proven by a majority that answers a round begun after the question', async () => {
    const { proof, beat, answer } = bench();
    beat(7);
    const asked = proof.ask();
    answer('n2', 7);
    expect(await soFar(asked)).toBe('open');
    beat(8);
    answer('n2', 8);
    expect(await soFar(asked)).toBe(true);
  });

  test('is not proven by one of five, nor by strangers, nor by answers of another term', async () => {
    const { proof, beat, answer } = bench({ voters: ['n1', 'n2', 'n3', 'n4', 'n5'] });
    const asked = proof.ask();
    beat(1);
    answer('n2', 1);
    answer('n2', 1);
    answer('x', 1);
    answer('n3', 1, 2);
    expect(await soFar(asked)).toBe('open');
    answer('n3', 1);
    expect(await soFar(asked)).toBe(true);
  });

  test('needs both majorities of a joint membership', async () => {
    const { proof, beat, answer } = bench({ votersOutgoing: ['n4', 'n5', 'n6'] });
    const asked = proof.ask();
    beat(1);
    answer('n2', 1);
    answer('n4', 1);
    expect(await soFar(asked)).toBe('open');
    answer('n5', 1);
    expect(await soFar(asked)).toBe(true);
  });

  test('needs nobody else when it is alone', async () => {
    expect(await soFar(bench({ voters: ['n1'] }).proof.ask())).toBe(true);
  });

  test('is denied by a follower at once', async () => {
    const made = bench();
    made.role = 'follower';
    expect(await soFar(made.proof.ask())).toBe(false);
  });

  test('is denied when leadership is lost first, and the rounds of the next one count anew', async () => {
    const made = bench();
    made.beat(50);
    const asked = made.proof.ask();
    made.proof.reset();
    expect(await soFar(asked)).toBe(false);
    made.term = 4;
    const again = made.proof.ask();
    made.answer('n2', 51, 3);
    expect(await soFar(again)).toBe('open');
    made.beat(1);
    made.answer('n2', 1);
    expect(await soFar(again)).toBe(true);
  });
});
