/** A bench that is interrupted leaves nothing behind, at whatever moment, however often. Real processes and signals. */
import { mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { inDir, type Running, startBench } from './runner.ts';

let dir = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'logdrive-test-'));
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

/** The processes that have `dir` in their command line or work below it, this one aside. */
async function processesAt(dir: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid) || pid === String(process.pid)) continue;
    // Empty of one that is just ending; not readable when it has ended since.
    const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    const workDir = await readlink(`/proc/${pid}/cwd`).catch(() => '');
    if (words !== '' && (words.includes(dir) || workDir.startsWith(dir)))
      found.push(`${pid}: ${words.replaceAll('\0', ' ')}`);
  }
  return found;
}

interface Moment {
  readonly when: string;
  readonly words: readonly string[];
  isThere(talk: string): boolean | Promise<boolean>;
}

const LATENCY = ['latency', '--seconds', '600'];
const DISK: Moment = {
  when: 'while it measures the disk',
  words: LATENCY,
  isThere: async () => (await readdir(dir)).length > 0,
};
const NODES: Moment = {
  when: 'while its nodes start',
  words: LATENCY,
  isThere: (talk) => talk.includes('nodes run as'),
};
const PIPE: Moment = {
  when: 'beside the program in C, four processes of which one is its child',
  words: ['produce', '--records', '1000'],
  isThere: (talk) => talk.includes('warm-up'),
};

async function startUntil({ when, words, isThere }: Moment): Promise<Running> {
  const running = startBench([...words, ...inDir(dir)]);
  await eventually(() => isThere(running.talk()), { what: `the moment ${when}`, timeoutMs: 60_000, pollMs: 2 });
  return running;
}

describe('a bench that is interrupted', () => {
  test.each([
    { ...DISK, signal: 'SIGHUP' },
    { ...NODES, signal: 'SIGTERM' },
    { ...PIPE, signal: 'SIGINT' },
  ] as const)('by $signal, $when, removes its directory and ends its processes', async ({ signal, ...moment }) => {
    const running = await startUntil(moment);
    running.child.kill(signal);
    const { code, stderr } = await running.ended;
    expect({ code, stderr }).toMatchObject({ code: 130, stderr: expect.stringContaining(`interrupted by ${signal}`) });
    expect(await processesAt(dir)).toEqual([]);
    expect(await readdir(dir)).toEqual([]);
  });

  test('again and again while it cleans up still does it to the end', async () => {
    const running = await startUntil(NODES);
    const signalling = setInterval(() => running.child.kill('SIGTERM'), 1);
    await running.ended;
    clearInterval(signalling);
    expect(await processesAt(dir)).toEqual([]);
    expect(await readdir(dir)).toEqual([]);
  });

  test('together with whoever read what it says leaves nothing', async () => {
    const running = await startUntil(NODES);
    // Of `npm run bench -- latency 2>&1 | tee log`, Ctrl-C ends both.
    running.child.stderr!.destroy();
    running.child.kill('SIGINT');
    await running.ended;
    expect(await processesAt(dir)).toEqual([]);
    expect(await readdir(dir)).toEqual([]);
  });

  test('before it made anything leaves nothing', async () => {
    const running = startBench([...NODES.words, ...inDir(dir)]);
    running.child.kill('SIGTERM');
    expect(await running.ended).toMatchObject({ signal: 'SIGTERM' });
    expect(await readdir(dir)).toEqual([]);
  });
});
