/**
 * RabbitMQ: three nodes, a quorum queue with three replicas, which is flushed on a majority before a publish is
 * confirmed. The nodes get an epmd and a home of their own, so that they meet no other Erlang of the machine.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePorts } from '../bench-cluster.ts';
import { listens, ProcessGroup } from '../process-group.ts';
import type { BenchContext } from '../scenario.ts';
import type { Peer, RunningPeer } from './peer.ts';
import { missingOnPath, onPath, type PeersDir } from './peers-dir.ts';
import { startServers, versionOf } from './servers.ts';

const NODES = 3;
const READY_MS_MAX = 120_000;
/** What Debian has on PATH changes to another user and directory first; this is what it calls then. */
const DEBIAN_SCRIPTS = '/usr/lib/rabbitmq/bin';

export interface RabbitmqSettings {
  /** amqp://host:port of each node. */
  readonly urls: readonly string[];
  /** As the leader of a queue is named. */
  readonly names: readonly string[];
  readonly ctl: { readonly program: string; readonly env: Readonly<Record<string, string>> };
}

export const rabbitmq: Peer = {
  name: 'rabbitmq',
  missing: async (tools) => [
    ...missingOnPath('rabbitmq-server', 'a package of the system, such as Debian rabbitmq-server'),
    ...missingOnPath('epmd', 'it comes with Erlang'),
    ...tools.missingPackages(['amqplib']),
  ],
  start,
};

function script(name: string): string {
  const path = join(DEBIAN_SCRIPTS, name);
  return existsSync(path) ? path : onPath(name)!;
}

async function start(context: BenchContext, tools: PeersDir, dir: string): Promise<RunningPeer> {
  const [epmdPort, ...ports] = await freePorts(1 + 2 * NODES);
  const names = Array.from({ length: NODES }, (_, at) => `r${at + 1}@localhost`);
  await writeFile(join(dir, '.erlang.cookie'), randomBytes(16).toString('hex'), { mode: 0o400 });
  const shared = { HOME: dir, ERL_EPMD_PORT: String(epmdPort), ERL_EPMD_ADDRESS: '127.0.0.1' };
  const epmd = new ProcessGroup(context.cleanup, {
    ...{ name: 'epmd', program: onPath('epmd')!, words: [], cwd: dir, env: shared },
  });
  epmd.start();
  await epmd.ready(() => listens(epmdPort!));
  const processes = await Promise.all(
    names.map(async (name, at) => {
      const own = join(dir, `r${at + 1}`);
      await mkdir(own);
      const config = join(own, 'rabbitmq.conf');
      await writeFile(config, configuration(ports[at]!, names));
      await writeFile(join(own, 'plugins'), '[].\n');
      const env = {
        ...shared,
        RABBITMQ_NODENAME: name,
        RABBITMQ_DIST_PORT: String(ports[NODES + at]),
        RABBITMQ_MNESIA_BASE: join(own, 'mnesia'),
        RABBITMQ_LOG_BASE: join(own, 'log'),
        RABBITMQ_LOGS: '-',
        RABBITMQ_CONFIG_FILE: config,
        RABBITMQ_CONF_ENV_FILE: join(own, 'none'),
        RABBITMQ_ENABLED_PLUGINS_FILE: join(own, 'plugins'),
        RABBITMQ_PID_FILE: join(own, 'pid'),
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
      };
      const program = script('rabbitmq-server');
      return new ProcessGroup(context.cleanup, { name: `rabbitmq ${name}`, program, words: [], cwd: own, env });
    }),
  );
  const isReady = (at: number) => (): Promise<boolean> => listens(ports[at]!);
  const { look, failover } = await startServers(context, processes, { isReady, timeoutMs: READY_MS_MAX });
  const ctl = { program: script('rabbitmqctl'), env: shared };
  // A queue gets replicas on the nodes that are there when it is made.
  await new ProcessGroup(context.cleanup, {
    ...{ name: 'rabbitmqctl await_online_nodes', cwd: dir, ...ctl },
    words: ['-n', names[0]!, 'await_online_nodes', String(NODES), '--timeout', '60'],
  }).output();
  const version = await versionOf(context, ctl.program, { words: ['version'], env: shared });
  const urls = ports.slice(0, NODES).map((port) => `amqp://127.0.0.1:${port}`);
  const settings: RabbitmqSettings = { urls, names, ctl };
  return {
    label: `RabbitMQ ${version}, quorum queue, R${NODES}, fsync on a majority`,
    clients: [
      {
        label: `amqplib ${tools.packageVersion('amqplib')}`,
        driver: 'amqplib',
        settings,
        targets: { singles: 1.3, 'consume 100 B': 4 },
      },
    ],
    look,
    ...failover,
  };
}

function configuration(port: number, names: readonly string[]): string {
  return [
    `listeners.tcp.1 = 127.0.0.1:${port}`,
    'cluster_formation.peer_discovery_backend = classic_config',
    ...names.map((name, at) => `cluster_formation.classic_config.nodes.${at + 1} = ${name}`),
    'log.console.level = warning',
    // The disk under test is often nearly full; its alarm would stop all publishers.
    'disk_free_limit.absolute = 100MB',
    '',
  ].join('\n');
}
