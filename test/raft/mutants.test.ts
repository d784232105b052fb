/**
 * The tests of paper, thesis and membership name the change that makes each of them fail. Here those lines are kept
 * true: each must name text that stands exactly once in its file. With RAFT_MUTANTS=1 every change is made, in a copy
 * of the room outside this checkout, and its test must fail there.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const FILES = ['paper.test.ts', 'thesis.test.ts', 'membership.test.ts'];
const IS_FULL = process.env.RAFT_MUTANTS === '1';

interface Mutant {
  /** The file of the test that must fail. */
  readonly test: string;
  readonly title: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/**
 * `test('title', () => {` followed by one or more comments `// Mutant, file: `from` -> `to``; \n means a line break.
 */
function mutantsOf(testFile: string): Mutant[] {
  const mutants: Mutant[] = [];
  let title = '';
  for (const line of sourceOf(testFile).split('\n')) {
    title = /^ {2}test\((['"])(.*)\1, /.exec(line)?.[2] ?? title;
    const match = /^ {4}\/\/ Mutant, ([a-z-]+\.ts): `(.*)` -> `(.*)`$/.exec(line);
    if (match === null) continue;
    const [, file, from, to] = match.map((part) => part.replaceAll('\\n', '\n'));
    mutants.push({ test: testFile, title, file: file!, from: from!, to: to! });
  }
  return mutants;
}

function sourceOf(testFile: string): string {
  return readFileSync(join(ROOT, 'test/raft', testFile), 'utf8');
}

const mutants = FILES.flatMap(mutantsOf);

describe('the mutants named beside the tests', () => {
  test('are named by every test', () => {
    const tests = FILES.flatMap((file) => sourceOf(file).match(/^ {2}test\(/gm) ?? []);
    expect(new Set(mutants.map(({ title }) => title)).size).toBe(tests.length);
  });

  test.each(mutants)('$file still says what is to be changed for: $title', ({ file, from }) => {
    const text = readFileSync(join(ROOT, 'src/raft', file), 'utf8');
    expect(text.split(from).length - 1).toBe(1);
  });
});

function tryAll(): void {
  const folder = mkdtempSync(join(tmpdir(), 'raft-mutants-'));

  test.each(mutants)('$file: $title', { timeout: 60_000 }, (mutant) => {
    const { title, file, from, to } = mutant;
    rmSync(folder, { recursive: true });
    for (const room of ['src/raft', 'test/raft']) {
      mkdirSync(join(folder, room), { recursive: true });
      cpSync(join(ROOT, room), join(folder, room), { recursive: true });
    }
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    const mutated = join(folder, 'src/raft', file);
    writeFileSync(
      mutated,
      readFileSync(mutated, 'utf8').replace(from, () => to),
    );
    const name = title.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    const testFile = `test/raft/${mutant.test}`;
    const args = ['node_modules/vitest/vitest.mjs', 'run', '--root', folder, testFile, '-t', name];
    const env = { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' };
    const { status, stdout } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8', env });
    // The test itself, not the loading of the file.
    expect(stdout).toMatch(/Tests +1 failed/);
    expect(status).not.toBe(0);
  });

  test('and leaves nothing behind', () => rmSync(folder, { recursive: true }));
}

if (IS_FULL) describe('each change makes its test fail', tryAll);
