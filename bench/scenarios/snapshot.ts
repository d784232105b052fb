/**
 * How long one turn of the event loop gets while a partition with very many producers takes its snapshot, rebuilds one
 * from the one before, and is opened on it: log, state and snapshots of a partition on the real disk, in one thread.
 * What a turn takes is what the appends of every other partition on the node wait.
 */
import { readFileSync } from 'node:fs';
import { overTurns } from '../../src/partition/pieces.ts';
import { Snapshots } from '../../src/partition/snapshots.ts';
import { PartitionState } from '../../src/partition/state.ts';
import { encodeRecordBatch, PRODUCERS_MAX } from '../../src/protocol/index.ts';
import { crc32c, DataDirectory, encodeEntry, type Log, type LogEntry, NodeDisk } from '../../storage/index.ts';
import { figureOf } from '../result.ts';
import { defineScenario, nameOfRepeat, type Scenario } from '../scenario.ts';

const STALL_MS = 20;
const BURST = 2_000;
const TURNS = { soon: (fn: () => void): void => void setImmediate(fn) };

export const snapshot: Scenario = defineScenario({
  name: 'snapshot',
  sentence: 'A snapshot of 100,000 producers taken, rebuilt and opened: the longest turn of the event loop.',
  options: {
    producers: { default: PRODUCERS_MAX, least: 1, sentence: 'producers in the table' },
    batches: { default: 5, least: 1, sentence: 'batches of each; the table remembers 5' },
    repeats: { default: 5, least: 1, sentence: 'repeats, after one that is not counted' },
  },
  async run(context, { producers, batches, repeats }) {
    const replica = await Replica.open(context.dir);
    context.cleanup.defer('close the log', () => replica.close());
    for (let sequence = 0; sequence < batches; sequence++) await replica.write(producers, sequence);
    const longest = { taken: [] as number[], rebuilt: [] as number[], opened: [] as number[] };
    const cpu: number[] = [];
    for (let repeat = 0; repeat <= repeats; repeat++) {
      const taken = await longestTurn(() => replica.take(0));
      const rebuilt = await longestTurn(() => replica.take(1));
      const opened = await longestTurn(() => replica.reopen());
      const turns = { taken, rebuilt, opened };
      const line = Object.entries(turns).map(([what, { turnMs, cpuMs, allMs }]) => {
        const longest = `longest turn ${turnMs.toFixed(1)} ms (${cpuMs.toFixed(1)} of processor)`;
        return `${what} in ${allMs.toFixed(0)} ms, ${longest}`;
      });
      context.say(`${nameOfRepeat(repeat)}: ${line.join('; ')}`);
      if (repeat === 0) continue;
      for (const what of ['taken', 'rebuilt', 'opened'] as const) longest[what].push(turns[what].turnMs);
      cpu.push(Math.max(taken.cpuMs, rebuilt.cpuMs, opened.cpuMs));
    }
    const spec = { unit: 'ms', better: 'lower', target: STALL_MS } as const;
    return {
      durability: `snapshot files flushed and read back on ${context.machine.fileSystem}`,
      figures: [
        figureOf({ name: 'longest turn while taken', ...spec }, longest.taken),
        figureOf({ name: 'longest turn while rebuilt from the one before', ...spec }, longest.rebuilt),
        figureOf({ name: 'longest turn while opened', ...spec }, longest.opened),
        figureOf({ name: 'most processor time of a turn, of all three', ...spec }, cpu),
      ],
      notes: [`The encoded state has ${replica.log.latestSnapshot!.state.length} bytes.`],
    };
  },
});

/** Runs `work`, and beside it a callback a turn that looks how long ago the last turn was. */
async function longestTurn(work: () => Promise<void>): Promise<Turn> {
  const begunMs = performance.now();
  let isDone = false;
  let turnMs = 0;
  let cpuMs = 0;
  let lastMs = begunMs;
  let lastCpuMs = threadCpuMs();
  const look = (): void => {
    const [nowMs, nowCpuMs] = [performance.now(), threadCpuMs()];
    turnMs = Math.max(turnMs, nowMs - lastMs);
    cpuMs = Math.max(cpuMs, nowCpuMs - lastCpuMs);
    [lastMs, lastCpuMs] = [nowMs, nowCpuMs];
    if (!isDone) setImmediate(look);
  };
  setImmediate(look);
  try {
    await work();
  } finally {
    // Also when it fails: the process would never end otherwise.
    isDone = true;
  }
  look();
  return { turnMs, cpuMs, allMs: performance.now() - begunMs };
}

interface Turn {
  /** The longest one, by the clock: what others waited. */
  readonly turnMs: number;
  /** Processor time of the one that took most of it: what it would have been on a machine with nothing else to do. */
  readonly cpuMs: number;
  readonly allMs: number;
}

/** Processor time of the main thread, from Linux; 0 elsewhere. */
function threadCpuMs(): number {
  try {
    const [ranNs] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ');
    return Number(ranNs) / 1e6;
  } catch {
    return 0;
  }
}

/** A partition without Raft: what is written is committed. */
class Replica {
  readonly #dir: string;
  #directory: DataDirectory;
  #parts: Parts;

  private constructor(dir: string, directory: DataDirectory, parts: Parts) {
    this.#dir = dir;
    this.#directory = directory;
    this.#parts = parts;
  }

  static async open(dir: string): Promise<Replica> {
    const directory = await openDirectory(dir);
    return new Replica(dir, directory, await openParts(directory));
  }

  get log(): Log {
    return this.#parts.log;
  }

  /** A batch of each producer. */
  async write(producers: number, sequence: number): Promise<void> {
    for (let from = 0; from < producers; from += BURST) {
      const list: LogEntry[] = [];
      for (let n = from; n < Math.min(producers, from + BURST); n++) list.push(this.#entry(n, sequence, list.at(-1)));
      this.log.append(list);
      await this.log.flush();
      for (const { header, payload } of list) this.#parts.state.apply(header, payload);
    }
  }

  /** Takes the snapshot at the end of a segment, with so many entries applied behind it. */
  async take(later: number): Promise<void> {
    const { state, snapshots } = this.#parts;
    this.#append();
    const end = await this.log.roll();
    for (let i = 0; i < later; i++) this.#append();
    await this.log.flush();
    await applyAll(this.log, state);
    snapshots.sealed(end);
    await snapshots.settled();
    if (this.log.latestSnapshot?.index !== end.index) throw new Error(`no snapshot was taken at ${end.index}`);
  }

  async reopen(): Promise<void> {
    const last = this.#parts.state.appliedIndex;
    await this.close();
    this.#directory = await openDirectory(this.#dir);
    this.#parts = await openParts(this.#directory);
    if (this.#parts.state.appliedIndex !== last)
      throw new Error(`applied ${this.#parts.state.appliedIndex} of ${last}`);
  }

  async close(): Promise<void> {
    await this.#parts.snapshots.settled();
    await this.#directory.close();
  }

  #append(): void {
    this.log.append([this.#entry(0, this.log.lastIndex, undefined)]);
  }

  #entry(producer: number, sequence: number, after: LogEntry | undefined): LogEntry {
    const { log } = this;
    const payload = encodeRecordBatch([{ value: new Uint8Array(8) }], { nowMs: 1, crc32c });
    return encodeEntry(
      {
        kind: 'batch',
        groupId: log.groupId,
        index: (after?.header.index ?? log.lastIndex) + 1,
        term: 1,
        baseOffset: after === undefined ? log.nextOffset : after.header.baseOffset + 1,
        recordCount: 1,
        appendTimeMs: 1,
        producer: { id: producer.toString(16).padStart(32, '0'), epoch: 0, sequence },
        payload,
      },
      after?.header.chain ?? log.lastChain,
    );
  }
}

interface Parts {
  readonly log: Log;
  readonly state: PartitionState;
  readonly snapshots: Snapshots;
}

function openDirectory(dir: string): Promise<DataDirectory> {
  return DataDirectory.open(new NodeDisk(), dir, {
    nodeId: 'n1',
    randomBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
    onFatal: (error) => {
      throw error;
    },
  });
}

async function openParts(directory: DataDirectory): Promise<Parts> {
  const log = await directory.openLog(1, {
    segmentBytes: 1024 * 1024 * 1024,
    clusterId: 'c'.repeat(32),
    timers: { after: (delayMs, fn) => ({ cancel: clearTimeout.bind(undefined, setTimeout(fn, delayMs)) }) },
    onFlushed: () => undefined,
    onSealed: () => undefined,
  });
  const state = new PartitionState(undefined);
  const snapshot = log.latestSnapshot;
  if (snapshot !== undefined) state.adopt(snapshot, await overTurns(PartitionState.decode(snapshot.state), TURNS));
  await applyAll(log, state);
  const onFailure = (error: Error): never => {
    throw error;
  };
  const parts = { log, state, timers: TURNS, createMachine: undefined, onTrimmed: () => undefined, onFailure };
  return { log, state, snapshots: new Snapshots(parts) };
}

async function applyAll(log: Log, state: PartitionState): Promise<void> {
  while (state.appliedIndex < log.lastIndex) {
    for (const { header, payload } of await log.read(state.appliedIndex + 1, 1024 * 1024)) state.apply(header, payload);
  }
}
