/**
 * Kafka: three KRaft nodes that are broker and controller at once, a topic with three replicas of which two must have a
 * record before acks=all is answered. Kafka leaves flushing to the operating system. Its own Java tools and two
 * libraries for JavaScript do the work.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePorts } from '../bench-cluster.ts';
import { listens, ProcessGroup } from '../process-group.ts';
import type { BenchContext } from '../scenario.ts';
import type { Peer, RunningPeer } from './peer.ts';
import { missingOnPath, type PeersDir } from './peers-dir.ts';
import { startServers } from './servers.ts';

const NODES = 3;
const READY_MS_MAX = 120_000;
/** As its start script sets them. */
const JVM = [
  ...['-Xmx1G', '-Xms1G', '-server', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20'],
  ...['-XX:InitiatingHeapOccupancyPercent=35', '-Djava.awt.headless=true'],
];

/** What each of its clients is told. */
export interface KafkaSettings {
  /** host:port of each broker; node 1 first. */
  readonly brokers: readonly string[];
  readonly jarsDir: string;
}

export const REPLICAS: number = NODES;
export const IN_SYNC_MIN = 2;
/** A broker takes batches of 1 MiB at most; some room for what surrounds the values. */
const BATCH_BYTES = 900_000;
const RECORD_OVERHEAD_BYTES = 20;

/** How many records of a size a library is given at once, as one batch. */
export function batchRecords(size: number): number {
  return Math.floor(BATCH_BYTES / (size + RECORD_OVERHEAD_BYTES));
}

export const kafka: Peer = {
  name: 'kafka',
  missing: async (tools) => [
    ...missingOnPath('java', 'a Java runtime of version 17 or later'),
    ...tools.missingJar('kafka_2.13'),
    ...tools.missingJar('kafka-tools'),
    ...tools.missingPackages(['kafkajs', '@platformatic/kafka']),
  ],
  start,
};

async function start(context: BenchContext, tools: PeersDir, dir: string): Promise<RunningPeer> {
  const ports = await freePorts(2 * NODES);
  const [brokerPorts, controllerPorts] = [ports.slice(0, NODES), ports.slice(NODES)];
  const classPath = join(tools.jarsDir, '*');
  const clusterId = randomBytes(16).toString('base64url');
  const java = (name: string, words: readonly string[]): ProcessGroup =>
    new ProcessGroup(context.cleanup, {
      ...{ name, program: 'java', cwd: dir },
      words: ['-cp', classPath, ...words],
    });
  const processes = await Promise.all(
    brokerPorts.map(async (_, at) => {
      const config = join(dir, `k${at + 1}.properties`);
      const dataDir = join(dir, `k${at + 1}`);
      await mkdir(dataDir);
      await writeFile(config, properties(at, { brokerPorts, controllerPorts, dataDir }));
      const format = ['kafka.tools.StorageTool', 'format', '-t', clusterId, '-c', config];
      await java(`kafka format ${at + 1}`, format).output();
      return java(`kafka k${at + 1}`, [...JVM, 'kafka.Kafka', config]);
    }),
  );
  const isReady = (at: number) => (): Promise<boolean> => listens(brokerPorts[at]!);
  const { look, failover } = await startServers(context, processes, { isReady, timeoutMs: READY_MS_MAX });
  const version = tools.jarVersion('kafka_2.13');
  const settings: KafkaSettings = {
    brokers: brokerPorts.map((port) => `127.0.0.1:${port}`),
    jarsDir: tools.jarsDir,
  };
  const library = { 'produce 100 B': 4, 'consume 100 B': 4, singles: 1.3 };
  return {
    label: `Kafka ${version}, R${NODES}, acks=all, not flushed`,
    clients: [
      {
        label: `ProducerPerformance and ConsumerPerformance (Java) ${tools.jarVersion('kafka-tools')}`,
        driver: 'kafka-java',
        settings,
        targets: { 'produce 100 B': 3, 'consume 100 B': 1.5, 'produce 1 KiB': 1.7 },
      },
      {
        label: `kafkajs ${tools.packageVersion('kafkajs')}`,
        driver: 'kafkajs',
        settings,
        targets: library,
      },
      {
        label: `@platformatic/kafka ${tools.packageVersion('@platformatic/kafka')}`,
        driver: 'platformatic',
        settings,
        targets: library,
      },
    ],
    look,
    ...failover,
  };
}

interface NodePlaces {
  readonly brokerPorts: readonly number[];
  readonly controllerPorts: readonly number[];
  readonly dataDir: string;
}

function properties(at: number, { brokerPorts, controllerPorts, dataDir }: NodePlaces): string {
  const voters = controllerPorts.map((port, voter) => `${voter + 1}@127.0.0.1:${port}`).join(',');
  return [
    'process.roles=broker,controller',
    `node.id=${at + 1}`,
    `controller.quorum.voters=${voters}`,
    `listeners=PLAINTEXT://127.0.0.1:${brokerPorts[at]},CONTROLLER://127.0.0.1:${controllerPorts[at]}`,
    `advertised.listeners=PLAINTEXT://127.0.0.1:${brokerPorts[at]}`,
    'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'controller.listener.names=CONTROLLER',
    'inter.broker.listener.name=PLAINTEXT',
    `log.dirs=${dataDir}`,
    'auto.create.topics.enable=false',
    `default.replication.factor=${NODES}`,
    `min.insync.replicas=${IN_SYNC_MIN}`,
    `offsets.topic.replication.factor=${NODES}`,
    'offsets.topic.num.partitions=1',
    // Waits that are there for large installations.
    'group.initial.rebalance.delay.ms=0',
    'log.segment.delete.delay.ms=1000',
    '',
  ].join('\n');
}
