/**
 * What one machine suffers at present: its disk's moods, and how wrong its clocks go. Set by faults, reset by healing.
 */
import type { Prng } from '../../raft/support/prng.ts';
import type { DiskWeather, DurableCall, DurableFate } from './machine-disk.ts';
import type { Scheduler } from './scheduler.ts';

/** A write may be in the cache, in part, when the power goes before it is durable. */
const TORN_SHARE = 0.3;
/** After an error was handed out, this long every end of the process is put down to it. */
const EXCUSED_MS = 5_000;

export class Weather implements DiskWeather {
  readonly #scheduler: Scheduler;
  readonly #random: Prng;
  readonly #flushMs: number;
  /** Added to each durable call, at most, ms. */
  slowMs = 0;
  /** Added to each read, at most, ms. */
  slowReadMs = 0;
  /** Durable calls do nothing and say they did. */
  isLying = false;
  /** Something it said it flushed may not be on it. */
  hasLied = false;
  /** A power cut took what it had said it flushed. */
  lostByLying = false;
  /** Calls that make something durable never return. */
  isStuck = false;
  /** The next durable call fails this way. */
  nextFailure: 'EIO' | 'dropped' | 'short' | undefined;
  /** Reads that fail from now on. */
  readFailures = 0;
  wallSkewMs = 0;
  clockRate = 1;
  /** How often each thing was handed out. */
  readonly effects: Record<'torn' | 'EIO' | 'dropped' | 'short' | 'lie' | 'never' | 'slow' | 'read-EIO', number> = {
    torn: 0,
    EIO: 0,
    dropped: 0,
    short: 0,
    lie: 0,
    never: 0,
    slow: 0,
    'read-EIO': 0,
  };
  #excusedUntilMs = -1;
  /** What is on the disk was damaged: the process may end by it, whenever it sees it. */
  isDamaged = false;
  /** It was given something else than the others, and acknowledged that. */
  isDeceived = false;

  constructor(scheduler: Scheduler, random: Prng, flushMs: number) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#flushMs = flushMs;
  }

  /** Whether the world gave the process a reason to end by itself. */
  get mayFail(): boolean {
    return this.isDamaged || this.#scheduler.nowMs <= this.#excusedUntilMs;
  }

  /** Its disk may not hold what it said it holds, or what the others do. */
  get isHurt(): boolean {
    return this.isDamaged || this.isDeceived || this.isLying || this.hasLied || this.lostByLying;
  }

  /** What is on its disk cannot be counted on, or was not a while ago. */
  get isUnreliable(): boolean {
    return this.isDamaged || this.isDeceived || this.lostByLying;
  }

  durableMs(): number {
    const base = this.#flushMs * (0.2 + this.#random.next());
    if (this.slowMs === 0) return base;
    this.effects.slow += 1;
    return base + this.slowMs * this.#random.next();
  }

  readMs(): number {
    return this.slowReadMs === 0 ? 0 : this.slowReadMs * this.#random.next();
  }

  fateOf(_call: DurableCall, path: string): DurableFate {
    if (this.isStuck) return this.#handOut('never');
    if (this.nextFailure !== undefined) {
      const failure = this.nextFailure;
      this.nextFailure = undefined;
      this.#excusedUntilMs = this.#scheduler.nowMs + EXCUSED_MS;
      return this.#handOut(failure);
    }
    // Data only: a vote that is forgotten can be given twice, and no Raft survives that.
    if (this.isLying && path.endsWith('.segment')) {
      this.hasLied = true;
      return this.#handOut('lie');
    }
    return this.#random.chance(TORN_SHARE) ? this.#handOut('torn') : 'done';
  }

  failsRead(_path: string): boolean {
    if (this.readFailures === 0) return false;
    this.readFailures -= 1;
    this.effects['read-EIO'] += 1;
    this.#excusedUntilMs = this.#scheduler.nowMs + EXCUSED_MS;
    return true;
  }

  #handOut<F extends keyof Weather['effects']>(fate: F): F {
    this.effects[fate] += 1;
    return fate;
  }

  /** A call that hangs dies with its process. */
  processEnded(): void {
    this.isStuck = false;
    this.nextFailure = undefined;
  }

  heal(): void {
    this.slowMs = 0;
    this.slowReadMs = 0;
    this.isLying = false;
    this.isStuck = false;
    this.nextFailure = undefined;
    this.readFailures = 0;
    this.wallSkewMs = 0;
    this.clockRate = 1;
  }
}
