/**
 * What durable writes cost on a disk, through the very calls a node makes: one after the other, into a file that was
 * filled beforehand, as a recycled segment is. Used by `bench fsync` and `doctor`.
 */
import { randomBytes } from 'node:crypto';
import type { File } from '../storage/index.ts';

export const TIMED_FILE_BYTES: number = 64 * 1024 * 1024;

/** Ascending; never empty. */
export type Samples = readonly number[];

/**
 * Writes every block once: a log's own blocks are allocated ahead too, and holes would be measured as something else.
 */
export async function fillFile(file: File, bytes: number = TIMED_FILE_BYTES): Promise<void> {
  const chunk = randomBytes(1024 * 1024);
  for (let at = 0; at < bytes; at += chunk.length) await file.write(at, [chunk]);
  await file.flush();
}

export interface TimedWrites {
  /** Of one write. */
  readonly bytes: number;
  /** Of the file, which is written over from its start when it is full. */
  readonly fileBytes: number;
  readonly durationMs: number;
  write(position: number, chunk: Uint8Array): Promise<void>;
}

/** Milliseconds of each write. */
export async function timeWrites({ bytes, fileBytes, durationMs, write }: TimedWrites): Promise<Samples> {
  const chunk = randomBytes(bytes);
  const samples: number[] = [];
  const begunMs = performance.now();
  let nowMs = begunMs;
  for (
    let position = 0;
    samples.length === 0 || nowMs - begunMs < durationMs;
    position = (position + bytes) % fileBytes
  ) {
    await write(position, chunk);
    const doneMs = performance.now();
    samples.push(doneMs - nowMs);
    nowMs = doneMs;
  }
  return samples.sort((a, b) => a - b);
}

/** The smallest sample that at least that share of all samples does not exceed. */
export function percentile(sorted: Samples, share: number): number {
  return sorted[Math.ceil(sorted.length * share) - 1]!;
}
