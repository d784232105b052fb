/** The runner as one starts it: real processes, so it needs the build that `npm test` makes first. */
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BenchCluster, freePorts } from '../../bench/bench-cluster.ts';
import { BenchNode } from '../../bench/bench-node.ts';
import { Cleanup } from '../../bench/cleanup.ts';
import { describeMachine } from '../../bench/machine.ts';
import { PEERS } from '../../bench/peers/index.ts';
import { checkResult } from '../../bench/result.ts';
import { bench, inDir } from './runner.ts';

let dir = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'logdrive-test-'));
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

describe('the runner', () => {
  test('prints and keeps a result with machine, disk, options and durability', async () => {
    const words = ['raft-core', '--json', '--entries', '100', '--repeats', '1', ...inDir(dir)];
    const { code, stdout, stderr } = await bench(words);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const result = checkResult(JSON.parse(stdout), 'stdout');
    expect(result).toMatchObject({ scenario: 'raft-core', options: { entries: 100, burst: 8, repeats: 1 } });
    expect(result.diskLimit.bytesPerSecond).toBeGreaterThan(0);
    expect(result.machine.node).toBe(process.version);
    expect(JSON.parse(await readFile(join(dir, 'results/raft-core.json'), 'utf8'))).toEqual(result);
    expect(await readdir(dir)).toEqual(['results']);
  });

  test.each([
    [['nothing'], /no bench named nothing/],
    [['raft-core', '--entries', 'many'], /--entries wants a number of at least 1, not many/],
    [['raft-core', '--speed', '9'], /--speed/],
    [['compare', 'one'], /compare wants two paths/],
    [['peers', '--only', 'etcd,zookeeper'], /--only: there is no peer "zookeeper", only nats, /],
    [['peers-install', '--only', 'zookeeper'], /--only: there is no peer "zookeeper"/],
  ])('refuses %j and shows how it is used', async (words, reason) => {
    const { code, stderr } = await bench(words);
    expect(code).toBe(2);
    expect(stderr).toMatch(reason);
    expect(stderr).toContain('npm run bench -- NAME');
  });

  test('that finds no peer installed names each with what it lacks, measures nothing and fails nothing', async () => {
    const none = join(dir, 'no-peers');
    const { code, stdout, stderr } = await bench(['peers', '--json', '--peers-dir', none, ...inDir(dir)]);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const { figures, ratios, notes } = checkResult(JSON.parse(stdout), 'stdout');
    expect({ figures, ratios }).toEqual({ figures: [], ratios: [] });
    for (const { name } of PEERS) {
      const notice = new RegExp(`^${name} is skipped, for it lacks .*${none}.*npm run bench -- peers-install`);
      expect(notes).toContainEqual(expect.stringMatching(notice));
      expect(stderr).toContain(`peers: ${name} is skipped`);
    }
    expect(await readdir(dir)).toEqual(['results']);
  });
});

describe('a cluster for benches', () => {
  test('that meets a busy port says which node, on which address, and what it wrote, and leaves nothing', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const port = (taken.address() as AddressInfo).port;
    const free = await freePorts(5);
    const cleanup = new Cleanup();
    const machine = await describeMachine(dir);
    const context = { dir, machine, cleanup, profileDir: undefined, say: () => undefined };
    try {
      const starting = BenchCluster.start(context, { nodes: 3, ports: [free[0]!, port, ...free.slice(1)] });
      const reason = `n2 could not be started on 127.0.0.1:${port}: it ended.*another process listens there`;
      await expect(starting).rejects.toThrow(new RegExp(reason, 's'));
    } finally {
      await cleanup.run();
      taken.close();
    }
  });

  test('whose bench is over starts no node again that was killed for a measurement', async () => {
    const node = new BenchNode({ id: 'n1', dataDir: join(dir, 'n1'), clientPort: 1, peerPort: 2, peers: '' });
    await node.end();
    expect(() => node.start()).toThrow('too late to start n1: the bench is cleaning up');
  });
});
