import { describe, expect, test } from 'vitest';
import { type ChildEvents, RESTART_DELAY_MS_MAX, Supervisor } from '../../bin/supervisor.ts';

/** Processes and time made of plain values: each test says what dies when. */
class World {
  nowMs = 0;
  readonly spawned: string[] = [];
  readonly signals: string[] = [];
  readonly said: string[] = [];
  readonly events = new Map<string, ChildEvents>();
  #timers: { dueMs: number; fn: () => void }[] = [];
  #pid = 100;
  readonly supervisor: Supervisor;

  constructor(nodeIds: readonly string[] = ['n1', 'n2', 'n3']) {
    this.supervisor = new Supervisor(
      {
        spawn: (id, events) => {
          this.spawned.push(id);
          this.events.set(id, events);
          return { pid: this.#pid++, kill: (signal) => void this.signals.push(`${id} ${signal}`) };
        },
        after: (delayMs, fn) => {
          const timer = { dueMs: this.nowMs + delayMs, fn };
          this.#timers.push(timer);
          return { cancel: () => this.#cancel(timer) };
        },
        monotonicMs: () => this.nowMs,
        say: (line) => void this.said.push(line),
      },
      { nodeIds, stopDeadlineMs: 10_000 },
    );
    this.supervisor.start();
  }

  #cancel(timer: { dueMs: number; fn: () => void }): void {
    this.#timers = this.#timers.filter((each) => each !== timer);
  }

  allReady(): this {
    for (const events of this.events.values()) events.onReady();
    return this;
  }

  die(id: string, exit: { code?: number; signal?: string }): void {
    this.events.get(id)!.onExit({ code: exit.code, signal: exit.signal });
  }

  passMs(durationMs: number): void {
    this.nowMs += durationMs;
    const due = this.#timers.filter((timer) => timer.dueMs <= this.nowMs);
    this.#timers = this.#timers.filter((timer) => timer.dueMs > this.nowMs);
    for (const timer of due) timer.fn();
  }

  get timers(): number {
    return this.#timers.length;
  }
}

describe('Supervisor', () => {
  test('starts every node and is ready when all are', async () => {
    const world = new World();
    expect(world.spawned).toEqual(['n1', 'n2', 'n3']);
    world.allReady();
    await world.supervisor.ready;
    expect(world.said).toEqual([]);
  });

  test('says how a node died and starts it again', () => {
    const world = new World().allReady();
    world.die('n2', { signal: 'SIGKILL' });
    expect(world.said).toEqual(['n2 (pid 101) was killed by SIGKILL; starting it again in 100 ms']);
    world.passMs(100);
    expect(world.spawned).toEqual(['n1', 'n2', 'n3', 'n2']);
    world.events.get('n2')!.onReady();
    expect(world.said.at(-1)).toBe('n2 is back (pid 103)');
  });

  test('waits longer after each death in a row, up to a bound, and forgets them after a stable run', () => {
    const world = new World(['n1']).allReady();
    const delays: number[] = [];
    const dieAgain = (): void => {
      world.die('n1', { code: 1 });
      delays.push(Number(/in (\d+) ms/.exec(world.said.at(-1)!)![1]));
      world.passMs(delays.at(-1)!);
    };
    for (let i = 0; i < 8; i++) dieAgain();
    expect(delays).toEqual([100, 200, 400, 800, 1600, 3200, RESTART_DELAY_MS_MAX, RESTART_DELAY_MS_MAX]);
    world.passMs(60_000);
    dieAgain();
    expect(delays.at(-1)).toBe(100);
  });

  test('a node that was killed before it was ready is started again', () => {
    const world = new World();
    world.die('n1', { signal: 'SIGKILL' });
    world.passMs(100);
    expect(world.spawned.at(-1)).toBe('n1');
  });

  test('a node that cannot start at all ends the cluster, naming the node', async () => {
    const world = new World();
    world.die('n2', { code: 1 });
    expect(world.signals).toEqual(['n1 SIGTERM', 'n3 SIGTERM']);
    world.die('n1', { code: 0 });
    world.die('n3', { code: 0 });
    await expect(world.supervisor.ended).resolves.toEqual({ kind: 'failed', nodeId: 'n2' });
    expect(world.said).toEqual(['n2 could not start (ended with code 1); stopping']);
    expect(world.timers).toBe(0);
  });

  test('stopping drains all nodes, starts none again, and ends when the last is gone', async () => {
    const world = new World().allReady();
    world.die('n3', { signal: 'SIGKILL' });
    world.supervisor.stop();
    world.supervisor.stop();
    expect(world.signals).toEqual(['n1 SIGTERM', 'n2 SIGTERM']);
    world.die('n1', { code: 0 });
    world.die('n2', { code: 0 });
    await expect(world.supervisor.ended).resolves.toEqual({ kind: 'stopped' });
    world.passMs(60_000);
    expect(world.spawned).toHaveLength(3);
    expect(world.timers).toBe(0);
  });

  test('a node that does not drain in time is killed, and that is said', async () => {
    const world = new World(['n1']).allReady();
    world.supervisor.stop();
    world.passMs(10_000);
    expect(world.signals).toEqual(['n1 SIGTERM', 'n1 SIGKILL']);
    expect(world.said).toEqual(['n1 did not stop within 10000 ms; killing it']);
    world.die('n1', { signal: 'SIGKILL' });
    await expect(world.supervisor.ended).resolves.toEqual({ kind: 'stopped' });
  });

  test('killing does not wait', () => {
    const world = new World(['n1', 'n2']).allReady();
    world.supervisor.stop();
    world.supervisor.kill();
    expect(world.signals).toEqual(['n1 SIGTERM', 'n2 SIGTERM', 'n1 SIGKILL', 'n2 SIGKILL']);
  });
});
