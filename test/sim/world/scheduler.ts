/**
 * The one queue of everything that is going to happen, in order of simulated time, and in the order of asking where two
 * things are due at once. An event runs to its end, and with it every promise that can settle, before the next begins:
 * that is one turn of a real event loop, and it is what makes a seed a history.
 *
 * It runs synchronously. Promises are drained as Node itself drains them between two callbacks, so run() must be called
 * from a callback, never from inside a promise: see `onFreshTurn`.
 */
import { DueQueue } from '../../support/due-queue.ts';
import type { SimProcess } from './process.ts';

/** Promise jobs cannot be run to their end through any public call; this is what Node calls after every callback. */
const drainPromises: () => void = (process as unknown as { _tickCallback(): void })._tickCallback.bind(process);

/** What is counted as one simulated event; see docs/simulation.md. */
export type EventKind = 'timer' | 'message' | 'disk' | 'client' | 'world';

const KIND_CODES: Readonly<Record<EventKind, number>> = { timer: 1, message: 2, disk: 3, client: 4, world: 5 };

export interface SimEvent {
  dueMs: number;
  order: number;
  readonly kind: EventKind;
  /** Whose event it is: dropped when that process is over, kept back while it is held. */
  readonly process: SimProcess | undefined;
  readonly fn: () => void;
  isCancelled: boolean;
}

export class Scheduler {
  /** True time since the start of the run, ms. */
  nowMs = 0;
  /** Whose event is running; everything that happens meanwhile is that process's doing. */
  current: SimProcess | undefined;
  /** Folded over every event: two runs with the same hash were the same run. */
  traceHash = 0;
  readonly counts: Record<EventKind, number> = { timer: 0, message: 0, disk: 0, client: 0, world: 0 };
  #orders = 0;
  readonly #queue = new DueQueue<SimEvent>();
  /** Called after each event, its promises included. */
  afterEach: () => void = () => undefined;
  /** Something a process threw, or a promise it left rejected: its end. */
  onCrash: (error: unknown, process: SimProcess | undefined) => void = (error) => {
    throw error;
  };

  /** Runs `fn` in `delayMs` of true time. */
  in(delayMs: number, kind: EventKind, process: SimProcess | undefined, fn: () => void): SimEvent {
    const event = { dueMs: this.nowMs + delayMs, order: this.#orders++, kind, process, fn, isCancelled: false };
    this.#queue.push(event);
    return event;
  }

  /** Puts an event back that could not run when it was due. */
  again(event: SimEvent, delayMs: number): void {
    event.dueMs = this.nowMs + delayMs;
    event.order = this.#orders++;
    this.#queue.push(event);
  }

  /** Counts something that happened inside another event, such as an answer of the disk. */
  count(kind: EventKind, detail: number): void {
    this.counts[kind] += 1;
    this.fold(KIND_CODES[kind] ^ detail);
  }

  /** Adds to the trace. */
  fold(value: number): void {
    this.traceHash = (Math.imul(this.traceHash ^ value, 0x0100_0193) + 0x9e37_79b9) >>> 0;
  }

  get events(): number {
    const { timer, message, disk, client, world } = this.counts;
    return timer + message + disk + client + world;
  }

  /** Runs everything due until then, or until `isDone` says so after an event. */
  run(untilMs: number, isDone: () => boolean = () => false): void {
    for (let next = this.#queue.first; next !== undefined && next.dueMs <= untilMs; next = this.#queue.first) {
      this.#queue.pop();
      if (next.isCancelled || next.process?.isOver === true) continue;
      this.nowMs = Math.max(this.nowMs, next.dueMs);
      if (next.process?.holdsBack(next) === true) continue;
      this.#turn(next);
      if (isDone()) return;
    }
    this.nowMs = Math.max(this.nowMs, untilMs);
  }

  #turn(event: SimEvent): void {
    const { process, kind } = event;
    this.counts[kind] += 1;
    this.fold(KIND_CODES[kind] + (process?.number ?? 0) * 8);
    this.fold((this.nowMs * 1024) | 0);
    this.current = process;
    try {
      event.fn();
      drainPromises();
    } catch (error) {
      this.onCrash(error, process);
    }
    this.afterEach();
    this.current = undefined;
  }
}

/** Runs synchronous work in a callback of its own, where promises can be drained. */
export function onFreshTurn<T>(work: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(work());
      } catch (error) {
        reject(error);
      }
    });
  });
}
