/**
 * What is known of a sealed segment without reading its entries, and the footer that carries it at the segment's end.
 * The manifest carries the same summary: whichever copy is sound serves, so damage to a footer costs nothing.
 *
 *   summary (in the manifest's list and in the footer)
 *     u64   segment id
 *     40B   log point before the first entry
 *     40B   log point after the last entry; its chain covers every header and payload checksum of the segment, and
 *           is therefore the checksum of all headers
 *     u64   data end: where the entries end and the footer begins
 *     u64   frames: sequence of the last frame
 *     u32   term runs, then per run u64 term, u64 last index
 *
 *   footer, at data end
 *     envelope 'LDFOOTR ', body: 16B disk UUID, summary, u32 bytes of the envelope that follows
 *     envelope 'LDINDEX ', body: u64 segment id, marks (index-table.ts)
 *
 * Append times of the segment lie within [before.appendTimeMs, last.appendTimeMs].
 */
import { type File, PAGE_BYTES } from './disk.ts';
import { claimedEnd, decodeEnvelope, ENVELOPE_BYTES, type EnvelopeKind, encodeEnvelope } from './envelope.ts';
import { FieldReader, FieldWriter, fromHex, toHex } from './fields.ts';
import { type Mark, readMarks, writeMarks } from './index-table.ts';
import { type LogPoint, readPoint, samePoint, writePoint } from './log-point.ts';
import type { ByteCount, TermRun } from './types.ts';

const SUMMARY_KIND: EnvelopeKind = { magic: 'LDFOOTR ', version: 1, bodyBytesMax: 16 * 1024 * 1024 };
const INDEX_KIND: EnvelopeKind = { magic: 'LDINDEX ', version: 1, bodyBytesMax: 64 * 1024 * 1024 };

export interface SegmentSummary {
  readonly segmentId: number;
  readonly before: LogPoint;
  readonly last: LogPoint;
  /** Exclusive end of the entries in the file. */
  readonly dataEnd: ByteCount;
  /** Sequence number of the last frame. */
  readonly frames: number;
  /** Of the segment's entries; ascending. */
  readonly termRuns: readonly TermRun[];
}

export function writeSummary(writer: FieldWriter, summary: SegmentSummary): void {
  writer.u64(summary.segmentId);
  writePoint(writer, summary.before);
  writePoint(writer, summary.last);
  writer.u64(summary.dataEnd).u64(summary.frames).u32(summary.termRuns.length);
  for (const run of summary.termRuns) writer.u64(run.term).u64(run.lastIndex);
}

export function readSummary(reader: FieldReader): SegmentSummary {
  const segmentId = reader.u64();
  const before = readPoint(reader);
  const last = readPoint(reader);
  const dataEnd = reader.u64();
  const frames = reader.u64();
  const count = reader.u32();
  if (count * 16 > reader.left) throw new RangeError(`${count} term runs in ${reader.left} bytes`);
  const termRuns = Array.from({ length: count }, () => ({ term: reader.u64(), lastIndex: reader.u64() }));
  return { segmentId, before, last, dataEnd, frames, termRuns };
}

/** Footer as two chunks: the summary, and the index behind it. */
export function encodeFooter(summary: SegmentSummary, marks: readonly Mark[], diskUuid: string): Uint8Array[] {
  const index = new FieldWriter().u64(summary.segmentId);
  writeMarks(index, marks);
  const indexBytes = encodeEnvelope(INDEX_KIND, index.finish());
  const body = new FieldWriter().bytes(fromHex(diskUuid, 16));
  writeSummary(body, summary);
  body.u32(indexBytes.length);
  return [encodeEnvelope(SUMMARY_KIND, body.finish()), indexBytes];
}

export interface Footer {
  readonly summary: SegmentSummary;
  readonly diskUuid: string;
  /** Where the index envelope begins and how long it is. */
  readonly indexPosition: ByteCount;
  readonly indexBytes: ByteCount;
}

/** The footer's first part from bytes that begin at `position` of the file; undefined when it fails its check. */
export function decodeFooter(bytes: Uint8Array, position: ByteCount, file: string): Footer | undefined {
  const body = decodeEnvelope(SUMMARY_KIND, bytes, file);
  if (body === undefined) return undefined;
  const fields = new FieldReader(body);
  const diskUuid = toHex(fields.bytes(16));
  const summary = readSummary(fields);
  return { summary, diskUuid, indexPosition: position + ENVELOPE_BYTES + body.length, indexBytes: fields.u32() };
}

/** The marks of a footer's second part; undefined when it fails its check or is another segment's. */
export function decodeIndex(bytes: Uint8Array, segmentId: number, file: string): Mark[] | undefined {
  const body = decodeEnvelope(INDEX_KIND, bytes, file);
  if (body === undefined) return undefined;
  const fields = new FieldReader(body);
  return fields.u64() === segmentId ? readMarks(fields) : undefined;
}

/**
 * What lies behind a sealed segment's entries: summary and marks, each undefined when it is missing or fails its check.
 * Whether they are of this state of the segment is for the caller to compare (sameSummary).
 */
export async function readFooter(
  file: Pick<File, 'read' | 'bytes'>,
  dataEnd: ByteCount,
  path: string,
): Promise<{ readonly summary: SegmentSummary | undefined; readonly marks: readonly Mark[] | undefined }> {
  const left = (await file.bytes()) - dataEnd;
  const readAt = async (position: ByteCount, length: ByteCount): Promise<Uint8Array> => {
    const bytes = new Uint8Array(length);
    return bytes.subarray(0, await file.read(position, bytes));
  };
  let start = await readAt(dataEnd, PAGE_BYTES);
  // A segment of many terms: its summary is longer than a page.
  const end = claimedEnd(SUMMARY_KIND, start) ?? 0;
  if (end > start.length && end <= left) start = await readAt(dataEnd, end);
  const footer = decodeFooter(start, dataEnd, path);
  if (footer === undefined) return { summary: undefined, marks: undefined };
  const { summary, indexPosition, indexBytes } = footer;
  if (indexPosition - dataEnd + indexBytes > left) return { summary, marks: undefined };
  return { summary, marks: decodeIndex(await readAt(indexPosition, indexBytes), summary.segmentId, path) };
}

export function sameSummary(a: SegmentSummary, b: SegmentSummary): boolean {
  return (
    a.segmentId === b.segmentId && a.dataEnd === b.dataEnd && samePoint(a.before, b.before) && samePoint(a.last, b.last)
  );
}
