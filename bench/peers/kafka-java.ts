/** Kafka through its own Java tools, which measure and print by themselves; topics are made through kafkajs. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { KafkaSettings } from './kafka.ts';
import { openKafkajs } from './kafkajs.ts';
import type { Driver, Throughput } from './peer.ts';
import type { PeersDir } from './peers-dir.ts';

/**
 * The tool wants a number of records, not a time: what the last run reached says how many. At least so many bytes a
 * second, since each run is a new Java process that is slow at first; a short run would be nothing but that.
 */
const BYTES_PER_SECOND_LEAST = 30e6;
/** Larger batches than it has by default (16 KiB), as its users set them for throughput; linger is 5 ms by default. */
const PRODUCER_PROPERTIES = ['acks=all', 'batch.size=262144', 'buffer.memory=67108864'];
const READ_MS_MAX = 60_000;

export async function openKafkaJava(settings: KafkaSettings, tools: PeersDir): Promise<Driver> {
  const library = await openKafkajs(settings, tools);
  const servers = settings.brokers.join(',');
  const java = (words: readonly string[]): Promise<string> =>
    outputOf('java', ['-cp', join(settings.jarsDir, '*'), '-Xmx512M', ...words]);
  /** By size of record. */
  const perSecond = new Map<number, number>();
  return {
    createTopic: (topic) => library.createTopic(topic),
    deleteTopic: (topic) => library.deleteTopic!(topic),
    async produce(topic, { values, seconds }) {
      const size = values[0]!.length;
      const count = Math.ceil(Math.max(perSecond.get(size) ?? 0, BYTES_PER_SECOND_LEAST / size) * seconds);
      const load = ['--topic', topic, '--num-records', String(count), '--record-size', String(size)];
      const properties = ['--producer-props', `bootstrap.servers=${servers}`, ...PRODUCER_PROPERTIES];
      const words = ['org.apache.kafka.tools.ProducerPerformance', ...load, '--throughput', '-1', ...properties];
      const result = parseProducerPerformance(await java(words));
      perSecond.set(size, result.records / result.seconds);
      return result;
    },
    async consume(topic, records) {
      const words = ['--bootstrap-server', servers, '--topic', topic, '--messages', String(records)];
      const limit = ['--timeout', String(READ_MS_MAX)];
      return parseConsumerPerformance(
        await java(['org.apache.kafka.tools.ConsumerPerformance', ...words, ...limit, '--hide-header']),
      );
    },
    close: () => library.close(),
  };
}

/** Its last line is about the whole run: '100000 records sent, 52083.3 records/sec (4.97 MB/sec), ...'. */
export function parseProducerPerformance(output: string): Throughput {
  const last = [...output.matchAll(/(\d+) records sent, ([\d.]+) records\/sec/g)].at(-1);
  if (last === undefined) throw new Error(`ProducerPerformance printed no result: ${output.slice(-1_000)}`);
  const records = Number(last[1]);
  return { records, seconds: records / Number(last[2]) };
}

/** One line of ten columns; the eighth is the time of fetching in ms, which leaves out the joining of the group. */
export function parseConsumerPerformance(output: string): Throughput {
  const line = output.split('\n').find((each) => each.split(',').length === 10 && /^\d{4}-/.test(each));
  const columns = line?.split(',').map((each) => each.trim()) ?? [];
  const [records, fetchMs] = [Number(columns[4]), Number(columns[7])];
  if (!(records > 0 && fetchMs > 0)) throw new Error(`ConsumerPerformance printed no result: ${output.slice(-1_000)}`);
  return { records, seconds: fetchMs / 1_000 };
}

async function outputOf(program: string, words: readonly string[]): Promise<string> {
  const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${words.join(' ')} ended with ${code}: ${output.slice(-1_000)}`);
  return output;
}
