/**
 * What the disk alone gives, through the very calls a node makes: durable writes one after the other, by one or several
 * writers at once. The floor under every figure with a flush in it.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type File, NodeDisk } from '../storage/index.ts';
import type { DiskLimit } from './result.ts';
import { type Distribution, distributionOf } from './statistics.ts';

const MiB = 1024 * 1024;

export interface FlushLoop {
  /** Where the files go, for the time of the measurement. */
  readonly dir: string;
  readonly writeBytes: number;
  readonly writers: number;
  /** 'durable-writes': the file says so when it is opened (on Linux: O_DSYNC, one trip to the disk a write). */
  readonly hint: 'durable-writes' | undefined;
  /** Written over from its start when full, as a recycled segment is. A multiple of writeBytes. */
  readonly fileBytes: number;
  /** 'written': its blocks exist, as in a recycled segment. 'grown': a hole, as in a new one. */
  readonly file: 'written' | 'grown';
  readonly seconds: number;
}

export interface FlushLoopResult {
  /** Of one write with its flush. */
  readonly milliseconds: Distribution;
  /** All writers together. */
  readonly bytesPerSecond: number;
}

export async function runFlushLoop(loop: FlushLoop): Promise<FlushLoopResult> {
  const dir = join(loop.dir, 'disk-limit');
  await mkdir(dir);
  const files: File[] = [];
  try {
    for (let at = 0; at < loop.writers; at++) files.push(await prepare(join(dir, `writer-${at}`), loop));
    const begunMs = performance.now();
    const samples = await Promise.all(files.map((file) => write(file, loop, begunMs + loop.seconds * 1_000)));
    const elapsedSeconds = (performance.now() - begunMs) / 1_000;
    const all = samples.flat();
    return { milliseconds: distributionOf(all), bytesPerSecond: (all.length * loop.writeBytes) / elapsedSeconds };
  } finally {
    for (const file of files) await file.close();
    await rm(dir, { recursive: true, force: true });
  }
}

async function prepare(path: string, loop: FlushLoop): Promise<File> {
  const file = await new NodeDisk().open(path, 'create', loop.hint);
  await file.setBytes(loop.fileBytes);
  if (loop.file === 'written') {
    const chunk = Buffer.alloc(MiB, 0x6c);
    for (let at = 0; at < loop.fileBytes; at += MiB) await file.write(at, [chunk]);
  }
  await file.flush();
  return file;
}

async function write(file: File, loop: FlushLoop, untilMs: number): Promise<number[]> {
  const chunk = Buffer.alloc(loop.writeBytes, 0x6c);
  const samples: number[] = [];
  let nowMs = performance.now();
  do {
    await file.writeDurable((samples.length * chunk.length) % loop.fileBytes, [chunk]);
    const doneMs = performance.now();
    samples.push(doneMs - nowMs);
    nowMs = doneMs;
    // At least one, however slow the disk.
  } while (nowMs < untilMs);
  return samples;
}

/** The short form that goes with every result. */
export async function measureDiskLimit(dir: string): Promise<DiskLimit> {
  const loop = { dir, writers: 1, hint: 'durable-writes', fileBytes: 32 * MiB, file: 'written' } as const;
  const small = await runFlushLoop({ ...loop, writeBytes: 4_096, seconds: 0.5 });
  const large = await runFlushLoop({ ...loop, writeBytes: MiB, seconds: 0.75 });
  return {
    method: 'durable writes over written blocks, one writer',
    flush4KiBMsP50: small.milliseconds.p50,
    flush4KiBMsP99: small.milliseconds.p99,
    bytesPerSecond: large.bytesPerSecond,
  };
}
