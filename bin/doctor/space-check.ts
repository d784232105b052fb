/** Whether the disk has room. */
import { formatBytes } from '../output.ts';
import { type Finding, failure, ok, warning } from './finding.ts';

export interface SpaceReadings {
  readonly freeBytes: number;
  readonly totalBytes: number;
}

const GiB = 2 ** 30;

/** The room that is to stay free: 1 GiB, or 5 % of a small disk. */
export function floorOf(totalBytes: number): number {
  return Math.min(GiB, totalBytes / 20);
}

export function checkSpace({ freeBytes, totalBytes }: SpaceReadings): Finding {
  const check = 'space';
  const floorBytes = floorOf(totalBytes);
  const [free, total, floor] = [freeBytes, totalBytes, floorBytes].map(formatBytes);
  const found = `${free} of ${total} free, ${floor} are to stay free`;
  if (freeBytes < floorBytes)
    return failure(check, found, 'appends will be refused with STORAGE_FULL: make room first');
  if (freeBytes < 2 * floorBytes) return warning(check, found, 'little is left: set retention, trim, or add a disk');
  return ok(check, found);
}
