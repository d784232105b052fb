/** Starts that must not succeed, each with its one clear message and exit code 1; and the one that must be quick. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { freePorts } from '../support/free-ports.ts';
import { LOGDRIVE, logdrive, logdriveOk } from './support/command-line.ts';
import { TestCluster } from './support/test-cluster.ts';
import { TestNode } from './support/test-node.ts';

const isRoot = process.getuid?.() === 0;

const mounts: string[] = [];

/** A file system of its own, of that size; only root can make one. */
async function smallDisk(options: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'logdrive-mount-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', dir]);
  mounts.push(dir);
  return dir;
}

afterAll(async () => {
  for (const dir of mounts) {
    execFileSync('umount', [dir]);
    await rm(dir, { recursive: true });
  }
});

/** A node of a cluster of one, with its files and ports, not started. */
async function oneNode(): Promise<{ cluster: TestCluster; node: TestNode }> {
  const cluster = await TestCluster.create({ nodes: 1, start: false });
  return { cluster, node: cluster.nodes[0]! };
}

/** The same node as `node`, with what differs. */
function likeNode(
  node: TestNode,
  changes: Partial<{ id: string; dataDir: string; clientPort: number; peerPort: number; peers: string }>,
): TestNode {
  const { id, dataDir, clientPort, peerPort } = node;
  return new TestNode({ id, dataDir, clientPort, peerPort, peers: '', ...changes });
}

async function refusal(node: TestNode): Promise<string> {
  node.start();
  expect(await node.exited()).toEqual({ code: 1, signal: null });
  return node.log;
}

describe('a node refuses to start', () => {
  test.each(['clientPort', 'peerPort'] as const)('when its %s is in use, naming the address', async (which) => {
    const { cluster, node } = await oneNode();
    await using _ = cluster;
    const squatter = createServer().listen(node[which], '127.0.0.1');
    await once(squatter, 'listening');
    try {
      // Only a node that has peers listens for them.
      const peers = `n1=127.0.0.1:${node.peerPort}`;
      expect(await refusal(likeNode(node, { peers }))).toContain(`127.0.0.1:${node[which]}`);
    } finally {
      squatter.close();
    }
  });

  test('on the data directory of another node, and leaves it as it was', async () => {
    const { cluster, node } = await oneNode();
    await using _ = cluster;
    node.start();
    await node.ready();
    await node.drain();
    const before = await readdir(node.dataDir, { recursive: true });
    const log = await refusal(likeNode(node, { id: 'n9' }));
    expect(log).toContain('n1');
    expect(log).toContain('n9');
    expect(await readdir(node.dataDir, { recursive: true })).toEqual(before);
    node.start();
    await node.ready();
  });

  test('on a directory a living node holds, naming directory and process, and does not disturb that one', async () => {
    const { cluster, node } = await oneNode();
    await using _ = cluster;
    node.start();
    await node.ready();
    const [clientPort, peerPort] = await freePorts(2);
    const log = await refusal(likeNode(node, { clientPort: clientPort!, peerPort: peerPort! }));
    expect(log).toContain(node.dataDir);
    expect(log).toContain(String(node.pid));
    await logdriveOk(['produce', 'still', '--create', '-s', node.address], { stdin: 'alive\n' });
  });

  test.skipIf(!isRoot)('on a read-only disk (needs root to make one)', async () => {
    const { cluster, node } = await oneNode();
    await using _ = cluster;
    const disk = await smallDisk('size=8m');
    await mkdir(join(disk, 'n1'));
    execFileSync('mount', ['-o', 'remount,ro', disk]);
    const log = await refusal(likeNode(node, { dataDir: join(disk, 'n1') }));
    expect(log).toContain(disk);
    expect(log).toMatch(/read-only|EROFS/);
  });

  test('on a path that is a file', async () => {
    const { cluster, node } = await oneNode();
    await using _ = cluster;
    await writeFile(node.dataDir, 'a file');
    expect(await refusal(node)).toContain(node.dataDir);
    expect(await readFile(node.dataDir, 'utf8')).toBe('a file');
  });

  test.skipIf(isRoot)('on a directory it may not write to (root may)', async () => {
    const { cluster, node } = await oneNode();
    await using _ = cluster;
    await mkdir(node.dataDir, { mode: 0o500 });
    expect(await refusal(node)).toContain(node.dataDir);
    await chmod(node.dataDir, 0o700);
  });

  test('beyond this machine, unless told that this is meant', async () => {
    const finished = await logdrive(['serve', '--listen', '0.0.0.0:0']);
    expect(finished.code).toBe(2);
    expect(finished.stderr).toContain('--insecure');
  });
});

test('a lock whose process id now belongs to another process is stale', async () => {
  const { cluster, node } = await oneNode();
  await using _ = cluster;
  node.start();
  await node.ready();
  await node.kill();
  const bystander = spawn('sleep', ['600']);
  try {
    const lock = (await readdir(node.dataDir)).find((name) => /lock/i.test(name))!;
    const path = node.path(lock);
    const [, ...rest] = (await readFile(path, 'utf8')).split(' ');
    await writeFile(path, [bystander.pid, ...rest].join(' '));
    node.start();
    await node.ready();
    expect(bystander.exitCode).toBeNull();
  } finally {
    bystander.kill();
  }
});

test.skipIf(!isRoot)(
  'a full disk refuses appends by name, serves reads, and goes on when there is space (needs root)',
  async () => {
    const { cluster, node: usual } = await oneNode();
    await using _ = cluster;
    const disk = await smallDisk('size=24m');
    const node = likeNode(usual, { dataDir: join(disk, 'n1') });
    node.start();
    try {
      await node.ready();
      const line = `${'x'.repeat(99_999)}\n`;
      await logdriveOk(['produce', 'full', '--create', '-s', node.address], { stdin: line });
      // What is left of the disk goes to somebody else.
      const ballast = join(disk, 'ballast');
      const fill = execFileSync('sh', ['-c', `dd if=/dev/zero of=${ballast} bs=64k 2>&1 || true`]);
      expect(fill.toString()).toContain('No space');
      const refused = await eventually(
        async () => {
          const finished = await logdrive(
            ['produce', 'full', '-s', node.address, '--timeout', '2s', '--output', 'json'],
            {
              stdin: line.repeat(100),
            },
          );
          return finished.code !== 0 && finished;
        },
        { what: 'an append that the disk has no room for' },
      );
      // The outcome depends on how far the append came: what was accepted before the disk was full may come yet.
      expect(JSON.parse(refused.stderr.trim().split('\n').at(-1)!)).toMatchObject({ code: 'STORAGE_FULL' });
      expect(node.isRunning).toBe(true);
      const kept = await logdriveOk(['consume', 'full', '-e', '-n', '1', '-o', 'earliest', '-s', node.address]);
      expect(kept.stdout.toString()).toBe(line);
      await rm(ballast);
      await eventually(
        async () => (await logdrive(['produce', 'full', '-s', node.address], { stdin: 'after\n' })).code === 0,
        { what: 'appends to go on' },
      );
      const last = await logdriveOk(['consume', 'full', '-e', '-o', '-1', '-s', node.address]);
      expect(last.stdout.toString()).toBe('after\n');
    } finally {
      await node.kill();
    }
  },
);

test('from start to the first acknowledged append takes a few seconds at most', async () => {
  await using cluster = await TestCluster.create({ start: false });
  const begunMs = performance.now();
  await cluster.start();
  await logdriveOk(['produce', 'first', '--create', '-s', cluster.servers], { stdin: 'one\n' });
  const elapsedMs = performance.now() - begunMs;
  console.log(`start of three nodes to first ack: ${elapsedMs.toFixed(0)} ms`);
  expect(elapsedMs).toBeLessThan(15_000);
});

test('a node whose parent ends while it starts ends as well', async () => {
  const { cluster, node } = await oneNode();
  await using _ = cluster;
  const words = ['serve', '--supervised', '--node-id', node.id, '--data-dir', node.dataDir, '--listen', node.address];
  const child = spawn(process.execPath, [LOGDRIVE, ...words, '--bootstrap'], {
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    timeout: 30_000,
    killSignal: 'SIGKILL',
  });
  const exit = once(child, 'exit');
  // The channel goes as it does with the parent.
  child.disconnect();
  expect(await exit).toEqual([0, null]);
});

test('a data directory can be moved as a whole', async () => {
  const { cluster, node } = await oneNode();
  await using _ = cluster;
  node.start();
  await node.ready();
  await logdriveOk(['produce', 'moved', '--create', '-s', node.address], { stdin: 'a\nb\n' });
  await node.drain();
  const copy = join(cluster.dir, 'copy');
  await cp(node.dataDir, copy, { recursive: true });
  await rm(node.dataDir, { recursive: true });
  const moved = likeNode(node, { dataDir: copy });
  moved.start();
  try {
    await moved.ready();
    const read = await logdriveOk(['consume', 'moved', '-e', '-o', 'earliest', '-s', moved.address]);
    expect(read.stdout.toString()).toBe('a\nb\n');
  } finally {
    await moved.kill();
  }
});
