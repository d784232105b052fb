/**
 * A point of a log: everything a reader or writer must know to go on behind one entry. Segment headers, frames,
 * footers, the manifest and snapshots all carry points, so that each of them suffices to restart from.
 */

import { EMPTY_CHAIN, sameChain } from './chain.ts';
import type { FieldReader, FieldWriter } from './fields.ts';
import { getU64, putU64 } from './fields.ts';
import type { ChainSum, EntryHeader, LogIndex, Ms, Offset, Term } from './types.ts';

/** State just after the entry at `index`; index 0 is the empty log's. */
export interface LogPoint {
  readonly index: LogIndex;
  readonly term: Term;
  /** The offset the next record gets. */
  readonly nextOffset: Offset;
  readonly appendTimeMs: Ms;
  readonly chain: ChainSum;
}

/** u64 index, term, next offset, append time; u32 chain high, chain low. */
export const LOG_POINT_BYTES = 40;

export const START_POINT: LogPoint = Object.freeze({
  index: 0,
  term: 0,
  nextOffset: 0,
  appendTimeMs: 0,
  chain: EMPTY_CHAIN,
});

export function pointAfter(header: EntryHeader): LogPoint {
  return {
    index: header.index,
    term: header.term,
    nextOffset: header.baseOffset + header.recordCount,
    appendTimeMs: header.appendTimeMs,
    chain: header.chain,
  };
}

export function samePoint(a: LogPoint, b: LogPoint): boolean {
  return a.index === b.index && a.term === b.term && a.nextOffset === b.nextOffset && sameChain(a.chain, b.chain);
}

export function putPoint(view: DataView, at: number, point: LogPoint): void {
  putU64(view, at, point.index);
  putU64(view, at + 8, point.term);
  putU64(view, at + 16, point.nextOffset);
  putU64(view, at + 24, point.appendTimeMs);
  view.setUint32(at + 32, point.chain.high, true);
  view.setUint32(at + 36, point.chain.low, true);
}

/** The point at `at`, or undefined when a field is above 2^53 - 1. */
export function getPoint(view: DataView, at: number): LogPoint | undefined {
  const index = getU64(view, at);
  const term = getU64(view, at + 8);
  const nextOffset = getU64(view, at + 16);
  const appendTimeMs = getU64(view, at + 24);
  if (index === undefined || term === undefined || nextOffset === undefined || appendTimeMs === undefined) {
    return undefined;
  }
  const chain = { high: view.getUint32(at + 32, true), low: view.getUint32(at + 36, true) };
  return { index, term, nextOffset, appendTimeMs, chain };
}

export function writePoint(writer: FieldWriter, point: LogPoint): void {
  writer.u64(point.index).u64(point.term).u64(point.nextOffset).u64(point.appendTimeMs);
  writer.u32(point.chain.high).u32(point.chain.low);
}

export function readPoint(reader: FieldReader): LogPoint {
  return {
    index: reader.u64(),
    term: reader.u64(),
    nextOffset: reader.u64(),
    appendTimeMs: reader.u64(),
    chain: { high: reader.u32(), low: reader.u32() },
  };
}

/** A sentence about why an entry cannot follow a point (the chain apart), or undefined when it can. */
export function whyNotAfter(point: LogPoint, header: EntryHeader): string | undefined {
  if (header.index !== point.index + 1) return `index ${header.index} after ${point.index}`;
  if (header.term < point.term) return `term ${header.term} after ${point.term}`;
  if (header.baseOffset !== point.nextOffset) return `base offset ${header.baseOffset} instead of ${point.nextOffset}`;
  if (header.appendTimeMs < point.appendTimeMs) {
    return `append time ${header.appendTimeMs} after ${point.appendTimeMs}`;
  }
  return undefined;
}
