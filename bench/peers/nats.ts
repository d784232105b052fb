/**
 * NATS JetStream: three servers, a stream with three replicas on files, through the client for JavaScript. It answers
 * when a majority has written; by default nothing is flushed before that (sync_interval 2 minutes), with
 * `sync_interval: always` each write is.
 */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePorts } from '../bench-cluster.ts';
import { ProcessGroup } from '../process-group.ts';
import type { BenchContext } from '../scenario.ts';
import type { Peer, RunningPeer } from './peer.ts';
import type { PeersDir } from './peers-dir.ts';
import { startServers, versionOf } from './servers.ts';

const NODES = 3;
const PACKAGES = ['@nats-io/transport-node', '@nats-io/jetstream'];
const READY_MS_MAX = 30_000;

export interface NatsSettings {
  readonly servers: readonly string[];
  /** Of the servers, as the leader of a stream is named. */
  readonly names: readonly string[];
  /** 'single': a publish with an acknowledgement each. 'fast': fast ingest, which acknowledges many at once. */
  readonly publish: 'single' | 'fast';
  /** Reading is the same whatever is flushed when: it is measured once. */
  readonly isReadToo: boolean;
}

export function natsPeer(name: string, sync: 'default' | 'always'): Peer {
  return {
    name,
    missing: async (tools) => [...tools.missingProgram('nats-server'), ...tools.missingPackages(PACKAGES)],
    start: (context, tools, dir) => start(context, tools, dir, sync),
  };
}

async function start(
  context: BenchContext,
  tools: PeersDir,
  dir: string,
  sync: 'default' | 'always',
): Promise<RunningPeer> {
  const ports = await freePorts(3 * NODES);
  const [clientPorts, routePorts, monitorPorts] = [0, 1, 2].map((kind) =>
    ports.slice(kind * NODES, (kind + 1) * NODES),
  );
  const names = Array.from({ length: NODES }, (_, at) => `n${at + 1}`);
  const processes = await Promise.all(
    names.map(async (server, at) => {
      const storeDir = join(dir, server);
      await mkdir(storeDir);
      const config = join(dir, `${server}.conf`);
      const ownPorts = { client: clientPorts![at]!, route: routePorts![at]!, monitor: monitorPorts![at]! };
      await writeFile(config, configuration({ server, storeDir, ports: ownPorts, routes: routePorts!, sync }));
      const words = ['-c', config];
      return new ProcessGroup(context.cleanup, {
        name: `nats ${server}`,
        program: tools.program('nats-server'),
        words,
        cwd: dir,
      });
    }),
  );
  const isHealthy = (at: number) => async (): Promise<boolean> =>
    (await fetch(`http://127.0.0.1:${monitorPorts![at]}/healthz`)).ok;
  const { look, failover } = await startServers(context, processes, { isReady: isHealthy, timeoutMs: READY_MS_MAX });
  const flushed = sync === 'always' ? 'sync_interval always: flushed' : 'default sync: not flushed';
  const version = await versionOf(context, tools.program('nats-server'));
  const library = `nats.js ${tools.packageVersion('@nats-io/jetstream')}`;
  const settings = (publish: NatsSettings['publish']): NatsSettings => ({
    servers: clientPorts!.map((port) => `127.0.0.1:${port}`),
    names,
    publish,
    isReadToo: sync === 'default',
  });
  return {
    label: `NATS JetStream ${version}, R${NODES}, ${flushed}`,
    clients: [
      {
        label: `${library}, single publishes`,
        driver: 'nats',
        settings: settings('single'),
        targets: {
          ...(sync === 'default' && { 'one in flight p50': 1 }),
          singles: 1.3,
          ...(sync === 'default' && { 'consume 100 B': 4 }),
        },
      },
      {
        label: `${library}, fast ingest`,
        driver: 'nats',
        settings: settings('fast'),
        targets: { 'produce 100 B': 8 },
      },
    ],
    // Its failover is the same whatever it flushes, and takes long.
    ...(sync === 'default' && failover),
    look,
  };
}

interface NodePlaces {
  readonly server: string;
  readonly storeDir: string;
  readonly ports: { readonly client: number; readonly route: number; readonly monitor: number };
  /** Of all servers, this one included. */
  readonly routes: readonly number[];
  readonly sync: 'default' | 'always';
}

function configuration({ server, storeDir, ports, routes, sync }: NodePlaces): string {
  return [
    `server_name: ${server}`,
    `listen: "127.0.0.1:${ports.client}"`,
    `http: "127.0.0.1:${ports.monitor}"`,
    `jetstream { store_dir: "${storeDir}"${sync === 'always' ? ', sync_interval: always' : ''} }`,
    'cluster {',
    '  name: bench',
    `  listen: "127.0.0.1:${ports.route}"`,
    `  routes: [${routes.map((port) => `"nats-route://127.0.0.1:${port}"`).join(', ')}]`,
    '}',
    '',
  ].join('\n');
}
