/**
 * What may go, judged from the segments of one partition alone: the log start that retention asks for, and whether the
 * active segment is to be sealed so that what is in it can go at all. Pure; upkeep.ts asks and acts.
 *
 * Only whole sealed segments go. A segment seals itself when it is full; two kinds never fill up by themselves and
 * would keep their bytes for ever: one whose records are old (an idle topic with an age), and one that holds nothing a
 * reader may see (no-ops of leader changes, trims, records below the log start: rabbitmq-server #6447).
 */
import type { Compaction, Retention } from './verbs.ts';

export interface SegmentView {
  readonly firstOffset: number;
  readonly nextOffset: number;
  readonly bytes: number;
  readonly firstAppendTimeMs: number;
  readonly lastAppendTimeMs: number;
  readonly isSealed: boolean;
}

/** An active segment without a readable record is sealed at this size: what an idle partition may hold on to. */
export const HOUSEKEEPING_BYTES_MAX: number = 1024 * 1024;
/** The active segment is sealed when its first record has this share of the age bound, so that a record outlives the
 *  bound by no more than that share, and a slow topic has a handful of segments. */
const AGE_SHARE = 1 / 4;

/** The log start that retention asks for: whole sealed segments, oldest first, while the bounds hold without them. */
export function trimTarget(segments: readonly SegmentView[], retention: Retention, nowMs: number): number {
  const { maxBytes, maxAgeMs, maxRecords } = retention;
  let bytes = 0;
  for (const segment of segments) bytes += segment.bytes;
  const tail = segments.at(-1)?.nextOffset ?? 0;
  let before = 0;
  for (const { isSealed, bytes: own, nextOffset, lastAppendTimeMs } of segments) {
    if (!isSealed) break;
    const isOver = maxBytes !== undefined && bytes - own >= maxBytes;
    const isOld = maxAgeMs !== undefined && lastAppendTimeMs + maxAgeMs < nowMs;
    const isTooMany = maxRecords !== undefined && tail - nextOffset >= maxRecords;
    if (!isOver && !isOld && !isTooMany) break;
    before = nextOffset;
    bytes -= own;
  }
  return before;
}

export interface SealRules {
  /** The first offset that can be read. */
  readonly logStart: number;
  readonly retention: Retention;
  readonly compaction?: Compaction | undefined;
  readonly nowMs: number;
}

/** Whether the active segment is to be sealed before it is full. */
export function isSealDue(active: SegmentView, { logStart, retention, compaction, nowMs }: SealRules): boolean {
  const isReadable = active.nextOffset > Math.max(active.firstOffset, logStart);
  if (!isReadable) return active.bytes >= HOUSEKEEPING_BYTES_MAX;
  // Compaction looks at sealed segments alone: a slow topic would keep every record of a key, and tombstones for ever.
  const ageMs = Math.min(retention.maxAgeMs ?? Infinity, compaction?.tombstoneRetentionMs ?? Infinity);
  return active.firstAppendTimeMs + ageMs * AGE_SHARE < nowMs;
}
