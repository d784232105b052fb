/**
 * Clients of a cluster under chaos: writers (idempotent with several batches in flight, and plain), readers that
 * follow the log, readers that look anywhere, and an operator who trims, snapshots and moves leaders. They go to any
 * node that runs, and what a node that was killed would have answered is unknown to them, as over a socket.
 */
import type { Broker, Reader, ReadResult } from '../../../src/broker/index.ts';
import { decodeRecords, type ErrorCode, LogError, readBatchHeader } from '../../../src/protocol/index.ts';
import type { Prng } from '../../raft/support/prng.ts';
import type { Answer, Recorder, Sighting } from '../../sim/oracle/index.ts';
import { batchOf, type SimCluster } from './sim-cluster.ts';

/** Longer than the broker's own deadline: a client that hears nothing by then gives up. */
const PATIENCE_MS = 12_000;

/** One batch a writer appends; its records are `<key>/0`, `<key>/1`, ... */
interface Batch {
  readonly key: string;
  readonly writer: string;
  readonly records: number;
  /** undefined: a plain append. */
  readonly tuple: { readonly epoch: number; readonly sequence: number } | undefined;
}

export interface ClientWorld {
  readonly cluster: SimCluster;
  /** What every client was told, for the judge. */
  readonly history: Recorder;
  /** Acknowledged batches of each topic. */
  readonly acked: Map<string, number>;
  readonly random: Prng;
  /** Rejections for calls to a node whose process is killed. */
  readonly onKill: Map<string, Set<() => void>>;
  /** No topics come and go any more: a new one has no leader for a moment. */
  isQuiet: boolean;
  isOver: boolean;
}

/** The one partition of a topic, as the history names it. */
export function partitionOf(topic: string): string {
  return `${topic}/0`;
}

export function sleep(world: ClientWorld, ms: number): Promise<void> {
  return new Promise((resolve) => world.cluster.time.add(ms, undefined, resolve));
}

/** Calls a node as over a socket: fails with CONNECTION, unknown, when the node dies or stays silent. */
function callNode<T>(world: ClientWorld, id: string, act: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const lost = (): void => {
      done();
      reject(new LogError('CONNECTION'));
    };
    const timer = world.cluster.time.add(PATIENCE_MS, undefined, lost);
    const kills = world.onKill.get(id) ?? new Set();
    world.onKill.set(id, kills);
    kills.add(lost);
    const done = (): void => {
      timer.cancel();
      kills.delete(lost);
    };
    act().then(
      (value) => {
        done();
        resolve(value);
      },
      (error: unknown) => {
        done();
        reject(error);
      },
    );
  });
}

function anyNode(world: ClientWorld): string | undefined {
  const up = [...world.cluster.nodes.values()].filter(({ broker }) => broker !== undefined);
  return up.length === 0 ? undefined : world.random.pick(up).id;
}

/** Appends once, somewhere. Anything but a LogError is a defect and ends the run. */
async function attempt(world: ClientWorld, topic: string, batch: Batch, id: string): Promise<LogError | undefined> {
  const { cluster, random, history } = world;
  const { key, writer, records, tuple } = batch;
  const values = Array.from({ length: records }, (_, i) => `${key}/${i}`);
  const padded = values.map((value) => value.padEnd(value.length + random.below(400), ' '));
  const producer = tuple && { id: writer, ...tuple };
  const call = { kind: 'append', client: writer, partition: partitionOf(topic), values } as const;
  const op = history.begin(producer === undefined ? call : { ...call, producer });
  try {
    const request = { client: { inflightBytes: 0 }, topic: { name: topic }, partition: 0, producer };
    const timeoutMs = random.chance(0.2) ? 50 + random.below(500) : 10_000;
    const bytes = batchOf(padded);
    const { baseOffset, isDuplicate, term } = await callNode(world, id, () =>
      cluster.broker(id).append({ ...request, batch: bytes, redirect: random.chance(0.1), timeoutMs }),
    );
    // A duplicate is answered in the term of its answer, not of its record.
    history.end(op, { kind: 'acked', offset: baseOffset ?? null, ...(isDuplicate ? {} : { term }) });
    world.acked.set(topic, (world.acked.get(topic) ?? 0) + 1);
    return undefined;
  } catch (error) {
    if (!LogError.is(error) || error.code === 'INTERNAL') throw error;
    history.end(op, { kind: 'failed', outcome: error.outcome, code: error.code });
    return error;
  }
}

/** Keeps several batches in flight and offers each one until it is acknowledged; now and then it gives up on one that
 *  was refused, and then raises its epoch as clients have to. */
export async function idempotentWriter(world: ClientWorld, topic: string, number: number): Promise<void> {
  const { random } = world;
  const writer = `${number}${'0'.repeat(31)}`.slice(0, 32);
  const depth = 1 + random.below(8);
  for (let epoch = 0; !world.isOver; epoch += 1) {
    let sequence = 0;
    let isAbandoned = false;
    const flying = new Set<Promise<void>>();
    while (!world.isOver && !isAbandoned) {
      const records = 1 + random.below(3);
      const batch: Batch = { key: `w${number}.${epoch}.${sequence}`, writer, records, tuple: { epoch, sequence } };
      sequence += records;
      const flight = offer(world, topic, batch, () => isAbandoned).then((isAcked) => {
        flying.delete(flight);
        if (!isAcked) isAbandoned = true;
      });
      flying.add(flight);
      if (flying.size >= depth) await Promise.race(flying);
      await sleep(world, random.below(30));
    }
    await Promise.all(flying);
  }
}

/** True once it is acknowledged. */
async function offer(world: ClientWorld, topic: string, batch: Batch, mayStop: () => boolean): Promise<boolean> {
  const { random } = world;
  for (let attempts = 0; ; attempts += 1) {
    const id = anyNode(world);
    if (id !== undefined) {
      const error = await attempt(world, topic, batch, id);
      if (error === undefined) return true;
      if (error.code === 'PRODUCER_FENCED') return false;
      if (error.outcome === 'none' && attempts < 3 && random.chance(0.02)) return false;
    }
    if (mayStop()) return false;
    await sleep(world, 5 + random.below(60));
  }
}

/** Appends each batch once, whatever comes of it. */
export async function plainWriter(world: ClientWorld, topic: string, number: number): Promise<void> {
  const { random } = world;
  for (let order = 0; !world.isOver; order += 1) {
    const id = anyNode(world);
    const batch: Batch = {
      key: `p${number}.${order}`,
      writer: `p${number}`,
      records: 1 + random.below(2),
      tuple: undefined,
    };
    if (id !== undefined) await attempt(world, topic, batch, id);
    await sleep(world, random.below(60));
  }
}

/** Follows the log from its start, on one node after the other, and must never miss an offset but for a trim. */
export async function follower(world: ClientWorld, topic: string, number: number): Promise<void> {
  const { random, cluster } = world;
  const position = { offset: 0 };
  while (!world.isOver) {
    const id = anyNode(world);
    await sleep(world, random.below(50));
    if (id === undefined || cluster.node(id).broker === undefined) continue;
    let reader: Reader | undefined;
    try {
      const start = { kind: 'offset', offset: position.offset } as const;
      const request = { topic: { name: topic }, partition: 0, start, level: 'any' } as const;
      const client = `follower ${number}`;
      reader = await asking(world, { client, topic, from: 'next' }, () =>
        callNode(world, id, () => cluster.broker(id).subscribe(request)),
      );
      await follow(world, topic, client, id, reader, position);
    } catch (error) {
      if (!LogError.is(error)) throw error;
      if (error.code === 'TRIMMED') position.offset = error.details.earliest!;
    } finally {
      reader?.close();
    }
  }
}

async function follow(
  world: ClientWorld,
  topic: string,
  client: string,
  id: string,
  reader: Reader,
  position: { offset: number },
): Promise<void> {
  const { random, cluster } = world;
  const closing = cluster.time.add(200 + random.below(2_000), undefined, () => reader.close());
  try {
    for (;;) {
      const result = await asking(world, { client, topic, from: 'next' }, () =>
        callNode(world, id, () => reader.next(1 + random.below(3_000))),
      );
      position.offset = result.nextOffset;
      if (random.chance(0.05)) await sleep(world, random.below(300));
    }
  } finally {
    closing.cancel();
  }
}

/** Reads anywhere in what is known to be there. */
export async function visitor(world: ClientWorld, topic: string): Promise<void> {
  const { random, cluster } = world;
  let highest = 0;
  while (!world.isOver) {
    await sleep(world, 20 + random.below(150));
    const id = anyNode(world);
    if (id === undefined) continue;
    const offset = random.below(highest + 2);
    const start = random.pick([{ kind: 'offset', offset }, { kind: 'earliest' }, { kind: 'last', count: 3 }] as const);
    const request = {
      topic: { name: topic },
      partition: 0,
      start,
      bytesMax: 1 + random.below(2_000),
      level: 'any',
    } as const;
    const from = start.kind === 'offset' ? offset : start.kind === 'earliest' ? 'earliest' : 'latest';
    try {
      const result = await asking(world, { client: 'visitor', topic, from }, () =>
        callNode(world, id, () => cluster.broker(id).read({ ...request, waitMs: random.below(400) })),
      );
      highest = Math.max(highest, result.tail);
    } catch (error) {
      if (!LogError.is(error)) throw error;
    }
  }
}

interface Question {
  readonly client: string;
  readonly topic: string;
  readonly from: number | 'next' | 'earliest' | 'latest';
}

/** A read, or the opening of a subscription, with its place in the history. */
async function asking<T extends Reader | ReadResult>(
  world: ClientWorld,
  { client, topic, from }: Question,
  act: () => Promise<T>,
): Promise<T> {
  const { history } = world;
  const op = history.begin({ kind: 'read', client, partition: partitionOf(topic), from, level: 'any' });
  try {
    const result: Reader | ReadResult = await act();
    // Opening a subscription gives nothing yet: what it gives is asked for by next().
    if ('batches' in result) history.end(op, answerOf(result));
    return result as T;
  } catch (error) {
    if (!LogError.is(error) || error.code === 'INTERNAL') throw error;
    const { code, outcome, details } = error;
    if (code === 'TRIMMED') history.end(op, { kind: 'trimmed', earliest: details.earliest! });
    else history.end(op, { kind: 'failed', outcome, code });
    throw error;
  }
}

function answerOf(result: ReadResult): Extract<Answer, { kind: 'records' }> {
  const { fromOffset, nextOffset, earliest, tail, node } = result;
  return { kind: 'records', from: fromOffset, next: nextOffset, earliest, tail, records: recordsOf(result), node };
}

/** The records of a read; the first batch may begin before what was asked for. */
export function recordsOf({ batches, fromOffset }: ReadResult): Sighting[] {
  return batches.flatMap((batch) => {
    const term = readBatchHeader(batch).leaderEpoch;
    return decodeRecords(batch)
      .filter(({ offset }) => offset >= fromOffset)
      .map(({ offset, value }) => ({ offset, value: Buffer.from(value).toString().trimEnd(), term }));
  });
}

/** Trims, takes snapshots, moves leaders. */
export async function operator(world: ClientWorld, topic: string): Promise<void> {
  const { random, cluster } = world;
  while (!world.isOver) {
    await sleep(world, 200 + random.below(1_500));
    const id = anyNode(world);
    if (id === undefined) continue;
    const broker = cluster.broker(id);
    try {
      const kind = random.below(4);
      if (kind === 0) await callNode(world, id, () => broker.takeSnapshot(topic, 0));
      else if (kind === 1)
        await callNode(world, id, () => broker.transferLeader(topic, 0, random.pick([...cluster.nodes.keys()])));
      else {
        const { earliest, tail } = await callNode(world, id, () => broker.tail({ name: topic }, 0));
        const before = earliest + random.below(Math.max(1, tail - earliest - 20));
        const client = `operator of ${topic}`;
        const op = world.history.begin({ kind: 'trim', client, partition: partitionOf(topic), before });
        await callNode(world, id, () => broker.trim(topic, 0, before));
        world.history.end(op, { kind: 'done' });
      }
    } catch (error) {
      if (!LogError.is(error) || error.code === 'INTERNAL') throw error;
    }
  }
}

/** Makes topics and deletes them again, all the time. */
export async function gardener(world: ClientWorld, number: number): Promise<void> {
  const { random } = world;
  for (let made = 0; !world.isQuiet; made += 1) {
    const name = `garden-${number}-${made}`;
    const retention = { maxBytes: undefined, maxAgeMs: undefined, maxRecords: undefined };
    const request = { name, partitions: 1 + random.below(2), replicas: 1 + random.below(3), retention };
    await persist(world, 'TOPIC_EXISTS', (broker) => broker.createTopic(request));
    await sleep(world, random.below(300));
    await persist(world, 'TOPIC_NOT_FOUND', (broker) => broker.deleteTopic(name));
    await sleep(world, random.below(800));
  }
}

/** Tries, on any node, until it is done, or `done` says that it was. */
async function persist(world: ClientWorld, done: ErrorCode, act: (broker: Broker) => Promise<unknown>): Promise<void> {
  for (;;) {
    const id = anyNode(world);
    try {
      if (id !== undefined) {
        await callNode(world, id, () => act(world.cluster.broker(id)));
        return;
      }
    } catch (error) {
      if (!LogError.is(error) || error.code === 'INTERNAL') throw error;
      if (error.code === done) return;
    }
    await sleep(world, 50 + world.random.below(200));
  }
}
