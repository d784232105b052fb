import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compareResults, differencesOf, loadResults, renderComparison } from '../../bench/compare.ts';
import { renderResult } from '../../bench/print.ts';
import { meetsTarget } from '../../bench/result.ts';
import { delay, resultOf, speed } from './results.ts';

describe('comparing two results', () => {
  test('is a ratio of medians, and a verdict that knows which way is better', () => {
    const before = [resultOf([speed([100, 110, 90]), delay([2, 2.1, 1.9])])];
    const after = [resultOf([speed([200, 190, 210]), delay([4, 4.1, 3.9])])];
    expect(compareResults(before, after)).toMatchObject([
      { figure: 'acknowledged', before: 100, after: 200, ratio: 2, verdict: 'better' },
      { figure: 'p50', ratio: 2, verdict: 'worse' },
    ]);
  });

  test('calls the same what the repeats spread over anyway', () => {
    const [row] = compareResults([resultOf([speed([100, 140, 120])])], [resultOf([speed([130, 150, 160])])]);
    expect(row).toMatchObject({ ratio: 1.25, verdict: 'same' });
  });

  test('pairs by scenario and figure, and says when nothing pairs', () => {
    const before = [resultOf([speed([1])])];
    expect(compareResults(before, [resultOf([speed([2])], { scenario: 'consume' })])).toEqual([]);
    expect(() => renderComparison(before, [resultOf([delay([2])])])).toThrow(/no figure in common/);
  });

  test('names the circumstances that differ', () => {
    const machine = { ...resultOf([]).machine, node: 'v22.12.0', commit: '1234567' };
    const after = resultOf([speed([2])], { machine, options: { size: 1_000 } });
    expect(differencesOf(resultOf([speed([1])]), after)).toEqual([
      'produce: Node differs: v20.19.0 / v22.12.0',
      'produce: options differs: {"size":100} / {"size":1000}',
    ]);
    expect(renderComparison([resultOf([speed([1])])], [after])).toContain('Node differs');
  });
});

describe('results on disk', () => {
  let dir = '';
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'logdrive-test-'));
    await writeFile(join(dir, 'produce.json'), JSON.stringify(resultOf([speed([1])])));
    await writeFile(join(dir, 'latency.json'), JSON.stringify(resultOf([delay([1])], { scenario: 'latency' })));
    await writeFile(join(dir, 'notes.txt'), 'not a result');
  });
  afterAll(async () => {
    await rm(dir, { recursive: true });
  });

  test('are loaded one by one or as a directory', async () => {
    expect((await loadResults(join(dir, 'produce.json'))).map((each) => each.scenario)).toEqual(['produce']);
    expect((await loadResults(dir)).map((each) => each.scenario).sort()).toEqual(['latency', 'produce']);
  });

  test.each([
    ['no durability level', { ...resultOf([]), durability: '' }],
    ['version 0', { ...resultOf([]), version: 0 }],
    ['no figures', { ...resultOf([]), figures: undefined }],
    ['not an object', 'text'],
  ])('with %s are refused by file name', async (reason, value) => {
    const file = join(dir, 'bad');
    await writeFile(file, JSON.stringify(value));
    await expect(loadResults(file)).rejects.toThrow(`${file} holds no result of a bench: ${reason}`);
  });
});

describe('a printed result', () => {
  test('names durability, machine, disk, options, and whether the target is met', () => {
    const use = {
      name: 'n1',
      cpuSeconds: 1.5,
      elapsedSeconds: 3,
      rssBytes: 90 * 1024 ** 2,
      rssBytesPeak: 99 * 1024 ** 2,
      flushes: { count: 100, entries: 250, bytes: 102_400, seconds: 0.05, byEntries: [] },
    };
    const text = renderResult(resultOf([speed([100, 300, 200], 150), delay([1])], { processes: [use] }));
    expect(text).toBe(
      [
        'produce  (fsync on a majority of 3 nodes)',
        '  Test CPU, 2 cores, 8 GiB, linux 6.1 x64, ext4, Node v20.19.0, commit abcdef0, load before 0.25',
        '  disk alone: 4 KiB flush p50 0.200 ms, p99 2.00 ms; 1 MiB a flush 1,000 MB/s (durable writes)',
        '  options: size=100',
        '',
        '  figure               median  least  most  runs      target',
        '  acknowledged  200 records/s    100   300     3  >= 150 met',
        '  p50                 1.00 ms   1.00  1.00     1',
        '',
        '  process  cpu s  of s  rss MiB  peak  flushes  entries/flush  KiB/flush  ms/flush',
        '  n1        1.50  3.00       90    99      100            2.5        1.0     0.500',
        '',
      ].join('\n'),
    );
  });

  test('a target is met from its own side', () => {
    expect(meetsTarget(speed([100], 100))).toBe(true);
    expect(meetsTarget(speed([99], 100))).toBe(false);
    expect(meetsTarget({ ...delay([3]), target: 2 })).toBe(false);
    expect(meetsTarget(delay([3]))).toBeUndefined();
  });
});
