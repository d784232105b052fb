/** Who is ticked when. */
import { describe, expect, test } from 'vitest';
import { Paces, type Ticked } from '../../src/broker/paces.ts';

const HEARTBEAT_TICKS = 4;

/** Counts its calls, and the ticks it was told of. */
class Counter implements Ticked {
  calls = 0;
  ticks = 0;

  tick(ticks = 1): void {
    this.calls += 1;
    this.ticks += ticks;
  }
}

function passing(paces: Pick<Paces<Ticked>, 'tick'>, ticks: number): void {
  for (let tick = 0; tick < ticks; tick += 1) paces.tick();
}

describe('paces', () => {
  test('time passes equally for who is told of ticks and of heartbeats, and not at all for who rests', () => {
    const paces = new Paces<Counter>(HEARTBEAT_TICKS);
    const [each, beats, resting] = [new Counter(), new Counter(), new Counter()];
    paces.set(each, 'ticks');
    paces.set(beats, 'heartbeats');
    paces.set(resting, 'none');
    passing(paces, 40);
    expect(each).toMatchObject({ calls: 40, ticks: 40 });
    expect(beats).toMatchObject({ calls: 10, ticks: 40 });
    expect(resting.calls).toBe(0);
    expect(paces.awake).toBe(2);
  });

  test('the last pace told counts', () => {
    const paces = new Paces<Counter>(HEARTBEAT_TICKS);
    const counter = new Counter();
    for (const pace of ['ticks', 'heartbeats', 'ticks', 'none', 'heartbeats'] as const) paces.set(counter, pace);
    passing(paces, 8);
    expect(counter).toMatchObject({ calls: 2, ticks: 8 });
    paces.set(counter, 'none');
    passing(paces, 8);
    expect(counter.calls).toBe(2);
    expect(paces.awake).toBe(0);
  });

  test('all that are told of heartbeats are told in the same tick, of which the phase is 0', () => {
    const paces = new Paces<Ticked>(HEARTBEAT_TICKS);
    const phases: number[] = [];
    paces.tick();
    for (let at = 0; at < 3; at += 1) {
      paces.set({ tick: () => void phases.push(paces.phase) }, 'heartbeats');
      paces.tick();
    }
    passing(paces, 4);
    expect(phases).toEqual([0, 0, 0, 0, 0, 0]);
  });
});
