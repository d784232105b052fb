import { describe, expect, test } from 'vitest';
import { Leaders } from '../../src/broker/leaders.ts';

describe('what is known of leaders', () => {
  test('the highest term wins, and "nobody" of the same term does not', () => {
    const leaders = new Leaders();
    leaders.learn(1, { term: 3, leader: 'n1' });
    leaders.learn(1, { term: 2, leader: 'n2' });
    leaders.learn(1, { term: 3, leader: undefined });
    expect(leaders.get(1)).toEqual({ term: 3, leader: 'n1' });
    leaders.learn(1, { term: 4, leader: undefined });
    expect(leaders.get(1)).toEqual({ term: 4, leader: undefined });
    leaders.learn(1, { term: 3, leader: 'n1' });
    expect(leaders.get(1)).toEqual({ term: 4, leader: undefined });
    leaders.learn(1, { term: 4, leader: 'n3' });
    expect(leaders.get(1)?.leader).toBe('n3');
  });

  test('a leader that is lost is nobody, until it is heard of again', () => {
    const leaders = new Leaders();
    leaders.learn(1, { term: 3, leader: 'n1' });
    leaders.lost(1, 'n2');
    expect(leaders.get(1)?.leader).toBe('n1');
    leaders.lost(1, 'n1');
    expect(leaders.get(1)).toEqual({ term: 3, leader: undefined });
    leaders.learn(1, { term: 3, leader: 'n1' });
    expect(leaders.ledBy('n1')).toEqual([{ groupId: 1, term: 3 }]);
  });

  test('groups that are gone are forgotten', () => {
    const leaders = new Leaders();
    for (const groupId of [1, 2, 3]) leaders.learn(groupId, { term: 1, leader: 'n1' });
    leaders.forgetIf((groupId) => groupId !== 2);
    expect(leaders.ledBy('n1')).toEqual([{ groupId: 2, term: 1 }]);
  });
});

describe('waiting for a leader', () => {
  test('ends with the first one that is not the one named, in that group, once', () => {
    const leaders = new Leaders();
    const woken: string[] = [];
    leaders.whenLedByOther(1, 'n1', () => woken.push('other than n1'));
    leaders.whenLedByOther(1, undefined, () => woken.push('any'));
    leaders.whenLedByOther(2, undefined, () => woken.push('another group'));
    leaders.learn(1, { term: 1, leader: undefined });
    expect(woken).toEqual([]);
    leaders.learn(1, { term: 1, leader: 'n1' });
    expect(woken).toEqual(['any']);
    leaders.learn(1, { term: 2, leader: 'n2' });
    leaders.learn(1, { term: 3, leader: 'n3' });
    expect(woken).toEqual(['any', 'other than n1']);
  });

  test('can be given up, before and after', () => {
    const leaders = new Leaders();
    let woken = 0;
    const stop = leaders.whenLedByOther(1, undefined, () => {
      woken += 1;
    });
    stop();
    leaders.learn(1, { term: 1, leader: 'n1' });
    stop();
    expect(woken).toBe(0);
  });

  test('again while being woken waits for the next one', () => {
    const leaders = new Leaders();
    const woken: number[] = [];
    leaders.whenLedByOther(1, undefined, () => {
      woken.push(1);
      leaders.whenLedByOther(1, 'n1', () => woken.push(2));
    });
    leaders.learn(1, { term: 1, leader: 'n1' });
    expect(woken).toEqual([1]);
    leaders.learn(1, { term: 2, leader: 'n2' });
    expect(woken).toEqual([1, 2]);
  });
});
