/**
 * `logdrive snapshot restore`: makes the topics of a backup in a cluster that does not have them, with the same offsets
 * and the same batches, byte for byte, and reads everything back. Nothing is made before all of the backup was checked.
 * What is not restored: producers (each begins anew), append times (they are those of the restore), ids (they are new).
 */
import type { BatchAppender, Client, TopicSpec } from '../../src/client/index.ts';
import { LogError, readBatchHeader, splitBatches } from '../../src/protocol/index.ts';
import type { BatchesBlock, SavedTopic } from '../backup-format.ts';
import { readBlocks, verifyBackup, type WholeBackup } from '../backup-reader.ts';
import { CLIENT_FLAGS, type Command, type Invocation } from '../command.ts';
import { UsageError } from '../exit.ts';
import { withClient } from '../open-client.ts';
import { renderDocument } from '../output.ts';
import { parseCount } from '../values.ts';
import { describe, READ_BYTES, summaryOf, TOPIC_FLAG, WAIT_MS } from './snapshot-save.ts';

/** Bytes handed over to a partition and not answered. */
const PENDING_BYTES_MAX = 8 * 1024 * 1024;
/** Base offset and length, and then everything that a leader leaves as it is; between them lies its term. */
const LEADER_EPOCH_AT = 12;
const LEADER_EPOCH_END = 16;

export const snapshotRestore: Command = {
  usage: 'restore <file>',
  flags: {
    ...CLIENT_FLAGS,
    topic: TOPIC_FLAG,
    replicas: {
      kind: 'text',
      sentence: 'Copies of each partition. Default: as saved, or all nodes when fewer.',
      placeholder: 'N',
    },
  },
  examples: [['$0 snapshot restore backup.logdrive -s new-cluster:4437', 'all topics of the backup']],
  run: (invocation) => withClient(invocation, (client) => restore(invocation, client)),
};

async function restore(invocation: Invocation, client: Client): Promise<void> {
  const path = invocation.words('file');
  invocation.terminal.progress(`checking ${path}`);
  const backup = await verifyBackup(path);
  const chosen = chosenTopics(invocation, backup);
  for (const at of chosen) await expectAbsent(client, backup.plan.topics[at]!.name);
  const { nodes } = await client.admin.cluster();
  for (const at of chosen) await client.admin.createTopic(specOf(invocation, backup, at, nodes.length));
  try {
    await load(invocation, client, path, backup, chosen);
    await compare(invocation, client, path, backup, chosen);
  } catch (error) {
    const names = [...chosen].map((at) => backup.plan.topics[at]!.name).join(', ');
    invocation.terminal.say(`logdrive: the restore did not finish: delete these topics before another one: ${names}`);
    throw error;
  }
  const summary = summaryOf(path, backup.plan, backup.end, backup.bytes);
  const restored = { ...summary, topics: summary.topics.filter((_, at) => chosen.has(at)) };
  invocation.terminal.out.writeText(
    renderDocument(invocation.output, restored, () => `restored and read back from ${describe(restored)}`),
  );
}

/** Places in the plan. */
function chosenTopics(invocation: Invocation, { plan }: WholeBackup): ReadonlySet<number> {
  const names = invocation.list('topic');
  const known = plan.topics.map(({ name }) => name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new UsageError(`the backup has no topic ${unknown}; it has ${known.join(', ')}`);
  return new Set(known.flatMap((name, at) => (names.length === 0 || names.includes(name) ? [at] : [])));
}

async function expectAbsent(client: Client, name: string): Promise<void> {
  try {
    await client.admin.describeTopic(name);
  } catch (error) {
    if (LogError.is(error) && error.code === 'TOPIC_NOT_FOUND') return;
    throw error;
  }
  throw new LogError('TOPIC_EXISTS', `Topic "${name}" exists: a restore makes topics and never adds to one.`);
}

function specOf(invocation: Invocation, backup: WholeBackup, at: number, nodes: number): TopicSpec {
  const topic: SavedTopic = backup.plan.topics[at]!;
  const asked = invocation.text('replicas');
  const replicas = asked === undefined ? Math.min(topic.replicas, nodes) : parseCount('--replicas', asked, 1);
  const bounds = Object.entries(topic.retention).filter(([, bound]) => bound !== null);
  return {
    name: topic.name,
    partitions: topic.partitions.length,
    replicas,
    retention: Object.fromEntries(bounds),
    firstOffsets: topic.partitions.map((_, partition) => firstOffsetOf(backup, at, partition)),
  };
}

/** Where the restored log begins: at the batch that holds the earliest offset, which trim() then makes the first. */
function firstOffsetOf({ end, check }: WholeBackup, topic: number, partition: number): number {
  const { earliest, tail } = end.topics[topic]![partition]!;
  const progress = check.progressOf(topic, partition);
  return progress === undefined || earliest === tail ? tail : Math.max(progress.firstOffset, progress.holeEnd);
}

/** The blocks that are to be in the restored topics, and whose they are. */
async function* chosenBlocks(
  path: string,
  backup: WholeBackup,
  chosen: ReadonlySet<number>,
): AsyncGenerator<BatchesBlock> {
  for await (const { block } of readBlocks(path)) {
    if (block.kind !== 'batches' || !chosen.has(block.batches.topic)) continue;
    const { topic, partition, nextOffset } = block.batches;
    // Saved before retention of the source moved its start beyond them.
    if (nextOffset > firstOffsetOf(backup, topic, partition)) yield block.batches;
  }
}

/** Appends the batches of one partition, in order, some of them under way at once. */
class Loader {
  readonly #appender: BatchAppender;
  #pendingBytes = 0;
  #pending: Promise<void>[] = [];

  constructor(appender: BatchAppender) {
    this.#appender = appender;
  }

  async load(batches: Uint8Array): Promise<void> {
    for (const batch of splitBatches(batches)) {
      const { baseOffset, recordCount } = readBatchHeader(batch);
      this.#pendingBytes += batch.length;
      this.#pending.push(
        this.#appender.append(batch, recordCount).then((offset) => {
          if (offset === baseOffset) return;
          throw new LogError('INTERNAL', `A batch of offset ${baseOffset} was appended at ${offset}.`);
        }),
      );
      if (this.#pendingBytes > PENDING_BYTES_MAX) await this.#settled();
    }
  }

  /** @throws what the first append failed with. */
  async finish(): Promise<void> {
    try {
      await this.#settled();
    } finally {
      this.#appender.close();
    }
  }

  async #settled(): Promise<void> {
    const pending = this.#pending;
    this.#pending = [];
    this.#pendingBytes = 0;
    const outcomes = await Promise.allSettled(pending);
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }
}

async function load(
  invocation: Invocation,
  client: Client,
  path: string,
  backup: WholeBackup,
  chosen: ReadonlySet<number>,
): Promise<void> {
  let current: { readonly key: string; readonly loader: Loader } | undefined;
  for await (const { topic, partition, batches } of chosenBlocks(path, backup, chosen)) {
    const { name } = backup.plan.topics[topic]!;
    const key = `${name}/${partition}`;
    if (current?.key !== key) {
      await current?.loader.finish();
      current = { key, loader: new Loader(await client.topic(name).batchAppender(partition)) };
      invocation.terminal.progress(`loading ${key}`);
    }
    await current.loader.load(batches);
  }
  await current?.loader.finish();
  for (const at of chosen) {
    for (const [partition, { earliest }] of backup.end.topics[at]!.entries()) {
      const isWithin = earliest > firstOffsetOf(backup, at, partition);
      if (isWithin) await client.admin.trim(backup.plan.topics[at]!.name, earliest, partition);
    }
  }
}

/**
 * Reads every batch back and compares it with the backup: a restore that is not the same is told, never left to find.
 */
async function compare(
  invocation: Invocation,
  client: Client,
  path: string,
  backup: WholeBackup,
  chosen: ReadonlySet<number>,
): Promise<void> {
  for await (const { topic, partition, batches } of chosenBlocks(path, backup, chosen)) {
    const { name } = backup.plan.topics[topic]!;
    const { earliest } = backup.end.topics[topic]![partition]!;
    const saved = splitBatches(batches).filter((batch) => nextOffsetOf(batch) > earliest);
    invocation.terminal.progress(`comparing ${name}/${partition}`);
    await compareBatches(client, { name, partition, earliest }, saved);
  }
  for (const at of chosen) {
    const { name } = backup.plan.topics[at]!;
    for (const [partition, saved] of backup.end.topics[at]!.entries()) {
      const found = await client.topic(name).tail(partition);
      if (found.offset === saved.tail && found.earliest >= saved.earliest) continue;
      throw unequal(name, partition, `offsets are [${found.earliest}, ${found.offset})`);
    }
  }
}

interface ComparedPartition {
  readonly name: string;
  readonly partition: number;
  readonly earliest: number;
}

async function compareBatches(client: Client, place: ComparedPartition, saved: readonly Uint8Array[]): Promise<void> {
  const { name, partition, earliest } = place;
  const source = client.topic(name);
  for (let at = 0; at < saved.length; ) {
    const offset = Math.max(readBatchHeader(saved[at]!).baseOffset, earliest);
    let found: readonly { readonly bytes: Uint8Array }[];
    try {
      ({ batches: found } = await source.readBatches({
        ...{ partition, from: { offset }, maxBytes: READ_BYTES, waitMs: WAIT_MS },
      }));
    } catch (error) {
      // The topic's own retention applies to it from its first moment on.
      if (LogError.is(error) && error.code === 'TRIMMED') return;
      throw error;
    }
    for (const { bytes } of found.slice(0, saved.length - at)) {
      if (!isSameBatch(bytes, saved[at]!)) throw unequal(name, partition, `the batch at ${offset} differs`);
      at++;
    }
  }
}

function isSameBatch(a: Uint8Array, b: Uint8Array): boolean {
  const same = (from: number, to?: number): boolean => Buffer.compare(a.subarray(from, to), b.subarray(from, to)) === 0;
  return same(0, LEADER_EPOCH_AT) && same(LEADER_EPOCH_END);
}

function nextOffsetOf(batch: Uint8Array): number {
  const { baseOffset, lastOffsetDelta } = readBatchHeader(batch);
  return baseOffset + lastOffsetDelta + 1;
}

function unequal(name: string, partition: number, what: string): LogError {
  return new LogError('INTERNAL', `Partition ${partition} of topic "${name}" reads back otherwise: ${what}.`);
}
