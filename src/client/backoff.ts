/**
 * How long to wait before trying again: exponential with full jitter, so that a thousand clients of a node that comes
 * back do not arrive in one wave. Pure but for the injected chance.
 */
import type { Random } from '../env.ts';

export interface BackoffOptions {
  /** Bound of the first delay, in ms. */
  readonly minDelayMs: number;
  /** Bound of every delay, in ms. */
  readonly maxDelayMs: number;
  /** Growth of the bound from one attempt to the next, >= 1. */
  readonly factor: number;
}

/** Within one operation no single wait may use up most of its time. */
const OPERATION_SHARE = 1 / 8;

export function operationBackoff(random: Random, options: BackoffOptions, timeoutMs: number): Backoff {
  const maxDelayMs = Math.max(options.minDelayMs, Math.min(options.maxDelayMs, timeoutMs * OPERATION_SHARE));
  return new Backoff(random, { ...options, maxDelayMs });
}

export class Backoff {
  readonly #random: Random;
  readonly #options: BackoffOptions;
  /** Bound of the next delay. */
  #boundMs: number;

  constructor(random: Random, options: BackoffOptions) {
    this.#random = random;
    this.#options = options;
    this.#boundMs = options.minDelayMs;
  }

  /**
   * Ms to wait now: anywhere from 0 to the bound, which then grows. Never below `atLeastMs`, what a server asked for.
   */
  next(atLeastMs = 0): number {
    const boundMs = this.#boundMs;
    this.#boundMs = Math.min(this.#options.maxDelayMs, boundMs * this.#options.factor);
    return Math.max(atLeastMs, this.#random.next() * boundMs);
  }

  /** Something worked: the next failure starts small again. */
  reset(): void {
    this.#boundMs = this.#options.minDelayMs;
  }
}
