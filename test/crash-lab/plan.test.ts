/** In which order the lab takes its faults. */
import { expect, test } from 'vitest';
import { Prng } from '../raft/support/prng.ts';
import type { Fault, FaultGroup } from './faults/fault.ts';
import { FAULTS, Turns } from './plan.ts';

function fault(group: FaultGroup, name: string, events = 1): Fault {
  return { name, group, events, needsImages: false, run: () => Promise.reject(new Error('not to be run')) };
}

const SOME = [fault('kill', 'a'), fault('kill', 'b', 3), fault('pause', 'c'), fault('partition', 'd')];

test('no two faults have one name', () => {
  expect(new Set(FAULTS.map(({ name }) => name)).size).toBe(FAULTS.length);
});

test('without goals every group comes equally often, and within a group every fault once in a round', () => {
  const turns = new Turns(new Prng(1), SOME, new Map());
  const taken = Array.from({ length: 12 }, () => turns.next());
  for (const group of ['kill', 'pause', 'partition'])
    expect(taken.filter((each) => each.group === group)).toHaveLength(4);
  expect(taken.filter(({ name }) => name === 'a')).toHaveLength(2);
});

test('the group that lags behind its goal most comes next, and goals are met by events that happened', () => {
  const goals = new Map<FaultGroup, number>([
    ['kill', 8],
    ['pause', 2],
  ]);
  const turns = new Turns(new Prng(2), SOME, goals);
  const taken: Fault[] = [];
  while (!turns.areGoalsMet && taken.length < 100) {
    const next = turns.next();
    taken.push(next);
    turns.happened(next);
  }
  const events = (group: FaultGroup): number =>
    taken.filter((each) => each.group === group).reduce((sum, each) => sum + each.events, 0);
  expect(events('kill')).toBeGreaterThanOrEqual(8);
  expect(events('kill')).toBeLessThan(8 + 3);
  expect(events('pause')).toBe(2);
  expect(events('partition')).toBe(0);
});

test('a fault without effect brings no goal nearer', () => {
  const turns = new Turns(new Prng(3), SOME, new Map([['pause', 1]]));
  for (let n = 0; n < 5; n++) expect(turns.next().group).toBe('pause');
  expect(turns.areGoalsMet).toBe(false);
});
