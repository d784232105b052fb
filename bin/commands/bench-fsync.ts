/**
 * `logdrive bench fsync`: what the disk itself allows, measured through the very calls a node makes: a durable write
 * of several sizes, one after the other, into a file grown beforehand. No node can acknowledge faster than this.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type File, NodeDisk } from '../../storage/index.ts';
import type { Command, Invocation } from '../command.ts';
import { UsageError } from '../exit.ts';
import { type Column, formatBytes, groupDigits, renderList } from '../output.ts';
import { parseDurationMs } from '../values.ts';

const KiB = 1024;
const SIZES: readonly number[] = [4 * KiB, 64 * KiB, 256 * KiB, 1024 * KiB];
/** The file is written over from its start when it is full, as a recycled segment would be. */
const FILE_BYTES = 64 * 1024 * KiB;
const DURATION_MS_MAX = 60_000;

export const benchFsync: Command = {
  usage: 'fsync',
  flags: {
    'data-dir': {
      kind: 'text',
      sentence: 'A directory on the disk to measure; a file of 64 MiB is made there for the time.',
      placeholder: 'DIR',
      defaultText: '.',
    },
    duration: { kind: 'text', sentence: 'How long each size is measured.', placeholder: 'DURATION', defaultText: '2s' },
  },
  examples: [['$0 bench fsync --data-dir /var/lib/logdrive', 'the disk of that directory']],
  run: runBench,
};

interface Measurement {
  readonly bytes: number;
  readonly flushes: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly flushesPerSecond: number;
  readonly megabytesPerSecond: number;
}

const COLUMNS: readonly Column<Measurement>[] = [
  { title: 'WRITE + FLUSH', text: (row) => `${row.bytes / KiB} KiB`, align: 'right' },
  { title: 'P50 MS', text: (row) => row.p50Ms.toFixed(3), align: 'right' },
  { title: 'P99 MS', text: (row) => row.p99Ms.toFixed(3), align: 'right' },
  { title: 'FLUSHES/S', text: (row) => groupDigits(Math.round(row.flushesPerSecond)), align: 'right' },
  { title: 'MB/S', text: (row) => row.megabytesPerSecond.toFixed(1), align: 'right' },
];

async function runBench(invocation: Invocation): Promise<void> {
  const { terminal, output } = invocation;
  const durationMs = parseDurationMs('--duration', invocation.text('duration')!);
  if (durationMs < 1 || durationMs > DURATION_MS_MAX)
    throw new UsageError(`--duration wants 1ms to ${DURATION_MS_MAX} ms`);
  const parent = resolve(invocation.text('data-dir')!);
  const dir = await mkdtemp(join(parent, 'logdrive-bench-'));
  try {
    const disk = new NodeDisk();
    const file = await disk.open(join(dir, 'flush'), 'create', 'durable-writes');
    terminal.say(`Measuring the disk of ${parent}, ${formatBytes(FILE_BYTES)} at a time.`);
    await fill(file);
    const rows: Measurement[] = [];
    for (const bytes of SIZES) rows.push(await measure(file, bytes, durationMs));
    await file.close();
    terminal.out.writeText(renderList(output, COLUMNS, rows));
  } finally {
    await rm(dir, { recursive: true });
  }
}

/** Writes every block once: a log's own blocks are allocated ahead too, and holes would be measured as something else. */
async function fill(file: File): Promise<void> {
  const chunk = randomBytes(1024 * KiB);
  for (let at = 0; at < FILE_BYTES; at += chunk.length) await file.write(at, [chunk]);
  await file.flush();
}

async function measure(file: File, bytes: number, durationMs: number): Promise<Measurement> {
  const chunk = randomBytes(bytes);
  const samples: number[] = [];
  const begunMs = performance.now();
  let nowMs = begunMs;
  for (let position = 0; nowMs - begunMs < durationMs; position = (position + bytes) % FILE_BYTES) {
    await file.writeDurable(position, [chunk]);
    const doneMs = performance.now();
    samples.push(doneMs - nowMs);
    nowMs = doneMs;
  }
  samples.sort((a, b) => a - b);
  const elapsedS = (nowMs - begunMs) / 1e3;
  return {
    bytes,
    flushes: samples.length,
    p50Ms: percentile(samples, 0.5),
    p99Ms: percentile(samples, 0.99),
    flushesPerSecond: samples.length / elapsedS,
    megabytesPerSecond: (samples.length * bytes) / elapsedS / 1e6,
  };
}

/** The smallest sample that at least that share of all samples does not exceed. `sorted` holds one at least. */
function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.ceil(sorted.length * share) - 1]!;
}
