/**
 * How many partitions of a node begin to campaign in one tick. An election costs as much as dozens of appends; when a
 * node that led hundreds falls silent, or only stands still for a moment, all its followers would otherwise campaign at
 * once, keep each other late, and time out again. Who has to wait asks again at the next tick, and may have heard of
 * its leader by then.
 */

/** A thousand a second, which is more than a node can elect. */
const CAMPAIGNS_A_TICK = 10;

export class CampaignTurns {
  #left = 0;

  tick(): void {
    this.#left = CAMPAIGNS_A_TICK;
  }

  /** Whether one more may begin in this tick. */
  take(): boolean {
    if (this.#left === 0) return false;
    this.#left -= 1;
    return true;
  }
}
