/**
 * `logdrive snapshot save`: copies topics of a running cluster into one file: of each partition every committed record
 * from the earliest one to the tail as it was when the copy began. The batches are copied as they are stored, checked
 * on the way. Partitions are cut at their own offsets, not at one moment.
 *
 * Without a majority the survivors are asked for what they know committed: never more, and perhaps less than was
 * acknowledged. That is said, partition by partition, before anything is written.
 */
import type { Client, Topic, TopicInfo } from '../../src/client/index.ts';
import { LogError, readBatchHeader } from '../../src/protocol/index.ts';
import type { BackupEnd, BackupPlan, SavedPartition, SavedTopic } from '../backup-format.ts';
import { BackupWriter, exists, partialOf } from '../backup-writer.ts';
import { CLIENT_FLAGS, type Command, type Invocation } from '../command.ts';
import { UsageError } from '../exit.ts';
import { withClient } from '../open-client.ts';
import { formatBytes, groupDigits, renderDocument } from '../output.ts';

export const READ_BYTES: number = 2 * 1024 * 1024;
/** A replica that lags is waited for this long before the read is tried elsewhere. */
export const WAIT_MS = 5_000;
const ATTEMPTS_MAX = 10;

/** Of a restore too. */
export const TOPIC_FLAG = {
  kind: 'list',
  short: 't',
  sentence: 'Only this topic; may be given again. Default: all.',
  placeholder: 'T',
} as const;

export const snapshotSave: Command = {
  usage: 'save <file>',
  flags: {
    ...CLIENT_FLAGS,
    topic: TOPIC_FLAG,
    'without-majority': {
      kind: 'switch',
      sentence: 'Save what the nodes asked know to be committed, though a majority is lost; says first what that is.',
    },
    resume: { kind: 'switch', sentence: 'Go on with <file>.partial, which an earlier run left unfinished.' },
  },
  examples: [['$0 snapshot save backup.logdrive', 'all topics of the cluster']],
  run: (invocation) => withClient(invocation, (client) => save(invocation, client)),
};

async function save(invocation: Invocation, client: Client): Promise<void> {
  const path = invocation.words('file');
  if (await exists(path)) throw new UsageError(`${path} exists already`);
  const writer = await openWriter(invocation, client, path);
  try {
    const end: SavedPartition[][] = [];
    for (const [at, topic] of writer.plan.topics.entries()) {
      await expectSame(client, topic);
      const saved: SavedPartition[] = [];
      for (let partition = 0; partition < topic.partitions.length; partition++) {
        saved.push(await savePartition(client, writer, at, partition));
        invocation.terminal.progress(`${topic.name}: ${formatBytes(writer.bytes)}`);
      }
      end.push(saved);
    }
    if (writer.check.end === undefined) await writer.write({ kind: 'end', end: { topics: end } });
    await writer.finish();
    const summary = summaryOf(path, writer.plan, { topics: end }, writer.bytes);
    invocation.terminal.out.writeText(renderDocument(invocation.output, summary, () => describe(summary)));
  } catch (error) {
    await writer.abandon();
    invocation.terminal.say(`logdrive: ${partialOf(path)} holds what was saved so far; --resume goes on with it`);
    throw error;
  }
}

async function openWriter(invocation: Invocation, client: Client, path: string): Promise<BackupWriter> {
  const { clusterId } = await client.admin.cluster();
  if (clusterId === undefined) throw new UsageError('these nodes are of no cluster yet: there is nothing to save');
  const isThere = await exists(partialOf(path));
  if (invocation.isOn('resume')) {
    if (!isThere) throw new UsageError(`there is no ${partialOf(path)} to go on with`);
    const writer = await BackupWriter.resume(path);
    if (writer.plan.clusterId === clusterId) return writer;
    await writer.abandon();
    throw new UsageError(`${partialOf(path)} is of cluster ${writer.plan.clusterId}, these nodes are of ${clusterId}`);
  }
  if (isThere) throw new UsageError(`${partialOf(path)} is there: --resume goes on with it, or remove it`);
  return BackupWriter.create(path, { clusterId, takenAtMs: Date.now(), topics: await chosen(invocation, client) });
}

async function chosen(invocation: Invocation, client: Client): Promise<SavedTopic[]> {
  const names: string[] = [...invocation.list('topic')];
  if (names.length === 0) for await (const { name } of client.admin.listTopics()) names.push(name);
  const isCut = invocation.isOn('without-majority');
  const topics: SavedTopic[] = [];
  for (const name of [...new Set(names)].sort()) {
    const info = await client.admin.describeTopic(name);
    if (info.compaction !== undefined) {
      throw new UsageError(
        `topic ${name} is compacted: a restore cannot make its holes again; choose others with --topic`,
      );
    }
    const partitions: { earliest: number; tail: number }[] = [];
    for (let partition = 0; partition < info.partitions.length; partition++) {
      const { earliest, offset: tail } = await client.topic(name).tail(partition, isCut ? { level: 'any' } : {});
      partitions.push({ earliest, tail });
      if (isCut) invocation.terminal.complain(mayBeLost(name, partition, tail));
    }
    topics.push({ name, id: info.id, replicas: replicasOf(info), retention: boundsOf(info), partitions });
  }
  return topics;
}

function mayBeLost(name: string, partition: number, tail: number): string {
  const known = `${name}/${partition}: committed up to ${groupDigits(tail)} is known here, and is saved`;
  return `${known}; records acknowledged at or above it, by nodes that are lost, are not`;
}

function replicasOf(info: TopicInfo): number {
  return info.partitions[0]?.replicas.length ?? 1;
}

/** JSON has no undefined: a bound that is not set is null. */
function boundsOf({ retention }: TopicInfo): SavedTopic['retention'] {
  return Object.fromEntries(Object.entries(retention).map(([name, bound]) => [name, bound ?? null]));
}

/** A topic that was deleted and made again meanwhile is another one, with offsets of its own. */
async function expectSame(client: Client, topic: SavedTopic): Promise<void> {
  const { id } = await client.admin.describeTopic(topic.name);
  if (id === topic.id) return;
  throw new UsageError(`topic ${topic.name} was deleted and made again while it was saved: begin anew`);
}

/** Saves what is not in the backup yet. */
export async function savePartition(
  client: Pick<Client, 'topic'>,
  writer: BackupWriter,
  topic: number,
  partition: number,
): Promise<SavedPartition> {
  const planned = writer.plan.topics[topic]!;
  const { earliest: plannedEarliest, tail } = planned.partitions[partition]!;
  const source = client.topic(planned.name);
  const { firstOffset = 0, holeEnd = 0, nextOffset } = writer.check.progressOf(topic, partition) ?? {};
  // In an earlier run retention may have been faster as well.
  let earliest = Math.max(plannedEarliest, firstOffset, holeEnd);
  let offset = nextOffset ?? plannedEarliest;
  while (offset < tail) {
    const read = await readFrom(source, partition, offset);
    if (read === 'trimmed') {
      // Retention was faster: what was saved below the new start is no part of the topic any more.
      earliest = Math.min((await source.tail(partition)).earliest, tail);
      offset = Math.max(offset, earliest);
      continue;
    }
    const { baseOffset } = readBatchHeader(read.batches[0]!.bytes);
    const batches = Buffer.concat(read.batches.map((batch) => batch.bytes));
    await writer.write({
      kind: 'batches',
      batches: { topic, partition, firstOffset: baseOffset, nextOffset: read.nextOffset, batches },
    });
    offset = read.nextOffset;
  }
  const progress = writer.check.progressOf(topic, partition);
  const bytes = progress?.bytes ?? 0;
  // A batch is never cut in two, so the last answer may reach beyond the tail that was planned. Everything below that
  // may also have been trimmed meanwhile.
  return { earliest, tail: earliest < tail ? progress!.nextOffset : tail, bytes };
}

type BatchRead = Awaited<ReturnType<Topic<Uint8Array>['readBatches']>>;

/** At least one batch; replicas that lag behind the leader's tail are waited for. */
async function readFrom(source: Topic<Uint8Array>, partition: number, offset: number): Promise<BatchRead | 'trimmed'> {
  for (let attempt = 1; ; attempt++) {
    try {
      const read = await source.readBatches({ partition, from: { offset }, maxBytes: READ_BYTES, waitMs: WAIT_MS });
      if (read.batches.length > 0) return read;
      throw new LogError('TIMEOUT', `Node ${read.node} has no record at offset ${offset}, and the leader has.`);
    } catch (error) {
      if (!LogError.is(error)) throw error;
      if (error.code === 'TRIMMED') return 'trimmed';
      if (!error.retriable || attempt === ATTEMPTS_MAX) throw error;
    }
  }
}

/** What save, inspect and restore tell of a backup: one shape. */
export interface BackupSummary {
  readonly file: string;
  readonly clusterId: string;
  readonly takenAtMs: number;
  readonly bytes: number;
  readonly topics: readonly {
    readonly name: string;
    readonly retention: SavedTopic['retention'];
    readonly partitions: readonly (SavedPartition & { readonly partition: number; readonly records: number })[];
  }[];
}

export function summaryOf(file: string, plan: BackupPlan, end: BackupEnd, bytes: number): BackupSummary {
  const { clusterId, takenAtMs } = plan;
  const topics = plan.topics.map(({ name, retention }, at) => ({
    name,
    retention,
    partitions: end.topics[at]!.map((saved, partition) => ({
      partition,
      ...saved,
      records: saved.tail - saved.earliest,
    })),
  }));
  return { file, clusterId, takenAtMs, bytes, topics };
}

export function describe({ file, clusterId, takenAtMs, bytes, topics }: BackupSummary): string {
  const lines = [`${file}: ${formatBytes(bytes)}, of cluster ${clusterId}, taken ${new Date(takenAtMs).toISOString()}`];
  for (const { name, partitions } of topics) {
    for (const { partition, earliest, tail, records } of partitions) {
      const range = `offsets [${groupDigits(earliest)}, ${groupDigits(tail)})`;
      lines.push(`  ${name}/${partition}: ${range}, ${groupDigits(records)} records`);
    }
  }
  return `${lines.join('\n')}\n`;
}
