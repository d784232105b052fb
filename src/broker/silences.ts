/**
 * How long each peer was not heard, and from when on that is called silence: `ticksMin` at first, the shortest election
 * timeout. A peer that was called silent and came back over the same link was alive all the time, busy or short of
 * processor time; all groups it led were stirred for nothing, which makes a busy cluster busier. So it is given twice
 * that long for a while. A process that ends closes its links, and nobody waits for this.
 */

/** Of ticksMin: how long a peer can be waited for at most. A second, with the defaults. */
const PATIENCE_FACTOR_MAX = 5;
/** Of ticksMin: how long it takes until a false alarm is forgotten. Half a minute, with the defaults. */
const MEMORY_FACTOR = 150;

interface Silence {
  /** Since it was last heard. */
  ticks: number;
  /** Ticks from which on it is silent. */
  patience: number;
  /** Since the last false alarm. */
  calmTicks: number;
}

export class Silences {
  readonly #ticksMin: number;
  /** Peers whose link is up. */
  readonly #peers = new Map<string, Silence>();

  constructor(ticksMin: number) {
    this.#ticksMin = ticksMin;
  }

  up(peer: string): void {
    this.#peers.set(peer, { ticks: 0, patience: this.#ticksMin, calmTicks: 0 });
  }

  down(peer: string): void {
    this.#peers.delete(peer);
  }

  get peers(): Iterable<string> {
    return this.#peers.keys();
  }

  isUp(peer: string): boolean {
    return this.#peers.has(peer);
  }

  /** True: it had been called silent. */
  heard(peer: string): boolean {
    const silence = this.#peers.get(peer);
    if (silence === undefined) return false;
    const { ticks, patience } = silence;
    silence.ticks = 0;
    if (ticks < patience) return false;
    silence.patience = Math.min(2 * ticks, PATIENCE_FACTOR_MAX * this.#ticksMin);
    silence.calmTicks = 0;
    return true;
  }

  /** One tick passes. Who is silent is named again and again: a group may have gone to rest in between, on a message
   *  that was already on its way. */
  tick(onSilent: (peer: string, ticks: number) => void): void {
    for (const [peer, silence] of this.#peers) {
      silence.ticks += 1;
      silence.calmTicks += 1;
      if (silence.calmTicks >= MEMORY_FACTOR * this.#ticksMin) silence.patience = this.#ticksMin;
      const { ticks, patience } = silence;
      if (ticks >= patience && (ticks - patience) % this.#ticksMin === 0) onSilent(peer, ticks);
    }
  }
}
