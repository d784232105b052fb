/** `logdrive topic create | ls | info | rm`. */
import { createInterface } from 'node:readline/promises';
import type { TopicInfo } from '../../src/client/index.ts';
import { CLIENT_FLAGS, type Command, type Invocation } from '../command.ts';
import { UsageError } from '../exit.ts';
import { withClient } from '../open-client.ts';
import { type Column, groupDigits, renderDocument, renderList, renderTable } from '../output.ts';
import { parseBytes, parseCount, parseDurationMs } from '../values.ts';

type PartitionInfo = TopicInfo['partitions'][number];

const PARTITION_COLUMNS: readonly Column<PartitionInfo>[] = [
  { title: 'PARTITION', text: (row) => String(row.partition), align: 'right' },
  { title: 'LEADER', text: (row) => row.leader ?? '-' },
  { title: 'TERM', text: (row) => String(row.term), align: 'right' },
  { title: 'REPLICAS', text: (row) => row.replicas.join(',') },
  { title: 'EARLIEST', text: (row) => groupDigits(row.earliest), align: 'right' },
  { title: 'TAIL', text: (row) => groupDigits(row.tail), align: 'right' },
  { title: 'STATE', text: (row) => row.state },
];

const TOPIC_COLUMNS: readonly Column<TopicInfo>[] = [
  { title: 'TOPIC', text: (row) => row.name },
  { title: 'PARTITIONS', text: (row) => String(row.partitions.length), align: 'right' },
  { title: 'REPLICAS', text: (row) => String(row.partitions[0]?.replicas.length ?? 0), align: 'right' },
  { title: 'RECORDS', text: (row) => groupDigits(storedRecords(row)), align: 'right' },
];

function storedRecords(topic: TopicInfo): number {
  return topic.partitions.reduce((sum, partition) => sum + partition.tail - partition.earliest, 0);
}

function describeTopic(topic: TopicInfo): string {
  const { maxBytes, maxAgeMs, maxRecords } = topic.retention;
  const bounds = [
    maxBytes === undefined ? [] : `${maxBytes} bytes`,
    maxAgeMs === undefined ? [] : `${maxAgeMs} ms`,
    maxRecords === undefined ? [] : `${groupDigits(maxRecords)} records`,
  ].flat();
  const kept = bounds.length === 0 ? 'kept for ever' : `kept: ${bounds.join(', ')}`;
  const { compaction } = topic;
  const compacted = compaction === undefined ? '' : `, compacted (tombstones: ${compaction.tombstoneRetentionMs} ms)`;
  return `${topic.name} (id ${topic.id}), ${kept}${compacted}\n${renderTable(PARTITION_COLUMNS, topic.partitions)}`;
}

export const topicCreate: Command = {
  usage: 'create <topic>',
  flags: {
    ...CLIENT_FLAGS,
    partitions: { kind: 'text', sentence: 'How many partitions.', placeholder: 'N', defaultText: '1' },
    replicas: {
      kind: 'text',
      sentence: 'Copies of each partition. Default: three, or all nodes when fewer.',
      placeholder: 'N',
    },
    'retention-bytes': { kind: 'text', sentence: 'Oldest records go when a partition is larger.', placeholder: 'SIZE' },
    'retention-age': { kind: 'text', sentence: 'Records go when they are older.', placeholder: 'DURATION' },
    compact: { kind: 'switch', sentence: 'Keep the latest record of each key; records must have keys.' },
    'tombstone-retention': {
      kind: 'text',
      sentence: 'With --compact: how long a record that deletes its key stays. Default: 24h.',
      placeholder: 'DURATION',
    },
    'retention-records': { kind: 'text', sentence: 'Oldest records go when there are more.', placeholder: 'N' },
  },
  examples: [['$0 topic create orders --partitions 3 --retention-age 7d', 'three partitions, a week of records']],
  run: (invocation) =>
    withClient(invocation, async (client) => {
      const number = (flag: string): number | undefined => {
        const text = invocation.text(flag);
        return text === undefined ? undefined : parseCount(`--${flag}`, text, 1);
      };
      const [bytes, age] = [invocation.text('retention-bytes'), invocation.text('retention-age')];
      const [records, replicas] = [number('retention-records'), number('replicas')];
      const tombstones = invocation.text('tombstone-retention');
      const isCompacted = invocation.isOn('compact');
      if (tombstones !== undefined && !isCompacted) throw new UsageError('--tombstone-retention goes with --compact.');
      const topic = await client.admin.createTopic({
        name: invocation.words('topic'),
        partitions: number('partitions')!,
        ...(replicas !== undefined && { replicas }),
        retention: {
          ...(bytes !== undefined && { maxBytes: parseBytes('--retention-bytes', bytes) }),
          ...(age !== undefined && { maxAgeMs: parseDurationMs('--retention-age', age) }),
          ...(records !== undefined && { maxRecords: records }),
        },
        ...(isCompacted && {
          compaction: {
            ...(tombstones !== undefined && {
              tombstoneRetentionMs: parseDurationMs('--tombstone-retention', tombstones),
            }),
          },
        }),
      });
      invocation.terminal.out.writeText(renderDocument(invocation.output, topic, () => describeTopic(topic)));
    }),
};

export const topicList: Command = {
  usage: 'ls',
  flags: CLIENT_FLAGS,
  run: (invocation) =>
    withClient(invocation, async (client) => {
      const topics: TopicInfo[] = [];
      for await (const topic of client.admin.listTopics()) topics.push(topic);
      invocation.terminal.out.writeText(renderList(invocation.output, TOPIC_COLUMNS, topics));
    }),
};

export const topicInfo: Command = {
  usage: 'info <topic>',
  flags: CLIENT_FLAGS,
  run: (invocation) =>
    withClient(invocation, async (client) => {
      const topic = await client.admin.describeTopic(invocation.words('topic'));
      invocation.terminal.out.writeText(renderDocument(invocation.output, topic, () => describeTopic(topic)));
    }),
};

export const topicRemove: Command = {
  usage: 'rm <topic>',
  flags: { ...CLIENT_FLAGS, yes: { kind: 'switch', short: 'y', sentence: 'Do not ask.' } },
  run: async (invocation) => {
    const topic = invocation.words('topic');
    if (!invocation.isOn('yes')) await confirm(invocation, topic);
    await withClient(invocation, async (client) => {
      await client.admin.deleteTopic(topic);
      invocation.terminal.say(`Deleted ${topic}.`);
    });
  },
};

/** @throws UsageError unless a person at a terminal says yes. */
async function confirm(invocation: Invocation, topic: string): Promise<void> {
  if (process.stdin.isTTY !== true) throw new UsageError(`--yes is needed to delete ${topic} when nobody can be asked`);
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await asking.question(
    `Delete ${invocation.terminal.bold(topic)} and all of its records? Type its name: `,
  );
  asking.close();
  if (answer !== topic) throw new UsageError(`${topic} was not deleted: '${answer}' is not its name`);
}
