/**
 * Puts a damaged entry back where it was, byte for byte: the entry comes from a peer, its place and size are known from
 * what is sound around it. Entries of one damaged region are repaired in index order, since each one's size says where
 * the next begins; frame headers lost in the region are written anew first. Nothing outside the region changes.
 *
 * A stop in the middle leaves a shorter damaged region, which the next open finds. Runs as a step of the write queue:
 * no flush is in flight.
 */
import assert from 'node:assert/strict';
import type { DamageList } from './damage.ts';
import { type File, PAGE_BYTES } from './disk.ts';
import { isUnreadable, StorageError } from './errors.ts';
import { decodeEntries, entryBytes, isChained, isPayloadSound } from './format.ts';
import { encodeFrameHeader, FRAME_HEADER_BYTES, frameSeed } from './frame.ts';
import type { LogContext } from './log-context.ts';
import { pointAfter, samePoint, whyNotAfter } from './log-point.ts';
import type { Fault } from './segment-scan.ts';
import type { ByteCount, LogEntry } from './types.ts';

export interface RepairContext extends LogContext {
  readonly damage: DamageList;
}

/** Repairs one entry; the reason why it was refused, or undefined when it is in its place. */
export async function repairEntry(context: RepairContext, entry: LogEntry): Promise<StorageError | undefined> {
  const { header } = entry;
  const found = context.damage.covering(header.index);
  if (found === undefined) return refuse(`entry ${header.index} is not damaged`, header.index);
  const { fault } = found;
  const reason = whyUnfit(context, fault, entry);
  if (reason !== undefined) return refuse(reason, header.index);
  const position = placeOf(fault);
  const end = position + entryBytes(entry);
  const file = await context.disk.open(found.path, 'write');
  try {
    if (!(await isReadable(file, fault.position, end))) {
      // Not OUT_OF_RANGE: whether the entry fits is not known by that.
      return new StorageError('IO', 'the medium does not give the place of the entry back', { index: header.index });
    }
    if (position !== fault.position) await writeLostFrames(context, file, found);
    await context.scheduler.run('entries', () => file.writeDurable(position, [entry.headerBytes, entry.payload]));
    await assertReadsBack(file, found.path, position, entry);
    // Cut away meanwhile: nothing is known to be damaged any more.
    if (!context.damage.all.includes(found)) return undefined;
    const left = restOf(fault, entry, end);
    // The region may end in lost frames that held nothing.
    if (left !== undefined && left.before.index === left.after.index) {
      await writeLostFrames(context, file, { ...found, fault: left });
    }
    const isDone = left === undefined || left.before.index === left.after.index;
    const others = context.damage.all.filter((one) => one.segmentId === found.segmentId && one !== found);
    const faults = [...others.map((one) => one.fault), ...(isDone ? [] : [left])];
    context.damage.note({ ...found, isSealed: found.where === 'sealed' }, faults);
  } finally {
    await file.close();
  }
  return undefined;
}

/**
 * Writes a lost frame header anew when nothing but frame headers was damaged: all its fields follow from the entries
 * behind it and the evidence after them. False when entries are damaged too.
 */
export async function mendFrames(
  context: LogContext,
  file: File,
  found: { readonly segmentId: number; readonly fault: Fault },
): Promise<boolean> {
  const { fault } = found;
  if (fault.missing?.position !== fault.position || !(await isReadable(file, fault.position, fault.end))) return false;
  const entryCount = fault.after.index - fault.before.index;
  if (entryCount > 0 && !(await holdsEntries(file, fault))) return false;
  await writeLostFrames(context, file, found);
  return true;
}

/**
 * Whether the medium gives the pages of a region back. Where it does not, nothing can be put back in place: a write of
 * less than a page reads the page first, and its failure would be a failed flush. The segment is written anew instead
 * (rewrite.ts), elsewhere on the medium.
 */
async function isReadable(file: File, position: ByteCount, end: ByteCount): Promise<boolean> {
  const first = position - (position % PAGE_BYTES);
  const last = Math.min(Math.ceil(end / PAGE_BYTES) * PAGE_BYTES, await file.bytes());
  try {
    await file.read(first, new Uint8Array(Math.max(0, last - first)));
    return true;
  } catch (error) {
    if (isUnreadable(error)) return false;
    throw error;
  }
}

/** Whether sound entries fill a region behind its first, lost frame header. */
async function holdsEntries(file: File, fault: Fault): Promise<boolean> {
  const start = fault.position + FRAME_HEADER_BYTES;
  const bytes = new Uint8Array(Math.max(0, entriesEndOf(fault) - start));
  if ((await file.read(start, bytes)) < bytes.length) return false;
  try {
    const entries = decodeEntries(bytes, fault.before.chain);
    const first = entries[0]?.header;
    const last = entries.at(-1)?.header;
    if (first === undefined || last === undefined || whyNotAfter(fault.before, first) !== undefined) return false;
    return samePoint(pointAfter(last), fault.after);
  } catch (error) {
    if (error instanceof StorageError) return false;
    throw error;
  }
}

async function assertReadsBack(file: File, path: string, position: ByteCount, entry: LogEntry): Promise<void> {
  const back = new Uint8Array(entryBytes(entry));
  const payloadAt = entry.headerBytes.length;
  const count = await file.read(position, back);
  const isSame =
    count === back.length &&
    Buffer.compare(back.subarray(0, payloadAt), entry.headerBytes) === 0 &&
    Buffer.compare(back.subarray(payloadAt), entry.payload) === 0;
  if (!isSame)
    throw new StorageError('FLUSH_FAILED', 'a repaired entry reads back otherwise', { file: path, position });
}

/** The region without the repaired entry; undefined when nothing of it is left. */
function restOf(fault: Fault, entry: LogEntry, end: ByteCount): Fault | undefined {
  const before = pointAfter(entry.header);
  const missing = fault.missing !== undefined && end <= fault.missing.position ? fault.missing : undefined;
  if (before.index === fault.after.index && missing === undefined) return undefined;
  // Frames that were written anew lie at the end, whole, and are no part of what is left.
  return { ...fault, position: end, end: missing === undefined ? entriesEndOf(fault) : fault.end, before, missing };
}

function whyUnfit(context: RepairContext, fault: Fault, entry: LogEntry): string | undefined {
  const { header } = entry;
  if (header.groupId !== context.own.groupId) return `an entry of group ${header.groupId}`;
  const disorder = whyNotAfter(fault.before, header);
  if (disorder !== undefined) return disorder;
  if (header.term > fault.after.term) return `its term ${header.term} is above ${fault.after.term}, the region's last`;
  if (!isChained(entry.headerBytes, header, fault.before.chain)) return 'its chain does not follow the entry before it';
  if (!isPayloadSound(header, entry.payload)) return 'its payload fails its checksum';
  const after = pointAfter(header);
  const end = placeOf(fault) + entryBytes(entry);
  const entriesEnd = entriesEndOf(fault);
  if (after.index < fault.after.index) {
    return end < entriesEnd ? undefined : `it ends at byte ${end}, the region's entries at ${entriesEnd}`;
  }
  if (!samePoint(after, fault.after)) return 'the entry behind it does not follow';
  return end === entriesEnd || hasOnlyEmptyFramesFrom(fault, end)
    ? undefined
    : `it ends at byte ${end}, its place at ${entriesEnd}`;
}

/** Where the entries of the region end: behind them come the empty frames that stand in for lost headers. */
function entriesEndOf(fault: Fault): ByteCount {
  return fault.end - FRAME_HEADER_BYTES * Math.max(0, (fault.missing?.count ?? 0) - 1);
}

function hasOnlyEmptyFramesFrom(fault: Fault, position: ByteCount): boolean {
  const { missing, end } = fault;
  return (
    missing !== undefined && position === missing.position && end - position === missing.count * FRAME_HEADER_BYTES
  );
}

/** Where the next entry of the region goes: behind the first lost frame header, when that is what comes next. */
function placeOf(fault: Fault): ByteCount {
  return fault.position + (fault.position === fault.missing?.position ? FRAME_HEADER_BYTES : 0);
}

/**
 * Writes the lost frame headers of a region that begins with the first of them. How the entries were spread over the
 * frames is not known and does not matter: the first frame takes them all, the others follow, empty, at the end.
 */
async function writeLostFrames(
  context: LogContext,
  file: File,
  { segmentId, fault }: { readonly segmentId: number; readonly fault: Fault },
): Promise<void> {
  const { missing, before, after, position } = fault;
  assert(missing?.position === position, 'the region begins with the first lost frame');
  const seed = frameSeed(context.own.diskUuid, segmentId);
  const entryCount = after.index - before.index;
  const firstEmpty = entryCount > 0 ? 1 : 0;
  const frame = { segmentId, commitHint: 0 };
  if (entryCount > 0) {
    const bodyBytes = entriesEndOf(fault) - position - FRAME_HEADER_BYTES;
    const at = { sequence: missing.firstSequence, position, provenPosition: position };
    const bytes = encodeFrameHeader({ ...frame, ...at, bodyBytes, entryCount, before }, seed);
    await context.scheduler.run('entries', () => file.writeDurable(position, [bytes]));
  }
  for (let i = firstEmpty; i < missing.count; i++) {
    const at = fault.end - FRAME_HEADER_BYTES * (missing.count - i);
    const place = { sequence: missing.firstSequence + i, position: at, provenPosition: at };
    const bytes = encodeFrameHeader({ ...frame, ...place, bodyBytes: 0, entryCount: 0, before: after }, seed);
    await context.scheduler.run('entries', () => file.writeDurable(at, [bytes]));
  }
}

function refuse(reason: string, index: number): StorageError {
  return new StorageError('OUT_OF_RANGE', `not a repair: ${reason}`, { index });
}
