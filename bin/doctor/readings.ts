/** Reads and measures what the checks judge. The only file of the doctor that touches the machine. */
import { mkdtemp, readFile, realpath, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import { type File, NodeDisk } from '../../storage/index.ts';
import { fillFile, percentile, type Samples, timeWrites } from '../flush-timing.ts';
import type { ClockReadings } from './clock-check.ts';
import type { EventLoopReadings } from './event-loop-check.ts';
import { type FileSystemReadings, mountOf } from './file-system-check.ts';
import type { FlushReadings, FlushTimes, Medium } from './flush-check.ts';
import { type MemoryReadings, memoryLimitOf, openFilesOf } from './limits-check.ts';
import type { SpaceReadings } from './space-check.ts';

export interface Readings {
  readonly flush: FlushReadings;
  readonly fileSystem: FileSystemReadings;
  readonly space: SpaceReadings;
  readonly clock: ClockReadings;
  readonly eventLoop: Omit<EventLoopReadings, 'electionMsMin'>;
  readonly openFiles: { readonly softLimit: number | undefined };
  readonly memory: MemoryReadings;
  readonly runtime: { readonly version: string; readonly threadPoolSize: number };
}

const WRITE_BYTES = 4096;
const FILE_BYTES = 16 * 1024 * 1024;
const CLOCK_EVERY_MS = 20;
const LOOP_RESOLUTION_MS = 5;
/** libuv's own. */
const THREADS_DEFAULT = 4;

/** @param durationMs Of each of the three measurements: two of the disk, one of the machine at rest. */
export async function takeReadings(directory: string, durationMs: number): Promise<Readings> {
  // At rest first: the disk's measurement keeps the machine busy.
  const { clock, eventLoop } = await watchClocks(durationMs);
  const disk = new NodeDisk();
  return {
    flush: await measureFlush(disk, directory, durationMs),
    fileSystem: await readFileSystem(directory),
    space: await disk.space(directory),
    clock,
    eventLoop,
    openFiles: { softLimit: openFilesOf((await readText('/proc/self/limits')) ?? '') },
    memory: await readMemory(),
    runtime: {
      version: process.version,
      threadPoolSize: Number(process.env.UV_THREADPOOL_SIZE ?? THREADS_DEFAULT),
    },
  };
}

async function measureFlush(disk: NodeDisk, directory: string, durationMs: number): Promise<FlushReadings> {
  const scratch = await mkdtemp(join(directory, 'logdrive-doctor-'));
  try {
    const synchronous = await disk.open(join(scratch, 'durable'), 'create', 'durable-writes');
    const plain = await disk.open(join(scratch, 'plain'), 'create');
    try {
      const time = async (
        file: File,
        ms: number,
        write: (position: number, chunk: Uint8Array) => Promise<void>,
      ): Promise<Samples> => {
        await fillFile(file, FILE_BYTES);
        return timeWrites({ bytes: WRITE_BYTES, fileBytes: FILE_BYTES, durationMs: ms, write });
      };
      const durable = await time(synchronous, durationMs, (at, chunk) => synchronous.writeDurable(at, [chunk]));
      const flushed = await time(plain, durationMs, (at, chunk) => plain.writeDurable(at, [chunk]));
      const unflushed = await time(plain, durationMs / 10, (at, chunk) => plain.write(at, [chunk]));
      return {
        ...(await readMedium(directory)),
        durableWrite: timesOf(durable),
        writeAndFlush: timesOf(flushed),
        plainWriteMs: percentile(unflushed, 0.5),
      };
    } finally {
      await synchronous.close();
      await plain.close();
    }
  } finally {
    await rm(scratch, { recursive: true });
  }
}

function timesOf(samples: Samples): FlushTimes {
  const at = (share: number): number => percentile(samples, share);
  return { count: samples.length, p50Ms: at(0.5), p90Ms: at(0.9), p99Ms: at(0.99), p999Ms: at(0.999), maxMs: at(1) };
}

/** What the kernel says of the block device under a directory. */
async function readMedium(directory: string): Promise<Pick<FlushReadings, 'medium' | 'writeCache'>> {
  const { dev } = await stat(directory);
  // Of Linux' dev_t: the minor number's low byte, the major number, the rest of the minor one.
  const [major, minor] = [(dev >> 8) & 0xfff, (dev & 0xff) | ((dev >> 12) & 0xfff00)];
  try {
    const device = await realpath(`/sys/dev/block/${major}:${minor}`);
    // A partition has no queue of its own: its disk, one folder up, has.
    const queue = (await readText(join(device, 'queue/rotational'))) === undefined ? join(device, '..') : device;
    const writeCache = (await readText(join(queue, 'queue/write_cache')))?.trim();
    return {
      medium: mediumOf(queue, await readText(join(queue, 'queue/rotational'))),
      writeCache: writeCache === 'write back' || writeCache === 'write through' ? writeCache : undefined,
    };
  } catch {
    // No block device under it (overlay, network, macOS): nothing is known.
    return { medium: 'unknown', writeCache: undefined };
  }
}

/** Virtual disks call themselves rotational as they please: their name counts first. */
function mediumOf(device: string, rotational: string | undefined): Medium {
  if (/\/(vd[a-z]+|xvd[a-z]+|loop\d+|nbd\d+|zram\d+)$/.test(device) || device.includes('/virtio')) return 'virtual';
  if (rotational === undefined) return 'unknown';
  return rotational.trim() === '1' ? 'rotational' : 'solid state';
}

async function readFileSystem(directory: string): Promise<FileSystemReadings> {
  const { type: magic } = await statfs(directory);
  const mountInfo = await readText('/proc/self/mountinfo');
  return { magic, mount: mountInfo === undefined ? undefined : mountOf(mountInfo, await realpath(directory)) };
}

async function readMemory(): Promise<MemoryReadings> {
  const text =
    (await readText('/sys/fs/cgroup/memory.max')) ?? (await readText('/sys/fs/cgroup/memory/memory.limit_in_bytes'));
  return { limitBytes: memoryLimitOf(text), heapLimitBytes: getHeapStatistics().heap_size_limit };
}

async function watchClocks(durationMs: number): Promise<Pick<Readings, 'clock' | 'eventLoop'>> {
  const samples: { wallMs: number; monotonicMs: number }[] = [];
  const loop = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  loop.enable();
  const begunMs = performance.now();
  while (performance.now() - begunMs < durationMs) {
    samples.push({ wallMs: Date.now(), monotonicMs: performance.now() });
    await new Promise((resolve) => setTimeout(resolve, CLOCK_EVERY_MS));
  }
  loop.disable();
  samples.push({ wallMs: Date.now(), monotonicMs: performance.now() });
  const late = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - LOOP_RESOLUTION_MS);
  const eventLoop = { observedMs: durationMs, p99Ms: late(loop.percentile(99)), maxMs: late(loop.max) };
  return { clock: { samples }, eventLoop };
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    // Not on this system, or not for us: the check says that it does not know.
    return undefined;
  }
}
