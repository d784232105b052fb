/**
 * Small appends to many real logs (storage as it is), as a node makes them for its partitions: on the disk itself, or
 * on the journal of journal-disk.ts. Runs in a process of its own (writer-main.ts) or in a worker
 * (workers/worker-main.ts).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeRecordBatch } from '../../src/protocol/index.ts';
import { crc32c, DataDirectory, encodeEntry, type Log, type NewEntry, NodeDisk } from '../../storage/index.ts';
import { Schedule } from '../schedule.ts';
import { JournalDisk } from './journal-disk.ts';

export interface WriterOptions {
  readonly dir: string;
  readonly way: 'files' | 'journal';
  readonly logs: number;
  readonly recordBytes: number;
  readonly journalBytes: number;
}

export interface Work {
  /** Appends a second over all logs; 0: one in flight on each log, as fast as they go. */
  readonly perSecond: number;
  readonly seconds: number;
}

export interface Done {
  readonly tookMs: Float64Array;
  readonly elapsedSeconds: number;
  /** Of the whole process, threads of the pool included. */
  readonly cpuSeconds: number;
  /** Calls of the operating system that write. */
  readonly writes: number;
}

const FLUSHES_AT_ONCE = { files: 8, journal: 100_000 } as const;
const CLUSTER_ID = '00000000-0000-4000-8000-000000000000';

/** A log with the next entry for it at hand. */
export class Target {
  readonly #batch: Uint8Array;
  #log: Log | undefined;
  /** Of appends whose flush has not ended, oldest first. */
  readonly #waiting: { readonly index: number; readonly resolve: () => void }[] = [];

  constructor(batch: Uint8Array) {
    this.#batch = batch;
  }

  async open(directory: DataDirectory, groupId: number): Promise<void> {
    this.#log = await directory.openLog(groupId, {
      clusterId: CLUSTER_ID,
      timers: { after: (ms, fn) => cancellable(setTimeout(fn, ms)) },
      onFlushed: ({ index }) => {
        while (this.#waiting[0] !== undefined && this.#waiting[0].index <= index) this.#waiting.shift()!.resolve();
      },
    });
  }

  /** Resolves when it is durable. */
  append(): Promise<void> {
    const log = this.#log!;
    const index = log.lastIndex + 1;
    const entry: NewEntry = {
      ...{ kind: 'batch', groupId: log.groupId, index, term: 1, baseOffset: log.nextOffset, recordCount: 1 },
      ...{ appendTimeMs: Date.now(), producer: undefined, payload: this.#batch },
    } as const;
    log.append([encodeEntry(entry, log.lastChain)]);
    return new Promise((resolve) => this.#waiting.push({ index, resolve }));
  }
}

function cancellable(timer: NodeJS.Timeout): { cancel(): void } {
  return { cancel: () => clearTimeout(timer) };
}

export async function openAll({ dir, way, logs, recordBytes, journalBytes }: WriterOptions): Promise<Target[]> {
  const disk = new NodeDisk();
  await disk.makeDirectory(dir);
  const path = join(dir, 'journal');
  const directory = await DataDirectory.open(
    way === 'files' ? disk : await JournalDisk.open(disk, { path, bytes: journalBytes }),
    join(dir, 'data'),
    {
      nodeId: 'n1',
      randomBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
      flushesInFlightMax: FLUSHES_AT_ONCE[way],
      onFatal: (error) => {
        throw error;
      },
    },
  );
  const value = new Uint8Array(recordBytes).fill(7);
  const batch = encodeRecordBatch([{ value }], { nowMs: Date.now(), crc32c });
  const targets: Target[] = [];
  for (let at = 0; at < logs; at++) {
    const target = new Target(batch);
    await target.open(directory, at + 1);
    targets.push(target);
  }
  return targets;
}

export async function perform(targets: readonly Target[], { perSecond, seconds }: Work): Promise<Done> {
  const before = { cpu: process.cpuUsage(), writes: writeCalls(), atMs: performance.now() };
  const tookMs =
    perSecond === 0
      ? await oneInFlight(targets, seconds)
      : await new Schedule(perSecond).run(Math.ceil(perSecond * seconds), (n) => targets[n % targets.length]!.append());
  const { user, system } = process.cpuUsage(before.cpu);
  return {
    tookMs,
    elapsedSeconds: (performance.now() - before.atMs) / 1_000,
    cpuSeconds: (user + system) / 1e6,
    writes: writeCalls() - before.writes,
  };
}

async function oneInFlight(targets: readonly Target[], seconds: number): Promise<Float64Array> {
  const tookMs: number[] = [];
  const untilMs = performance.now() + seconds * 1_000;
  const appendTo = async (target: Target): Promise<void> => {
    for (let nowMs = performance.now(); nowMs < untilMs; ) {
      await target.append();
      const doneMs = performance.now();
      tookMs.push(doneMs - nowMs);
      nowMs = doneMs;
    }
  };
  await Promise.all(targets.map(appendTo));
  return Float64Array.from(tookMs);
}

/** Since the process began, from Linux; 0 elsewhere. */
function writeCalls(): number {
  try {
    return Number(/^syscw: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
