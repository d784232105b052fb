/**
 * How many partitions of a node begin to campaign in one tick. An election costs as much as dozens of appends; when a
 * node that led hundreds falls silent, or only stands still for a moment, all its followers would otherwise campaign at
 * once, keep each other late, and time out again. Who has to wait asks again at the next tick, and may have heard of
 * its leader by then.
 *
 * Who waited longest comes first: hundreds of partitions without a majority campaign in vain for as long as that lasts,
 * and would take every turn from one that is ticked behind them.
 */

/** A thousand a second, which is more than a node can elect. */
const CAMPAIGNS_A_TICK = 10;

export class CampaignTurns {
  /** Free for anybody in this tick. */
  #left = 0;
  /** Groups that were refused, those of longest standing first. Who does not ask again waits no more. */
  readonly #waiting = new Set<number>();
  /** Groups that have a turn of this tick each: the first of those that wait. */
  readonly #reserved = new Set<number>();
  /** Groups that were refused in this tick. */
  readonly #refused = new Set<number>();

  tick(): void {
    for (const group of this.#waiting) if (!this.#refused.has(group)) this.#waiting.delete(group);
    for (const group of this.#refused) this.#waiting.add(group);
    this.#refused.clear();
    this.#reserved.clear();
    for (const group of this.#waiting) {
      if (this.#reserved.size === CAMPAIGNS_A_TICK) break;
      this.#reserved.add(group);
    }
    this.#left = CAMPAIGNS_A_TICK - this.#reserved.size;
  }

  /** Whether the group may begin in this tick. */
  take(group: number): boolean {
    if (this.#reserved.delete(group)) return true;
    if (this.#left === 0) {
      this.#refused.add(group);
      return false;
    }
    this.#left -= 1;
    return true;
  }
}
