import { describe, expect, test } from 'vitest';
import { Raft, type RaftOptions, type RaftStart } from '../../src/raft/index.ts';
import { optionsFor } from './support/cluster.ts';
import { at } from './support/solo.ts';

const START: RaftStart = {
  hardState: { term: 2, votedFor: undefined },
  base: at(0, 0),
  termRuns: [],
  commit: 0,
  memberships: [],
};

function make(changes: Partial<RaftOptions>, start: Partial<RaftStart> = {}): Raft {
  return new Raft(optionsFor('n1', ['n1', 'n2', 'n3'], changes), { ...START, ...start });
}

describe('settings that contradict each other are refused', () => {
  test.each<{ changes: Partial<RaftOptions>; message: string }>([
    { changes: { id: '' }, message: 'id' },
    { changes: { heartbeatTicks: 5 }, message: 'less than 5 heartbeats' },
    { changes: { electionTicksMax: 20 }, message: 'not above electionTicksMin' },
    { changes: { appendBytesMax: 0 }, message: 'appendBytesMax: 0 is not a positive integer' },
    { changes: { inflightMessagesMax: Number.NaN }, message: 'inflightMessagesMax: NaN' },
    { changes: { inflightBytesMax: 10 }, message: 'below appendBytesMax' },
  ])('$message', ({ changes, message }) => {
    expect(() => make(changes)).toThrow(message);
  });
});

describe('a recovered state that cannot be', () => {
  test('is refused: a commit past the log', () => {
    expect(() => make({}, { commit: 1 })).toThrow('commit 1 is past the last index 0');
  });

  test('is refused: entries of a term the hard state has not reached (W14)', () => {
    expect(() => make({}, { termRuns: [{ term: 3, lastIndex: 4 }] })).toThrow('term 3');
  });
});
