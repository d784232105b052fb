/** One segment as retention and compaction see it. */
import type { StoredSegment } from './stored-segment.ts';
import type { ByteCount, LogIndex, Ms, Offset } from './types.ts';

export interface SegmentInfo {
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly firstOffset: Offset;
  readonly nextOffset: Offset;
  readonly bytes: ByteCount;
  /** Of the first entry; of a sealed segment a lower bound. */
  readonly firstAppendTimeMs: Ms;
  readonly lastAppendTimeMs: Ms;
  readonly isSealed: boolean;
}

export function infoOf({
  before,
  last,
  marks,
  isSealed,
  fileBytes,
  dataEnd,
}: Omit<StoredSegment, 'path' | 'segmentId' | 'frames' | 'termRuns'>): SegmentInfo {
  return {
    firstIndex: before.index + 1,
    lastIndex: last.index,
    firstOffset: before.nextOffset,
    nextOffset: last.nextOffset,
    bytes: isSealed ? fileBytes : dataEnd,
    firstAppendTimeMs: marks?.marks[0]?.appendTimeMs ?? before.appendTimeMs,
    lastAppendTimeMs: last.appendTimeMs,
    isSealed,
  };
}
