/**
 * `logdrive bench fsync`: what the disk itself allows, measured through the very calls a node makes: a durable write
 * of several sizes, one after the other, into a file grown beforehand. No node can acknowledge faster than this.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type File, NodeDisk } from '../../storage/index.ts';
import type { Command, Invocation } from '../command.ts';
import { UsageError } from '../exit.ts';
import { fillFile, percentile, TIMED_FILE_BYTES, timeWrites } from '../flush-timing.ts';
import { type Column, formatBytes, groupDigits, renderList } from '../output.ts';
import { parseDurationMs } from '../values.ts';

const KiB = 1024;
const SIZES: readonly number[] = [4 * KiB, 64 * KiB, 256 * KiB, 1024 * KiB];
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
    terminal.say(`Measuring the disk of ${parent}, ${formatBytes(TIMED_FILE_BYTES)} at a time.`);
    await fillFile(file);
    const rows: Measurement[] = [];
    for (const bytes of SIZES) rows.push(await measure(file, bytes, durationMs));
    await file.close();
    terminal.out.writeText(renderList(output, COLUMNS, rows));
  } finally {
    await rm(dir, { recursive: true });
  }
}

async function measure(file: File, bytes: number, durationMs: number): Promise<Measurement> {
  const write = (position: number, chunk: Uint8Array): Promise<void> => file.writeDurable(position, [chunk]);
  const samples = await timeWrites({ bytes, fileBytes: TIMED_FILE_BYTES, durationMs, write });
  const elapsedS = samples.reduce((sum, each) => sum + each, 0) / 1e3;
  return {
    bytes,
    flushes: samples.length,
    p50Ms: percentile(samples, 0.5),
    p99Ms: percentile(samples, 0.99),
    flushesPerSecond: samples.length / elapsedS,
    megabytesPerSecond: (samples.length * bytes) / elapsedS / 1e6,
  };
}
