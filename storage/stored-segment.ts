/** A segment as a reader sees it: where it lies, what it holds, how far it may be read. */
import { joinPath } from './disk.ts';
import type { SegmentSummary } from './footer.ts';
import type { IndexTable } from './index-table.ts';
import type { ByteCount } from './types.ts';

export interface StoredSegment extends SegmentSummary {
  readonly path: string;
  /** Size of the file, footer included. */
  readonly fileBytes: ByteCount;
  /** The sparse index when it is in memory, as the active segment's is. */
  readonly marks: IndexTable | undefined;
  readonly isSealed: boolean;
}

const NAME = /^(\d{16})\.segment$/;

export function segmentPath(directory: string, segmentId: number): string {
  return joinPath(directory, `${String(segmentId).padStart(16, '0')}.segment`);
}

/** The id a segment file's name gives, or undefined for any other file. */
export function segmentIdOf(name: string): number | undefined {
  const match = NAME.exec(name);
  return match === null ? undefined : Number(match[1]);
}
