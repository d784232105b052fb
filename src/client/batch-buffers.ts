/**
 * Buffers of acknowledged batches, for the next ones of the same client. A megabyte that is made anew for each batch is
 * garbage a moment later: a producer at full speed spent a quarter of its processor time on collecting it and on pages
 * the system had to clear first. A buffer comes here once its batch was acknowledged: nothing is sent from it again,
 * and sockets take what they send before send() returns (socket.ts).
 *
 * At most KEPT_MAX wait here, of one size; a producer whose batches stay small never takes one.
 */

/** What one producer has in flight and being filled at most, and a few for others. */
const KEPT_MAX = 8;

export class BatchBuffers {
  #free: Uint8Array[] = [];

  /** A buffer of `bytes`; what is in it is old. */
  take(bytes: number): Uint8Array {
    const kept = this.#free.at(-1);
    if (kept === undefined || kept.length !== bytes) return new Uint8Array(bytes);
    this.#free.pop();
    return kept;
  }

  /** Nobody reads it any more. Buffers of another size than those that wait here take their place. */
  give(buffer: Uint8Array): void {
    if (this.#free[0]?.length !== buffer.length) this.#free = [];
    if (this.#free.length < KEPT_MAX) this.#free.push(buffer);
  }
}
