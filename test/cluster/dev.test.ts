/** `logdrive dev`: a cluster one can watch, kill from under, and stop. */
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { freePorts } from '../support/free-ports.ts';
import { logdrive, logdriveOk, Running } from './support/command-line.ts';

const running: Running[] = [];
const dirs: string[] = [];

afterEach(async () => {
  for (const dev of running.splice(0)) {
    dev.process.kill('SIGKILL');
    await dev.finished();
  }
  for (const dir of dirs.splice(0)) {
    // The nodes of a killed supervisor end by themselves, a moment later.
    await eventually(async () => rm(dir, { recursive: true, force: true }).then(() => true), { what: `${dir} to go` });
  }
});

/** A port below which and above which nothing is known to listen: the command adds 1, 10, 11, 20, 21 to it. */
async function basePort(): Promise<number> {
  return eventually(
    async () => {
      const [port] = await freePorts(1);
      const needed = [0, 1, 10, 11, 20, 21].map((step) => port! + step);
      if (needed.at(-1)! > 65_000) return undefined;
      const servers = needed.map((each) => createServer().listen(each, '127.0.0.1'));
      try {
        await Promise.all(servers.map((server) => once(server, 'listening')));
        return port!;
      } finally {
        await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))));
      }
    },
    { what: 'a range of free ports' },
  );
}

async function dataDir(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'logdrive-dev-test-'));
  dirs.push(dir);
  return dir;
}

function dev(words: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
  const command = new Running(['dev', ...words], { env });
  running.push(command);
  return command;
}

async function untilReady(command: Running): Promise<string> {
  return eventually(() => /ready/.test(command.stdout.toString()) && command.stdout.toString(), {
    what: `the cluster to be ready; stderr: ${command.stderr}`,
  });
}

const servers = (port: number): string => [port, port + 10, port + 20].map((each) => `127.0.0.1:${each}`).join(',');

/** The process that serves at this port. */
async function pidOf(port: number): Promise<number> {
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const words = await commandOf(name);
    if (words.includes('serve') && words.includes(`127.0.0.1:${port}`)) return Number(name);
  }
  throw new Error(`nobody serves at ${port}`);
}

/** Its command line, word by word; empty when there is no such process. */
async function commandOf(pid: string): Promise<string[]> {
  return (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
}

async function isListening(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/livez`).then(
    () => true,
    () => false,
  );
}

test('prints URLs and commands that work, restarts a killed node, keeps the data over a Ctrl-C and a new start', async () => {
  const [port, dir] = [await basePort(), await dataDir()];
  const words = ['--nodes', '3', '--data-dir', dir, '--port', String(port)];
  const first = dev(words);
  const banner = await untilReady(first);
  for (const each of [port, port + 10, port + 20]) expect(banner).toContain(`ws://127.0.0.1:${each}/v1/ws`);
  // The printed commands, as they stand, but for the program in front of them.
  const produce = /(produce .*)\n/.exec(banner)![1]!.split(' ');
  const consume = /(consume .*)\n/.exec(banner)![1]!.split(' ');
  await logdriveOk(produce, { stdin: 'one\ntwo\n' });
  expect((await logdriveOk([...consume, '-e'])).stdout.toString()).toBe('one\ntwo\n');

  process.kill(await pidOf(port + 10), 'SIGKILL');
  await eventually(() => /n2 .*SIGKILL/.test(first.stderr), { what: 'word of the dead node' });
  await eventually(() => /n2 is back/.test(first.stderr), { what: 'word of its return' });

  first.process.kill('SIGINT');
  expect(await first.finished()).toMatchObject({ code: 0, signal: null });
  expect(await isListening(port)).toBe(false);

  const second = dev(words);
  await untilReady(second);
  const kept = await logdriveOk(['consume', 'hello', '-o', 'earliest', '-e', '-s', servers(port)]);
  expect(kept.stdout.toString()).toBe('one\ntwo\n');
  second.process.kill('SIGTERM');
  expect(await second.finished()).toMatchObject({ code: 0, signal: null });
});

test('a second start says which directory is locked, by which process, exits 1, and leaves the first alone', async () => {
  const [port, dir] = [await basePort(), await dataDir()];
  const words = ['--nodes', '1', '--data-dir', dir, '--port', String(port)];
  const first = dev(words);
  await untilReady(first);
  const second = await logdrive(['dev', ...words]);
  expect(second.code).toBe(1);
  expect(second.stderr.trim().split('\n')).toEqual([expect.stringContaining(dir)]);
  expect(second.stderr).toContain(String(first.process.pid));
  expect(first.stderr).toBe('');
  expect(await isListening(port)).toBe(true);
});

test('a port in use is named, and nothing is left running', async () => {
  const port = await basePort();
  const squatter = createServer().listen(port + 10, '127.0.0.1');
  await once(squatter, 'listening');
  try {
    const finished = await logdrive(['dev', '--nodes', '2', '--port', String(port)]);
    expect(finished.code).toBe(1);
    expect(finished.stderr).toContain(`127.0.0.1:${port + 10}`);
    expect(await isListening(port)).toBe(false);
  } finally {
    squatter.close();
  }
});

test('without a data directory the cluster is thrown away at the end', async () => {
  const [port, tmp] = [await basePort(), await dataDir()];
  const command = dev(['--nodes', '1', '--port', String(port)], { TMPDIR: tmp });
  await untilReady(command);
  expect(await readdir(tmp)).toHaveLength(1);
  command.process.kill('SIGINT');
  expect((await command.finished()).code).toBe(0);
  expect(await readdir(tmp)).toEqual([]);
});

test('nodes end by themselves when the command is killed', async () => {
  const [port, dir] = [await basePort(), await dataDir()];
  const command = dev(['--nodes', '1', '--data-dir', dir, '--port', String(port)]);
  await untilReady(command);
  const pid = await pidOf(port);
  command.process.kill('SIGKILL');
  await eventually(async () => (await commandOf(String(pid))).length <= 1, { what: 'the orphan to end' });
});
