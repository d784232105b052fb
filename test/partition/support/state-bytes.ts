/** States as bytes and back, all at once; and turns that are counted. */
import type { Pieces } from '../../../src/partition/pieces.ts';
import { PartitionState } from '../../../src/partition/state.ts';

export function atOnce<T>(work: Pieces<T>): T {
  for (;;) {
    const piece = work.next();
    if (piece.done === true) return piece.value;
  }
}

export function encodeState(state: PartitionState): Uint8Array {
  return atOnce(state.freeze().encode());
}

export function restoreState(
  state: PartitionState,
  at: { readonly index: number; readonly nextOffset: number },
  bytes: Uint8Array,
): void {
  state.adopt(at, atOnce(PartitionState.decode(bytes)));
}

/** Real turns of the event loop, counted; `onTurn` runs in each. */
export class Turns {
  count = 0;
  onTurn: () => void = () => undefined;

  soon(fn: () => void): void {
    setImmediate(() => {
      this.count += 1;
      this.onTurn();
      fn();
    });
  }
}
