/**
 * A pass over the sealed segments of one log that reads and checks every byte, so that damage is found while other
 * replicas can still mend it, and not by the reader who needs the bytes (W24). Only looks: what it finds is judged once
 * more by the reader's own way (log-reader.ts), which puts it on the damage list; derived data (header, footer) is
 * written anew between flushes.
 *
 * Runs beside everything else, and holds no place in the write queue while it reads. Segments that are trimmed, cut or
 * compacted under it are left; those sealed after it began are for the next pass, so that it ends.
 */
import type { DamageList } from './damage.ts';
import type { File } from './disk.ts';
import { StorageError } from './errors.ts';
import { readFooter, sameSummary } from './footer.ts';
import type { GroupCommit } from './group-commit.ts';
import { hasOwnHeader, writeHeader } from './header-mend.ts';
import { IndexTable } from './index-table.ts';
import type { LogContext } from './log-context.ts';
import type { LogReader } from './log-reader.ts';
import type { LogEvent } from './options.ts';
import { scanSegment } from './segment-scan.ts';
import type { Segments } from './segments.ts';
import type { StoredSegment } from './stored-segment.ts';
import type { ByteCount } from './types.ts';

/** Of one read: what is checked in one turn of the event loop, and what the pace is kept with. */
const PIECE_BYTES: ByteCount = 128 * 1024;

/** Called after each piece with its size; the pass goes on when it resolves. */
export type Pace = (bytes: ByteCount) => Promise<void>;

export interface ScrubParts {
  readonly context: LogContext;
  readonly segments: Segments;
  readonly commit: GroupCommit;
  readonly reader: LogReader;
  readonly damage: DamageList;
}

export interface ScrubLog {
  assertOpen(): void;
  observe(event: LogEvent): void;
}

/**
 * One pass. Resolves with the number of damaged regions that nobody knew of.
 * @throws StorageError CLOSED when the log is closed under it; IO, after the other segments, when one cannot be looked
 * at.
 */
export async function scrub(parts: ScrubParts, log: ScrubLog, pace: Pace): Promise<number> {
  const { segments } = parts;
  const sealed = (): StoredSegment[] => segments.all().filter(({ isSealed }) => isSealed);
  const upTo = sealed().at(-1)?.last.index ?? 0;
  let damages = 0;
  let failure: StorageError | undefined;
  // Asked for anew each time, by index: the list may be another one by then.
  for (let after = 0; after < upTo; ) {
    const segment = sealed().find(({ last }) => last.index > after);
    if (segment === undefined) break;
    after = segment.last.index;
    try {
      damages += await scrubSegment(parts, log, segment, pace);
    } catch (error) {
      log.assertOpen();
      if (!(error instanceof StorageError)) throw error;
      if (segments.holds(segment)) failure ??= error;
    }
  }
  if (failure !== undefined) throw failure;
  return damages;
}

async function scrubSegment(parts: ScrubParts, log: ScrubLog, segment: StoredSegment, pace: Pace): Promise<number> {
  const { context, segments, reader, damage } = parts;
  // A handle of its own: the pass would otherwise push those that readers use out of the cache.
  const file = await context.disk.open(segment.path, 'read');
  try {
    const paced = pacedFile(file, async (bytes) => {
      await pace(bytes);
      log.assertOpen();
      if (!segments.holds(segment)) throw new StorageError('TRIMMED', 'the segment is gone', { file: segment.path });
    });
    if (!(await hasOwnHeader(context, paced, segment)))
      await mend(parts, log, segment, () => writeHeader(context, segment));
    const marks = new IndexTable();
    const { diskUuid, groupId } = context.own;
    const { path, segmentId, before, dataEnd, last, frames } = segment;
    const { faults } = await scanSegment(
      {
        ...{ file: paced, path, diskUuid, groupId, segmentId, before, end: dataEnd },
        proven: { last, frames },
        windowBytes: PIECE_BYTES,
      },
      (header, position, frame) => marks.add(header, position, frame),
    );
    if (faults.length > 0) {
      const known = damage.countIn(segmentId);
      await reader.judge(segment);
      return Math.max(0, damage.countIn(segmentId) - known);
    }
    const { summary, marks: stored } = await readFooter(paced, dataEnd, path);
    const isOwn = summary !== undefined && stored !== undefined && sameSummary(summary, segment);
    if (!isOwn) await mend(parts, log, segment, () => segments.rewriteFooter(segment, marks.marks));
    return 0;
  } finally {
    await file.close();
  }
}

/** Writes derived data anew, between flushes. Not on a full disk, where the step would wait: the next pass comes by. */
async function mend(
  parts: ScrubParts,
  log: ScrubLog,
  segment: StoredSegment,
  write: () => Promise<void>,
): Promise<void> {
  const { commit, segments } = parts;
  if (commit.isFull || commit.hasFailed) return;
  const isMended = await commit.step(0, async () => {
    if (!segments.holds(segment)) return false;
    await write();
    return true;
  });
  // A segment that was cut has no footer until one is needed: nothing of it was damaged, and that is no news.
  if (isMended && segment.fileBytes > segment.dataEnd) log.observe({ kind: 'mended', file: segment.path });
}

/** Reads as `file` does, one piece at a time, each at its pace. */
function pacedFile(file: File, pace: Pace): Pick<File, 'read' | 'bytes'> {
  return {
    bytes: () => file.bytes(),
    read: async (position, into) => {
      let done = 0;
      while (done < into.length) {
        const piece = into.subarray(done, done + PIECE_BYTES);
        const count = await file.read(position + done, piece);
        done += count;
        await pace(count);
        if (count < piece.length) break;
      }
      return done;
    },
  };
}
