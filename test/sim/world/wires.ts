/** What the wires between all processes do: how long they take, what they lose, what they hold back. Directed. */
import type { Prng } from '../../raft/support/prng.ts';
import type { Scheduler } from './scheduler.ts';

/** TCP sends a lost packet again after so long; what is behind it waits. */
const RETRANSMIT_MS = 200;

export class Wires {
  readonly #scheduler: Scheduler;
  readonly #random: Prng;
  readonly #latencyMs: number;
  /** Directed, "from>to": since when it loses everything. */
  readonly #cutSinceMs = new Map<string, number>();
  /** Directed: until when it delivers nothing. */
  readonly #stalledUntilMs = new Map<string, number>();
  /** Probability that a packet is lost and sent again. */
  loss = 0;
  /** Longest random delay on top of the latency, ms. */
  jitterMs = 0;

  constructor(scheduler: Scheduler, random: Prng, latencyMs: number) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.#latencyMs = latencyMs;
  }

  latencyMs(_from: string, _to: string): number {
    const base = this.#latencyMs * (0.5 + this.#random.next()) + this.jitterMs * this.#random.next();
    return this.loss > 0 && this.#random.chance(this.loss) ? base + RETRANSMIT_MS : base;
  }

  cut(from: string, to: string): void {
    const wire = `${from}>${to}`;
    if (!this.#cutSinceMs.has(wire)) this.#cutSinceMs.set(wire, this.#scheduler.nowMs);
  }

  mend(from: string, to: string): void {
    this.#cutSinceMs.delete(`${from}>${to}`);
  }

  isCut(from: string, to: string): boolean {
    return this.#cutSinceMs.size > 0 && this.#cutSinceMs.has(`${from}>${to}`);
  }

  /** For how long it has been losing everything; 0: it does not. */
  cutForMs(from: string, to: string): number {
    if (this.#cutSinceMs.size === 0) return 0;
    const sinceMs = this.#cutSinceMs.get(`${from}>${to}`);
    return sinceMs === undefined ? 0 : Math.max(this.#scheduler.nowMs - sinceMs, Number.MIN_VALUE);
  }

  stall(from: string, to: string, forMs: number): void {
    this.#stalledUntilMs.set(`${from}>${to}`, this.#scheduler.nowMs + forMs);
  }

  blockedUntilMs(from: string, to: string): number {
    return this.#stalledUntilMs.size === 0 ? 0 : (this.#stalledUntilMs.get(`${from}>${to}`) ?? 0);
  }

  /** Everything gets through again. */
  heal(): void {
    this.#cutSinceMs.clear();
    this.#stalledUntilMs.clear();
    this.loss = 0;
    this.jitterMs = 0;
  }
}
