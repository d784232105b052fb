/**
 * One segment file for `logdrive wal verify`: its header, every frame and entry, and what lies behind them. What is
 * damage and what a torn end is segment-scan.ts's to judge; this file puts it into words.
 */
import type { Disk } from './disk.ts';
import {
  type FileFacts,
  type FileVerdict,
  type Finding,
  REFUSES_LOG,
  refusal,
  strange,
  verdictOn,
} from './file-verdict.ts';
import { readFooter, sameSummary } from './footer.ts';
import type { LogPoint } from './log-point.ts';
import type { Manifest } from './manifest.ts';
import { assertOwn, decodeSegmentHeader, isInPlace, type LogIdentity, SEGMENT_HEADER_BYTES } from './segment-header.ts';
import { scanFrames } from './segment-scan.ts';
import type { ByteCount, LogIndex } from './types.ts';

export async function verifySegment(
  disk: Disk,
  facts: Omit<FileFacts, 'kind'>,
  segmentId: number,
  manifest: Manifest | undefined,
): Promise<FileVerdict> {
  const whole: FileFacts = { ...facts, kind: 'segment' };
  if (manifest === undefined) return verdictOn(whole, []);
  const end = manifest.sealed.find((one) => one.segmentId === segmentId);
  const before = end?.before ?? (manifest.active.segmentId === segmentId ? manifest.active.before : undefined);
  if (before === undefined) {
    if (segmentId <= manifest.nextSegmentId) return strange(facts.file, true, facts.groupId, facts.bytes);
    const what = `segment ${segmentId} is newer than the manifest, which was replaced by an old one`;
    return verdictOn(whole, [{ state: 'damaged', what, remedy: REFUSES_LOG }]);
  }
  const findings: Finding[] = [];
  let entries = 0;
  const file = await disk.open(facts.file, 'read');
  try {
    const header = new Uint8Array(SEGMENT_HEADER_BYTES);
    const count = await file.read(0, header);
    findings.push(...judgeHeader(header.subarray(0, count), manifest, { segmentId, before }, facts.file));
    const { diskUuid, groupId } = manifest;
    const target = { file, path: facts.file, diskUuid, groupId, segmentId, before, proven: end };
    const frames = scanFrames({ ...target, end: end?.dataEnd ?? facts.bytes });
    for (let next = await frames.next(); ; next = await frames.next()) {
      if (!next.done) {
        entries += next.value.entries.length;
        continue;
      }
      const { faults, tornBytes, dataEnd } = next.value;
      for (const fault of faults) findings.push(damageOf(fault.position, fault.before.index, fault.after.index));
      if (tornBytes > 0) {
        const what = `${tornBytes} bytes of a write that was never confirmed`;
        findings.push({ state: 'torn end', position: dataEnd, what, remedy: 'a start cuts them off' });
      }
      break;
    }
    if (end !== undefined) {
      const { summary, marks } = await readFooter(file, end.dataEnd, facts.file);
      const isOwn = summary !== undefined && marks !== undefined && sameSummary(summary, end);
      const what = 'no sound footer and sparse index behind its entries';
      const remedy = 'both are made anew from the entries when they are next read';
      if (!isOwn) findings.push({ state: 'derived', position: end.dataEnd, what, remedy });
    }
  } catch (error) {
    findings.push(refusal(error, REFUSES_LOG));
  } finally {
    await file.close();
  }
  return verdictOn({ ...whole, entries }, findings);
}

function judgeHeader(
  block: Uint8Array,
  own: LogIdentity,
  place: { readonly segmentId: number; readonly before: LogPoint },
  file: string,
): Finding[] {
  try {
    const header = decodeSegmentHeader(block, file);
    if (header !== undefined) assertOwn(header, own, file);
    if (header !== undefined && isInPlace(header, place.segmentId, place.before)) return [];
    const what = header === undefined ? 'its header is damaged' : `its header is of segment ${header.segmentId}`;
    return [{ state: 'mendable', position: 0, what, remedy: 'a start writes it anew from the manifest' }];
  } catch (error) {
    return [refusal(error, REFUSES_LOG)];
  }
}

function damageOf(position: ByteCount, before: LogIndex, lastIndex: LogIndex): Finding {
  const firstIndex = before + 1;
  const what = lastIndex < firstIndex ? 'frame headers are damaged' : `entries ${firstIndex}..${lastIndex} are damaged`;
  const remedy =
    lastIndex < firstIndex
      ? 'they are written anew from the entries around them'
      : 'a node fetches them from its peers and never cuts them off';
  return { state: lastIndex < firstIndex ? 'mendable' : 'damaged', position, firstIndex, lastIndex, what, remedy };
}
