import { describe, expect, test } from 'vitest';
import { Cleanup } from '../../bench/cleanup.ts';
import { optionValues } from '../../bench/scenario.ts';

describe('cleaning up after a bench', () => {
  test('ends the last made first, once, whoever asks', async () => {
    const cleanup = new Cleanup();
    const ended: string[] = [];
    cleanup.defer('directory', () => void ended.push('directory'));
    cleanup.defer('node', async () => void ended.push('node'));
    await Promise.all([cleanup.run(), cleanup.run()]);
    expect(ended).toEqual(['node', 'directory']);
  });

  test('goes on after a step that fails, and tells of it at the end', async () => {
    const cleanup = new Cleanup();
    const ended: string[] = [];
    cleanup.defer('directory', () => void ended.push('directory'));
    cleanup.defer('node', () => Promise.reject(new Error('it would not die')));
    await expect(cleanup.run()).rejects.toThrow(/node could not be cleaned up: Error: it would not die/);
    expect(ended).toEqual(['directory']);
  });

  test('refuses what is made after it began', async () => {
    const cleanup = new Cleanup();
    await cleanup.run();
    expect(() => cleanup.defer('a late node', () => undefined)).toThrow(/too late for a late node/);
  });
});

describe('options of a scenario', () => {
  const specs = {
    size: { default: 100, least: 1, sentence: 'bytes' },
    seconds: { default: 0.5, least: 0.1, sentence: 's' },
  };

  test('are the defaults unless given', () => {
    expect(optionValues(specs, { size: '16384' })).toEqual({ size: 16_384, seconds: 0.5 });
  });

  test.each(['0', '-1', 'many', '', ' ', 'NaN', 'Infinity'])('refuse "%s", by name', (text) => {
    expect(() => optionValues(specs, { size: text })).toThrow(/^--size wants a number of at least 1/);
  });
});
