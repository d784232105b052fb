import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canDoWithout, hasQuorum, majorityOf, quorumIndex, tallyVotes } from '../../src/raft/quorum.ts';

const membership = (voters: string, votersOutgoing = '') => ({
  voters: [...voters],
  votersOutgoing: [...votersOutgoing],
  learners: ['z'],
});

describe('majorities', () => {
  test.each([
    [1, 1],
    [2, 2],
    [3, 2],
    [4, 3],
    [5, 3],
    [6, 4],
    [7, 4],
  ])('of %i voters are %i', (voters, majority) => {
    expect(majorityOf(voters)).toBe(majority);
  });

  test.each([
    { name: 'one voter', voters: 'a', outgoing: '', match: { a: 4 }, index: 4 },
    { name: 'two need both', voters: 'ab', outgoing: '', match: { a: 4, b: 2 }, index: 2 },
    { name: 'three: the middle one', voters: 'abc', outgoing: '', match: { a: 9, b: 2, c: 5 }, index: 5 },
    { name: 'four: the third highest', voters: 'abcd', outgoing: '', match: { a: 9, b: 8, c: 5, d: 1 }, index: 5 },
    { name: 'five: the middle one', voters: 'abcde', outgoing: '', match: { a: 9, b: 8, c: 5, d: 1 }, index: 5 },
    { name: 'equal ones', voters: 'abc', outgoing: '', match: { a: 3, b: 3 }, index: 3 },
    { name: 'learners are not counted', voters: 'abc', outgoing: '', match: { a: 3, z: 3 }, index: 0 },
    { name: 'joint: the lower of both', voters: 'abc', outgoing: 'cde', match: { a: 9, b: 9, c: 4, d: 2 }, index: 2 },
    { name: 'joint: one half is not enough', voters: 'abc', outgoing: 'de', match: { a: 9, b: 9, d: 9 }, index: 0 },
    { name: 'nobody', voters: '', outgoing: '', match: {}, index: 0 },
  ])('the highest index a quorum reached: $name', ({ voters, outgoing, match, index }) => {
    const matches: Record<string, number | undefined> = match;
    expect(quorumIndex(membership(voters, outgoing), (voter) => matches[voter] ?? 0)).toBe(index);
  });

  test('the highest index a quorum reached is the one a sort finds', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20), { minLength: 1, maxLength: 9 }), (matches) => {
        const voters = matches.map((_, i) => String(i));
        const sorted = matches.toSorted((a, b) => b - a);
        const found = quorumIndex({ voters, votersOutgoing: [], learners: [] }, (voter) => matches[Number(voter)]!);
        expect(found).toBe(sorted[majorityOf(voters.length) - 1]);
      }),
    );
  });

  test.each([
    { name: 'nobody answered', voters: 'abc', outgoing: '', yes: '', no: '', tally: 'pending' },
    { name: 'a majority said yes', voters: 'abc', outgoing: '', yes: 'ab', no: '', tally: 'won' },
    { name: 'a majority said no', voters: 'abc', outgoing: '', yes: 'a', no: 'bc', tally: 'lost' },
    { name: 'half of four is none', voters: 'abcd', outgoing: '', yes: 'ab', no: '', tally: 'pending' },
    { name: 'two of four said no', voters: 'abcd', outgoing: '', yes: 'ab', no: 'cd', tally: 'lost' },
    { name: 'a learner said yes', voters: 'abc', outgoing: '', yes: 'az', no: '', tally: 'pending' },
    { name: 'joint, one half won', voters: 'abc', outgoing: 'cde', yes: 'abc', no: '', tally: 'pending' },
    { name: 'joint, both halves won', voters: 'abc', outgoing: 'cde', yes: 'acd', no: '', tally: 'won' },
    { name: 'joint, one half lost', voters: 'abc', outgoing: 'cde', yes: 'abc', no: 'de', tally: 'lost' },
    { name: 'there are no voters', voters: '', outgoing: '', yes: '', no: '', tally: 'lost' },
  ])('an election when $name: $tally', ({ voters, outgoing, yes, no, tally }) => {
    const voteOf = (voter: string): boolean | undefined =>
      yes.includes(voter) ? true : no.includes(voter) ? false : undefined;
    expect(tallyVotes(membership(voters, outgoing), voteOf)).toBe(tally);
    expect(hasQuorum(membership(voters, outgoing), (voter) => yes.includes(voter))).toBe(tally === 'won');
  });
});

test.each([
  ['a', '', false],
  ['ab', '', false],
  ['abc', '', true],
  ['abcd', '', true],
  ['bc', '', true],
  ['abc', 'ab', false],
  ['abc', 'abd', true],
])('voters %s, %s can do without a: %s', (voters, outgoing, canThey) => {
  expect(canDoWithout(membership(voters, outgoing), 'a')).toBe(canThey);
});
