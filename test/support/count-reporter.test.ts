/** Runs vitest on a few files made for it, the way programs see it: last line and exit code. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, expect, test } from 'vitest';

const VITEST = resolve('node_modules/vitest/vitest.mjs');
const REPORTER = resolve('test/support/count-reporter.ts');
const dirs: string[] = [];

afterEach(async () => {
  for (const dir of dirs.splice(0)) await rm(dir, { recursive: true });
});

async function run(files: Readonly<Record<string, string>>): Promise<{ lastLine: string; code: number }> {
  const dir = await mkdtemp(join(tmpdir(), 'logdrive-count-'));
  dirs.push(dir);
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text);
  const words = [VITEST, 'run', '--root', dir, '--globals', '--reporter', 'default', '--reporter', REPORTER];
  return new Promise((done) => {
    execFile(process.execPath, words, { cwd: dir, env: { ...process.env, VITEST: '' } }, (error, stdout) => {
      done({ lastLine: stdout.trimEnd().split('\n').at(-1)!, code: Number(error?.code ?? 0) });
    });
  });
}

test('all is well', async () => {
  const files = { 'a.test.js': "test('one', () => {}); test.skip('two', () => {});" };
  expect(await run(files)).toEqual({ lastLine: '1 passed, 0 failed, 1 skipped', code: 0 });
});

test('a failing test, a file that cannot be loaded, a broken hook and a stray rejection all count as failed', async () => {
  const files = {
    'good.test.js': "test('one', () => {}); test('two', () => { throw new Error('no'); });",
    'unloadable.test.js': "import './nowhere.js'; test('never', () => {});",
    'hook.test.js': "describe('s', () => { afterAll(() => { throw new Error('hook'); }); test('fine', () => {}); });",
    'stray.test.js':
      "test('fine', async () => { void Promise.reject(new Error('stray')); await new Promise(setImmediate); });",
  };
  expect(await run(files)).toEqual({ lastLine: '3 passed, 4 failed', code: 1 });
});
