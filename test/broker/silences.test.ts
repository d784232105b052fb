/** From when on a peer counts as silent, and what a false alarm changes. */
import { describe, expect, test } from 'vitest';
import { Silences } from '../../src/broker/silences.ts';

const TICKS_MIN = 20;

/** At which of `count` ticks b is called silent. */
function alarms(silences: Silences, count: number): number[] {
  const at: number[] = [];
  for (let tick = 1; tick <= count; tick += 1) silences.tick((_peer, ticks) => at.push(ticks));
  return at;
}

function watching(): Silences {
  const silences = new Silences(TICKS_MIN);
  silences.up('b');
  return silences;
}

describe('silence of a peer', () => {
  test('is called after the shortest election timeout, and again for as long as it lasts', () => {
    expect(alarms(watching(), 70)).toEqual([20, 40, 60]);
  });

  test('that ended over the same link is called twice as late the next time, up to a limit', () => {
    const silences = watching();
    alarms(silences, 25);
    expect(silences.heard('b')).toBe(true);
    expect(alarms(silences, 49)).toEqual([]);
    expect(silences.heard('b')).toBe(false);
    expect(alarms(silences, 80)).toEqual([50, 70]);
    silences.heard('b');
    expect(alarms(silences, 110)).toEqual([100]);
  });

  test('is called as soon as ever once the false alarm is long ago', () => {
    const silences = watching();
    alarms(silences, 25);
    silences.heard('b');
    const aRound = TICKS_MIN - 1;
    for (let ticks = 0; ticks < 150 * TICKS_MIN - aRound; ticks += aRound) {
      alarms(silences, aRound);
      silences.heard('b');
    }
    expect(alarms(silences, 49)).toEqual([20, 40]);
  });

  test('is nothing to a peer whose link is down', () => {
    const silences = watching();
    silences.down('b');
    expect([alarms(silences, 50), silences.heard('b'), silences.isUp('b')]).toEqual([[], false, false]);
  });
});
