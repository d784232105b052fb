import { describe, expect, test } from 'vitest';
import { flushUse, parseScrape } from '../../bench/scrape.ts';

const page = (flushes: number, upTo: readonly number[]): string =>
  [
    '# HELP logdrive_wal_flushes_total Flushes that reached the disk.',
    `logdrive_wal_flushes_total ${flushes}`,
    `logdrive_wal_flush_seconds_sum ${flushes / 1_000}`,
    `logdrive_wal_flush_bytes_total ${flushes * 100}`,
    `logdrive_wal_flush_entries_sum ${flushes * 3}`,
    ...['1', '2', '4', '+Inf'].map((bound, at) => `logdrive_wal_flush_entries_bucket{le="${bound}"} ${upTo[at]}`),
    'logdrive_raft_groups{role="leader"} 2',
    '',
  ].join('\n');

describe('the metrics page of a node', () => {
  test('is read series by series, labels included', () => {
    const series = parseScrape(page(7, [0, 0, 7, 7]));
    expect(series.get('logdrive_wal_flushes_total')).toBe(7);
    expect(series.get('logdrive_raft_groups{role="leader"}')).toBe(2);
    expect(series.size).toBe(9);
  });

  test('gives what happened between two looks, each flush in one bucket', () => {
    const use = flushUse(parseScrape(page(10, [5, 5, 10, 10])), parseScrape(page(110, [5, 45, 105, 110])));
    expect(use).toMatchObject({ count: 100, entries: 300, bytes: 10_000 });
    expect(use.seconds).toBeCloseTo(0.1);
    expect(use.byEntries).toEqual([
      [2, 40],
      [4, 55],
      [null, 5],
    ]);
  });
});
