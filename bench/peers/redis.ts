/**
 * Redis: one process, one stream a topic, `appendfsync always`: flushed before the answer, on one disk. It is not
 * replicated, so it promises less than the others; it is here as the quickest thing on one disk.
 */
import { freePorts } from '../bench-cluster.ts';
import { listens, ProcessGroup } from '../process-group.ts';
import type { BenchContext } from '../scenario.ts';
import { inLanes, timed } from './pace.ts';
import type { Driver, Peer, RunningPeer } from './peer.ts';
import { missingOnPath, onPath, type PeersDir } from './peers-dir.ts';
import { startServers, versionOf } from './servers.ts';

const READY_MS_MAX = 20_000;
/** Commands in flight on one connection: the library sends those of one turn together. */
const COMMANDS_IN_FLIGHT = 1_000;
const READ_RECORDS = 5_000;

interface RedisSettings {
  readonly port: number;
}

export const redis: Peer = {
  name: 'redis',
  missing: async (tools) => [
    ...missingOnPath('redis-server', 'a package of the system, such as Debian redis-server'),
    ...tools.missingPackages(['redis']),
  ],
  start,
};

async function start(context: BenchContext, tools: PeersDir, dir: string): Promise<RunningPeer> {
  const [port] = await freePorts(1);
  const program = onPath('redis-server')!;
  const server = new ProcessGroup(context.cleanup, {
    ...{ name: 'redis', program, cwd: dir },
    words: [
      ...['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--daemonize', 'no'],
      ...['--appendonly', 'yes', '--appendfsync', 'always'],
    ],
  });
  const { look } = await startServers(context, [server], {
    isReady: () => () => listens(port!),
    timeoutMs: READY_MS_MAX,
  });
  const version = await versionOf(context, program);
  const settings: RedisSettings = { port: port! };
  return {
    label: `Redis ${version}, one process, appendfsync always: flushed, not replicated`,
    clients: [{ label: `node-redis ${tools.packageVersion('redis')}`, driver: 'redis', settings }],
    look,
  };
}

// The little of the library that is used here.
interface Client {
  on(event: 'error', listener: (error: Error) => void): void;
  connect(): Promise<unknown>;
  destroy(): void;
  sendCommand<T>(words: readonly (string | Buffer)[]): Promise<T>;
}
interface Library {
  createClient(options: object): Client;
}

/** An id and its fields, as XRANGE answers. */
type Entry = readonly [string, readonly string[]];

export async function openRedis({ port }: RedisSettings, tools: PeersDir): Promise<Driver> {
  const { createClient } = await tools.load<Library>('redis');
  const open = async (): Promise<Client> => {
    const client = createClient({ socket: { host: '127.0.0.1', port } });
    // Each command that fails says so itself.
    client.on('error', () => undefined);
    await client.connect();
    return client;
  };
  const own = await open();
  const append = (client: Client, topic: string, value: Buffer): Promise<unknown> =>
    client.sendCommand(['XADD', topic, '*', 'v', value]);
  return {
    // A stream is there with its first entry.
    createTopic: async () => undefined,
    async deleteTopic(topic) {
      await own.sendCommand(['UNLINK', topic]);
    },
    async sender(topic) {
      const client = await open();
      return { send: (value) => append(client, topic, Buffer.from(value)), close: async () => client.destroy() };
    },
    produce(topic, { values, seconds }) {
      const buffers = values.map((value) => Buffer.from(value));
      return inLanes(COMMANDS_IN_FLIGHT, seconds, async (n) => {
        await append(own, topic, buffers[n % buffers.length]!);
        return 1;
      });
    },
    consume: (topic, records) =>
      timed(async () => {
        let read = 0;
        let after = '-';
        while (read < records) {
          const words = ['XRANGE', topic, after, '+', 'COUNT', String(READ_RECORDS)];
          const entries = await own.sendCommand<readonly Entry[]>(words);
          if (entries.length === 0) throw new Error(`${topic} gave ${read} of ${records} records`);
          read += entries.length;
          // '(': from after this one.
          after = `(${entries.at(-1)![0]}`;
        }
        return read;
      }),
    close: async () => own.destroy(),
  };
}
