/**
 * `logdrive dev`: a cluster of real nodes on this machine, each a process of its own with a directory of its own, kept
 * running until Ctrl-C. With --data-dir the data stays; without, it lives in a temporary directory that goes away.
 *
 * Node i listens for clients on port + 10 i and for peers one above. Clusters of different sizes are different
 * clusters and lie in different directories (`3-nodes/n1`), since a cluster of three cannot go on as one of one.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { type DiskLock, isStorageError, NodeDisk } from '../../storage/index.ts';
import type { Command, Invocation } from '../command.ts';
import { EXIT_OTHER, ExitError, UsageError } from '../exit.ts';
import { spawnNode } from '../node-process.ts';
import { Supervisor } from '../supervisor.ts';
import type { Terminal } from '../terminal.ts';
import { CLIENT_PORT, parseCount } from '../values.ts';

const NODES_MAX = 9;
/** From one node's ports to the next one's. */
const PORT_STEP = 10;
/** Above the nodes' own deadline for a drain (shutdown.deadlineMs), which this passes on. */
const DRAIN_MS = 10_000;
const STOP_DEADLINE_MS = 12_000;

export const dev: Command = {
  usage: 'dev',
  flags: {
    nodes: { kind: 'text', sentence: 'How many nodes.', placeholder: 'N', defaultText: '3' },
    'data-dir': {
      kind: 'text',
      sentence: 'Where the data stays. Without it: a throwaway cluster.',
      placeholder: 'DIR',
    },
    port: {
      kind: 'text',
      sentence: `Client port of the first node; the peer port is one above, the next node ${PORT_STEP} above.`,
      placeholder: 'PORT',
      defaultText: String(CLIENT_PORT),
    },
    'log-level': {
      kind: 'text',
      sentence: 'Least grave lines of the nodes to show: debug, info, warn, error.',
      placeholder: 'LEVEL',
      defaultText: 'error',
    },
  },
  examples: [['$0 dev --nodes 3 --data-dir ./data', 'three nodes whose data stays']],
  run: runDev,
};

interface DevNode {
  readonly id: string;
  readonly clientPort: number;
  readonly peerPort: number;
}

async function runDev(invocation: Invocation): Promise<void> {
  const { terminal } = invocation;
  const nodes = layOut(
    parseCount('--nodes', invocation.text('nodes')!, 1),
    parseCount('--port', invocation.text('port')!),
  );
  const dataDir = invocation.text('data-dir');
  const root = dataDir === undefined ? await mkdtemp(join(tmpdir(), 'logdrive-dev-')) : resolve(dataDir);
  await mkdir(root, { recursive: true, mode: 0o700 });
  const lock = await lockRoot(root);
  try {
    const clusterDir = join(root, `${nodes.length}-nodes`);
    await runCluster(terminal, nodes, clusterDir, invocation.text('log-level')!);
  } finally {
    await lock.release();
    if (dataDir === undefined) await rm(root, { recursive: true, force: true });
  }
}

/**
 * The nodes lock their own directories, but that is too late here: a second cluster would take the directory of a node
 * that just died from the first one.
 */
async function lockRoot(root: string): Promise<DiskLock> {
  try {
    return await new NodeDisk().lock(join(root, 'dev.lock'));
  } catch (error) {
    if (!isStorageError(error, 'LOCKED')) throw error;
    throw new Error(`${root} is locked by process ${error.pid}: stop that cluster first, or give another --data-dir`, {
      cause: error,
    });
  }
}

function layOut(count: number, port: number): DevNode[] {
  if (count > NODES_MAX) throw new UsageError(`--nodes wants at most ${NODES_MAX}, not ${count}`);
  const nodes = Array.from({ length: count }, (_, at) => ({
    id: `n${at + 1}`,
    clientPort: port + PORT_STEP * at,
    peerPort: port + PORT_STEP * at + 1,
  }));
  if (port === 0 || nodes.at(-1)!.peerPort > 65_535)
    throw new UsageError(`--port ${port} leaves no room for ${count} nodes`);
  return nodes;
}

async function runCluster(terminal: Terminal, nodes: readonly DevNode[], dir: string, logLevel: string): Promise<void> {
  const flagsById = new Map(nodes.map((node) => [node.id, serveFlags(node, nodes, dir, logLevel)]));
  const supervisor = new Supervisor(
    {
      spawn: (id, events) =>
        spawnNode({ flags: flagsById.get(id)!, onLine: (line) => terminal.complain(`${id} | ${line}`) }, events),
      after: (delayMs, fn) => {
        const timer = setTimeout(fn, delayMs);
        return { cancel: () => clearTimeout(timer) };
      },
      monotonicMs: () => performance.now(),
      say: (line) => terminal.complain(line),
    },
    { nodeIds: nodes.map((node) => node.id), stopDeadlineMs: STOP_DEADLINE_MS },
  );
  let signals = 0;
  const onSignal = (signal: string): void => {
    signals++;
    if (signals === 1) {
      terminal.say(`${signal}: draining ${nodes.length === 1 ? 'the node' : 'the nodes'}; once more to stop at once`);
      supervisor.stop();
    } else supervisor.kill();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  void supervisor.ready.then(() => terminal.out.writeText(banner(nodes, dir)));
  supervisor.start();
  const end = await supervisor.ended;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, onSignal);
  if (end.kind === 'failed' || signals > 1) throw new ExitError(EXIT_OTHER);
}

function serveFlags(node: DevNode, nodes: readonly DevNode[], dir: string, logLevel: string): string[] {
  const peers = nodes.map((peer) => `${peer.id}=127.0.0.1:${peer.peerPort}`).join(',');
  return [
    ...['--node-id', node.id],
    ...['--data-dir', join(dir, node.id)],
    ...['--listen', `127.0.0.1:${node.clientPort}`],
    ...['--peer-listen', `127.0.0.1:${node.peerPort}`],
    ...['--peers', peers],
    '--bootstrap',
    ...['--log-level', logLevel],
    ...['--log-pretty', 'yes'],
    ...['--shutdown-deadline-ms', String(DRAIN_MS)],
  ];
}

/** How this very program was started, as one would type it again. */
function programName(): string {
  const script = process.argv[1] ?? 'logdrive';
  const shown = relative(process.cwd(), script);
  return /\.c?js$/.test(script) ? `node ${shown.startsWith('..') ? script : shown}` : 'logdrive';
}

function banner(nodes: readonly DevNode[], dir: string): string {
  const program = programName();
  const servers = nodes.map((node) => `127.0.0.1:${node.clientPort}`).join(',');
  return [
    `${nodes.length === 1 ? 'One node is' : `${nodes.length} nodes are`} ready, data in ${dir}. Ctrl-C stops.`,
    '',
    ...nodes.map(
      (node) => `  ${node.id}  ws://127.0.0.1:${node.clientPort}/v1/ws  http://127.0.0.1:${node.clientPort}/v1`,
    ),
    '',
    'In another terminal, to append what you type (end with Ctrl-D), and to read it:',
    '',
    `  ${program} produce hello --create -s ${servers}`,
    `  ${program} consume hello -o earliest -s ${servers}`,
    '',
    '',
  ].join('\n');
}
