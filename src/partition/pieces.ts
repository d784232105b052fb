/**
 * Long work in pieces: a generator that yields where it may be left and gone on with later. Who runs it decides whether
 * others get a turn in between; what it makes is the same either way. Pieces are bounded by counts, never by a clock,
 * so that every replica and every replay of a simulation stops at the same places.
 */
import type { Timers } from '../env.ts';

export type Pieces<T> = Generator<undefined, T, undefined>;

/** All pieces one after the other, with a turn for everybody else between two of them. Work of one piece takes none. */
export async function overTurns<T>(work: Pieces<T>, timers: Pick<Timers, 'soon'>): Promise<T> {
  for (;;) {
    const piece = work.next();
    if (piece.done === true) return piece.value;
    await new Promise<void>((resolve) => timers.soon(resolve));
  }
}
