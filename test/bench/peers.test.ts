/** Comparing with peers, none of which has to be there: what is skipped, chosen, cleaned up and printed. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Cleanup } from '../../bench/cleanup.ts';
import { describeMachine } from '../../bench/machine.ts';
import { chosenPeers, PEERS } from '../../bench/peers/index.ts';
import { install } from '../../bench/peers/install.ts';
import { parseConsumerPerformance, parseProducerPerformance } from '../../bench/peers/kafka-java.ts';
import { inLanes, untilTimeIsUp } from '../../bench/peers/pace.ts';
import type { Peer } from '../../bench/peers/peer.ts';
import { onPath, PeersDir } from '../../bench/peers/peers-dir.ts';
import { ratioOf } from '../../bench/peers/ratios.ts';
import { startServers } from '../../bench/peers/servers.ts';
import { longestGap } from '../../bench/peers/works.ts';
import { ratioTable, renderResult, table } from '../../bench/print.ts';
import { ProcessGroup } from '../../bench/process-group.ts';
import { sampleProcess } from '../../bench/process-use.ts';
import { type Ratio, RESULT_VERSION } from '../../bench/result.ts';
import type { BenchContext } from '../../bench/scenario.ts';
import { peers } from '../../bench/scenarios/peers.ts';

let dir = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'logdrive-test-'));
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

async function contextOf(cleanup: Cleanup, said: string[] = []): Promise<BenchContext> {
  const say = (line: string): void => void said.push(line);
  return { dir, machine: await describeMachine(dir), cleanup, profileDir: undefined, say };
}

/** Not one that ended and waits for init to take note of it. */
async function isAlive(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return stat !== undefined && !/\) Z /.test(stat);
}

describe('a peer that is not installed', () => {
  test('is skipped with a notice that names what is missing and how to get it, and nothing is measured', async () => {
    const said: string[] = [];
    const context = await contextOf(new Cleanup(), said);
    const numbers = { seconds: 1, repeats: 1, connections: 1, kills: 0 };
    const measured = await peers.run(context, numbers, { 'peers-dir': join(dir, 'none'), only: 'nats,etcd' });
    expect(said).toEqual([
      expect.stringMatching(/^nats is skipped.*none\/bin\/nats-server.*@nats-io\/jetstream.*peers-install/),
      expect.stringMatching(/^etcd is skipped.*none\/bin\/etcd \(npm run bench -- peers-install\)/),
    ]);
    expect(measured).toMatchObject({ figures: [], ratios: [], durability: expect.stringContaining('fsync') });
    expect(measured.notes).toEqual(expect.arrayContaining(said.map((line) => `${line}.`)));
    expect(await readdir(dir)).toEqual([]);
  });

  test.each(PEERS.map((peer) => peer.name))('%s says what it lacks in an empty directory', async (name) => {
    const [peer] = chosenPeers(name);
    const missing = await peer!.missing(new PeersDir(dir));
    // What comes from the system may be there; every peer needs something of the directory, too.
    expect(missing.filter((each) => each.includes(dir) && each.includes('peers-install'))).not.toEqual([]);
  });

  test('is found missing on PATH alone when the system has to bring it', () => {
    expect(onPath('no-such-server', '/usr/bin:/bin')).toBeUndefined();
    expect(onPath('node', `/nowhere:${join(process.execPath, '..')}`)).toBe(process.execPath);
  });
});

describe('a peer that fails', () => {
  const numbers = { seconds: 1, repeats: 1, connections: 1, kills: 0 };
  /** Installed, as far as one can see; but nothing that is a server. */
  async function brokenTools(): Promise<string> {
    const tools = new PeersDir(join(dir, 'peers'));
    await mkdir(join(tools.path, 'bin'), { recursive: true });
    await writeFile(tools.program('etcd'), '#!/bin/sh\necho this is no etcd\nexit 7\n', { mode: 0o755 });
    return tools.path;
  }

  test('is told of with its last words, and leaves neither processes nor data', async () => {
    const cleanup = new Cleanup();
    const said: string[] = [];
    const tools = await brokenTools();
    const measured = await peers.run(await contextOf(cleanup, said), numbers, { 'peers-dir': tools, only: 'etcd' });
    expect(measured.notes).toContainEqual(expect.stringMatching(/^etcd FAILED: .*this is no etcd.*code 7/s));
    const nodes = /nodes run as (.*)/.exec(said.join('\n'))![1]!.split(', ').map(Number);
    expect(await Promise.all(nodes.map(isAlive))).toEqual([false, false, false]);
    expect(await readdir(dir)).toEqual(['peers']);
    await cleanup.run();
  });

  test('because the bench was interrupted ends the run: there is no result of half of it', async () => {
    const cleanup = new Cleanup();
    const context = await contextOf(cleanup);
    // The signal comes while the first nodes are being started.
    const say = (): void => void cleanup.run();
    const running = peers.run({ ...context, say }, numbers, { 'peers-dir': await brokenTools(), only: 'etcd' });
    await expect(running).rejects.toThrow(/n\d could not be started|too late|ended/);
    expect(await readdir(dir)).toEqual(['peers']);
  });
});

describe('the choice of peers', () => {
  test('is all of them, or those named, in the order they are compared in', () => {
    expect(chosenPeers('all')).toEqual(PEERS);
    expect(chosenPeers('etcd, nats').map((peer) => peer.name)).toEqual(['nats', 'etcd']);
  });

  test('refuses a name that is none, and tells those that are', () => {
    expect(() => chosenPeers('nats,zookeeper')).toThrow(/no peer "zookeeper", only nats, /);
  });
});

describe('installing peers', () => {
  const peer = (name: string): Peer => ({
    name,
    missing: async (tools) => tools.missingProgram(name),
    start: () => Promise.reject(new Error('not in this test')),
  });

  test('runs the steps of the chosen peers only, goes on after one that fails, and says what is still missing', async () => {
    const said: string[] = [];
    const ran: string[] = [];
    const step = (name: string, run: (tools: PeersDir) => Promise<void>, needs = 'node') => ({
      ...{ what: `step ${name}`, needs, peers: [name] },
      run: async (tools: PeersDir) => {
        ran.push(name);
        await run(tools);
      },
    });
    const steps = [
      step('broken', () => Promise.reject(new Error('the registry is away'))),
      step('good', async (tools) => {
        await mkdir(join(tools.path, 'bin'));
        await writeFile(tools.program('good'), '');
      }),
      step('toolless', async () => undefined, 'no-such-compiler'),
      step('unchosen', async () => undefined),
    ];
    const chosen = ['broken', 'good', 'toolless'].map(peer);
    expect(await install(new PeersDir(join(dir, 'peers')), chosen, (line) => void said.push(line), steps)).toBe(2);
    expect(ran).toEqual(['broken', 'good']);
    const text = said.join('\n');
    expect(text).toContain('step broken failed: the registry is away');
    expect(text).toContain('step toolless failed: no-such-compiler is not on PATH');
    expect(text).toMatch(/^good: ready$/m);
    expect(text).toMatch(/^broken: missing .*bin\/broken/m);
  });
});

describe('servers of a peer', () => {
  /** Starts something in turn, as servers that are scripts do, and prints both pids. */
  const NEVER_READY = `
    const child = require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e6)']);
    console.log('pids ' + process.pid + ' ' + child.pid);
    setInterval(() => {}, 1e6);
  `;
  const server = (cleanup: Cleanup, program: string): ProcessGroup =>
    new ProcessGroup(cleanup, { name: 'a server', program: process.execPath, words: ['-e', program], cwd: dir });

  test('that are interrupted while they are set up are ended by pid, with what they started, and none starts after', async () => {
    const cleanup = new Cleanup();
    const child = server(cleanup, NEVER_READY);
    let pids: number[] = [];
    const isReady = () => async (): Promise<boolean> => {
      const found = /pids (\d+) (\d+)/.exec(child.log);
      if (found !== null && pids.length === 0) {
        pids = found.slice(1).map(Number);
        // As the runner does when a signal comes.
        void cleanup.run();
      }
      return false;
    };
    const starting = startServers(await contextOf(cleanup), [child], { isReady, timeoutMs: 15_000 });
    await expect(starting).rejects.toThrow(/a server ended before it was ready.*SIGKILL/s);
    await cleanup.run();
    await expect.poll(() => Promise.all(pids.map(isAlive))).toEqual([false, false]);
    expect(() => child.start()).toThrow(/too late to start a server/);
  });

  test('are looked at with what they started, for a server may be a script', async () => {
    const cleanup = new Cleanup();
    const child = server(cleanup, NEVER_READY);
    const isReady = () => async (): Promise<boolean> => child.log.includes('pids');
    const { look } = await startServers(await contextOf(cleanup), [child], { isReady, timeoutMs: 15_000 });
    const alone = await sampleProcess(child.pid!);
    // Two processes of Node: the second takes memory as soon as it runs.
    await expect.poll(async () => (await look())[0]!.sample.rssBytes).toBeGreaterThan(1.2 * alone.rssBytes);
    expect(await look()).toMatchObject([{ name: 'a server', sample: { cpuSeconds: expect.any(Number) } }]);
    await cleanup.run();
    expect(() => child.sample()).toThrow(/a server is not running/);
  });

  test('that end by themselves are told of with their last words', async () => {
    const cleanup = new Cleanup();
    const child = server(cleanup, `console.error('the port is taken'); process.exitCode = 3`);
    const starting = startServers(await contextOf(cleanup), [child], {
      isReady: () => async () => false,
      timeoutMs: 15_000,
    });
    await expect(starting).rejects.toThrow(/the port is taken.*code 3/s);
    await cleanup.run();
  });

  test('that cannot be found at all are told of by name', async () => {
    const cleanup = new Cleanup();
    const child = new ProcessGroup(cleanup, { name: 'a server', program: join(dir, 'none'), words: [], cwd: dir });
    child.start();
    await expect(child.ready(async () => false)).rejects.toThrow(/a server ended before it was ready.*ENOENT/s);
    await cleanup.run();
  });
});

describe('works', () => {
  test('in lanes count every record that was acknowledged, however the lanes interleave', async () => {
    let sent = 0;
    const { records, seconds } = await inLanes(7, 0.05, async () => {
      sent++;
      await new Promise((resolve) => setImmediate(resolve));
      return 1;
    });
    expect(records).toBe(sent);
    expect(seconds).toBeGreaterThanOrEqual(0.05);
  });

  test('look at the clock once in so many records', () => {
    const isTimeLeft = untilTimeIsUp(0, 4);
    expect(isTimeLeft()).toBe(false);
    const isMuchLeft = untilTimeIsUp(60, 4);
    expect(Array.from({ length: 9 }, isMuchLeft)).not.toContain(false);
  });

  test('find the longest time between two acks, the one before the first included', () => {
    expect(longestGap([], 5)).toBe(0);
    expect(longestGap([130, 140, 190], 100)).toBe(50);
    expect(longestGap([180, 190], 100)).toBe(80);
  });
});

describe("what Kafka's own tools print", () => {
  test('is read from the line about the whole run, not from those on the way', () => {
    const output = [
      '150000 records sent, 29994.0 records/sec (2.86 MB/sec), 812.1 ms avg latency, 1390.0 ms max latency.',
      '400000 records sent, 200000.0 records/sec (19.07 MB/sec), 600.12 ms avg latency, 1400.00 ms max latency, 9 ms 50th.',
    ].join('\n');
    expect(parseProducerPerformance(output)).toEqual({ records: 400_000, seconds: 2 });
    expect(() => parseProducerPerformance('Exception in thread "main"')).toThrow(/no result: Exception in thread/);
  });

  test('leaves out the time in which the group of consumers is joined', () => {
    const line =
      '2026-01-01 10:00:00:000, 2026-01-01 10:00:05:000, 38.1, 7.6, 400000, 80000.0, 3000, 2000, 19.0, 200000.0';
    expect(parseConsumerPerformance(`WARN something, else\n${line}\n`)).toEqual({ records: 400_000, seconds: 2 });
    expect(() => parseConsumerPerformance('WARNING: Exiting before consuming')).toThrow(/no result: WARNING/);
  });
});

describe('ratios', () => {
  const spec = { name: 'singles', unit: 'records/s', better: 'higher', target: 1.3 } as const;
  const sides = { peer: 'NATS 2, R3, not flushed', client: 'nats.js 3' };
  const ratio = ratioOf({ spec, ...sides, logdrive: [30, 10, 40], theirs: [10, 10, 20] });

  test('are medians of pairs, not ratios of medians', () => {
    // The ratio of the medians would be 3.
    expect(ratio).toMatchObject({ ratio: 2, ratios: [3, 1, 2], logdriveMedian: 30, peerMedian: 10, target: 1.3 });
  });

  test('refuse samples without a partner', () => {
    expect(() => ratioOf({ spec, ...sides, logdrive: [1, 2], theirs: [1] })).toThrow(
      /2 samples of logdrive, 1 of NATS 2/,
    );
  });

  test('make a table that names version, replicas and flush of each system once, and says what was met', () => {
    const slow: Ratio = { ...ratio, work: 'one in flight p50', unit: 'ms', better: 'lower', target: 1 };
    const other: Ratio = { ...ratio, peer: 'etcd 3, R3, fsync on a majority', client: 'HTTP' };
    const text = table(ratioTable([ratio, slow, other])).join('\n');
    expect(text).toMatchInlineSnapshot(`
      "  logdrive / peer                        logdrive  peer       unit  ratio  least  most       target
        NATS 2, R3, not flushed; nats.js 3
          singles                                  30.0  10.0  records/s   2.00   1.00  3.00   >= 1.3 met
          one in flight p50                        30.0  10.0         ms   2.00   1.00  3.00  <= 1 MISSED
        etcd 3, R3, fsync on a majority; HTTP
          singles                                  30.0  10.0  records/s   2.00   1.00  3.00   >= 1.3 met"
    `);
    expect(text.match(/NATS 2, R3, not flushed/g)).toHaveLength(1);
  });

  test('stand in the printed result, in place of figures', () => {
    const machine = {
      ...{ cpu: 'c', cores: 2, memoryBytes: 1, kernel: 'k', fileSystem: 'ext4', node: 'v', commit: 'a', loadBefore: 0 },
    };
    const diskLimit = { method: 'm', flush4KiBMsP50: 1, flush4KiBMsP99: 1, bytesPerSecond: 1 };
    const text = renderResult({
      ...{
        version: RESULT_VERSION,
        scenario: 'peers',
        startedAt: '',
        elapsedSeconds: 1,
        machine,
        options: {},
        diskLimit,
      },
      ...{ durability: 'as each says', figures: [], ratios: [ratio], notes: ['etcd is skipped'] },
    });
    expect(text).toMatch(/NATS 2, R3, not flushed; nats.js 3\n\s+singles .* 2\.00 .*>= 1\.3 met/);
    expect(text).toContain('note: etcd is skipped');
  });
});
