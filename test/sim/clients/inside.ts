/**
 * What clients share that live inside of nodes: they call the broker of their own node, or a partition of it, in its
 * own process. No wire that is cut keeps them from a leader that was deposed and does not know it; and they may ask for
 * what the SDK never would. An answer dies with the process it was to be given in: the call has an unknown fate then.
 */
import type { Broker } from '../../../src/broker/index.ts';
import type { Partition } from '../../../src/partition/index.ts';
import { crc32cPortable, encodeRecordBatch } from '../../../src/protocol/index.ts';
import type { Prng } from '../../raft/support/prng.ts';
import type { Answer, Call } from '../oracle/index.ts';
import type { SimNode } from '../world/cluster.ts';
import { EPOCH_MS } from '../world/process.ts';
import { type ClientWorld, failure, type SimTopic } from './client-world.ts';
import { recordOf } from './records.ts';

export interface InsideTopic extends SimTopic {
  readonly group: number;
}

export interface Inside {
  readonly world: ClientWorld;
  readonly random: Prng;
  readonly topics: readonly InsideTopic[];
}

/** A replica of a topic in a process that runs. */
export interface Place {
  readonly node: SimNode;
  readonly broker: Broker;
  readonly partition: Partition;
}

/** Where the topic can be reached from inside. */
export function placesOf({ world }: Inside, { group }: InsideTopic): Place[] {
  const places: Place[] = [];
  for (const node of world.cluster.running()) {
    const partition = node.partitions.get(group);
    if (partition !== undefined && !partition.isClosed) places.push({ node, broker: node.broker, partition });
  }
  return places;
}

/** Those that believe to lead, the one of the highest term first: all others are deposed. */
export function leadersAmong(places: readonly Place[]): Place[] {
  return places
    .filter(({ partition }) => partition.role === 'leader')
    .sort((a, b) => b.partition.term - a.partition.term);
}

/** Does it in the process of that node, as soon as it runs. */
export function within({ node }: Place, act: () => void): void {
  node.process?.in(0, 'client', act);
}

/** Calls now, and writes call and answer down. */
export function call(
  { world }: Inside,
  { node }: Place,
  asked: Call,
  act: () => Promise<Answer>,
  onFailed: (answer: Answer) => void = () => undefined,
): void {
  const { process } = node;
  const op = world.recorder.begin(asked);
  const end = (answer: Answer): void => {
    if (process?.isOver === false) world.recorder.end(op, answer);
  };
  act().then(end, (error: unknown) => {
    const answer = failure(error);
    end(answer);
    onFailed(answer);
  });
}

/** One batch with these records. */
export function batchOf(topic: SimTopic, ids: readonly string[], padding: number): Uint8Array {
  const encoder = new TextEncoder();
  const records = ids.map((id) => {
    const { value, key, headers } = recordOf(topic, id, padding);
    return {
      value: encoder.encode(value),
      key: key === undefined ? undefined : encoder.encode(key),
      headers: Object.entries(headers ?? {}).map(([name, text]) => ({ key: name, value: encoder.encode(text) })),
    };
  });
  return encodeRecordBatch(records, { nowMs: EPOCH_MS, crc32c: crc32cPortable });
}

/** Again and again until the faults are over. `turn` returns the ms to the next one. */
export function keepOn({ world }: Inside, turn: () => number): void {
  const next = (ms: number): void => {
    world.cluster.scheduler.in(ms, 'world', undefined, () => {
      if (!world.isHealed) next(turn());
    });
  };
  next(0);
}

export function tally({ world }: Inside, what: string): void {
  world.done[what] = (world.done[what] ?? 0) + 1;
}
