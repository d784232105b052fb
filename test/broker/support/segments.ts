/** Segments as retention sees them. */
import type { SegmentView } from '../../../src/broker/retention.ts';

/** Sealed segments of ten offsets each, one a minute, and an active one. */
export function segments(count: number, bytes = 1_000_000): SegmentView[] {
  return Array.from({ length: count }, (_, at) => ({
    firstOffset: 10 * at,
    nextOffset: 10 * (at + 1),
    bytes,
    firstAppendTimeMs: 60_000 * at,
    lastAppendTimeMs: 60_000 * (at + 1),
    isSealed: at < count - 1,
  }));
}
