/**
 * The chain: a running 64-bit checksum over all entries of a log. Equal chains at equal indexes mean equal histories,
 * which is how a reader or a peer notices a substituted, lost or reordered entry whose own checksums are right.
 *
 * Algorithm "chain64-1": the previous chain is the state (two 32-bit lanes). Each little-endian 32-bit word w of the
 * covered bytes goes into both lanes, lane = rotl((lane ^ w) * odd constant), with other constants per lane; at the end
 * the lanes are mixed with each other. Every step is a bijection of the state, so two states never merge on equal
 * input, and a difference in one word always changes both lanes. It guards against accidents, not against forgers.
 * In 32-bit integer operations it needs no BigInt; 21 words take about 40 ns.
 */
import type { ChainSum } from './types.ts';

/** Written into every segment header, so that a later algorithm is never taken for this one. */
export const CHAIN_ALGORITHM = 'chain64-1';

/** The chain before the first entry of a log. */
export const EMPTY_CHAIN: ChainSum = Object.freeze({ high: 0, low: 0 });

export function sameChain(a: ChainSum, b: ChainSum): boolean {
  return a.high === b.high && a.low === b.low;
}

/** The chain after the bytes [start, end) of `bytes`; the range is a whole number of 4-byte words. */
export function chainAfter(previous: ChainSum, bytes: Uint8Array, start: number, end: number): ChainSum {
  let a = previous.high ^ 0x9e3779b9;
  let b = previous.low ^ 0x7f4a7c15;
  for (let at = start; at < end; at += 4) {
    const word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    a = Math.imul(a ^ word, 0x85ebca6b);
    a = (a << 15) | (a >>> 17);
    b = Math.imul(b ^ word, 0xc2b2ae35);
    b = (b << 13) | (b >>> 19);
  }
  a = (a + b) | 0;
  b = (b + a) | 0;
  a = mix(a);
  b = mix(b);
  a = (a + b) | 0;
  b = (b + a) | 0;
  return { high: a >>> 0, low: b >>> 0 };
}

function mix(lane: number): number {
  let h = lane ^ (lane >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}
