import { describe, expect, test } from 'vitest';
import { HOUSEKEEPING_BYTES_MAX, isSealDue, trimTarget } from '../../src/broker/retention.ts';
import { segments } from './support/segments.ts';

const MB = 1_000_000;
const NONE = { maxBytes: undefined, maxAgeMs: undefined, maxRecords: undefined };

describe('what retention asks for', () => {
  test.each([
    ['no bound', NONE, 1e12, 0],
    ['bytes that are not reached', { ...NONE, maxBytes: 5 * MB }, 0, 0],
    ['bytes that one segment is over', { ...NONE, maxBytes: 4 * MB }, 0, 10],
    ['bytes that hold without a segment, but not without two', { ...NONE, maxBytes: 3 * MB + 1 }, 0, 10],
    ['no bytes to speak of: never the active segment', { ...NONE, maxBytes: 1 }, 0, 40],
    ['an age nothing has', { ...NONE, maxAgeMs: 60_000 }, 120_000, 0],
    ['an age the first one is past', { ...NONE, maxAgeMs: 60_000 }, 120_001, 10],
    ['an age all are past', { ...NONE, maxAgeMs: 60_000 }, 1e12, 40],
    ['fewer records than the bound', { ...NONE, maxRecords: 51 }, 0, 0],
    ['as many records as the bound: not one below it', { ...NONE, maxRecords: 50 }, 0, 0],
    ['records without which the bound still holds', { ...NONE, maxRecords: 30 }, 0, 20],
    ['records that one segment more would break', { ...NONE, maxRecords: 31 }, 0, 10],
    ['a single record: never the active segment', { ...NONE, maxRecords: 1 }, 0, 40],
    ['all: whichever asks for most', { maxBytes: 4 * MB, maxAgeMs: 60_000, maxRecords: 40 }, 240_001, 30],
  ] as const)('%s', (_, retention, nowMs, before) => {
    expect(trimTarget(segments(5), retention, nowMs)).toBe(before);
  });

  test('of a log without a sealed segment is nothing', () => {
    expect(trimTarget(segments(1), { maxBytes: 1, maxAgeMs: 1, maxRecords: undefined }, 1e12)).toBe(0);
    expect(trimTarget([], { maxBytes: 1, maxAgeMs: 1, maxRecords: undefined }, 1e12)).toBe(0);
  });

  test('stops at the first segment that is to stay: a hole would be no prefix', () => {
    const [old, young, older] = segments(4);
    const list = [old!, { ...young!, lastAppendTimeMs: 1e12 }, older!];
    expect(trimTarget(list, { ...NONE, maxAgeMs: 60_000 }, 1e12)).toBe(10);
  });
});

describe('the active segment is sealed', () => {
  const [active] = segments(1).map((segment) => ({ ...segment, firstAppendTimeMs: 1_000_000 }));
  const aged = { ...NONE, maxAgeMs: 400_000 };

  test('when its first record has a quarter of the age bound, and not before', () => {
    expect(isSealDue(active!, { logStart: 0, retention: aged, nowMs: 1_100_000 })).toBe(false);
    expect(isSealDue(active!, { logStart: 0, retention: aged, nowMs: 1_100_001 })).toBe(true);
    expect(isSealDue(active!, { logStart: 0, retention: NONE, nowMs: 1e12 })).toBe(false);
  });

  test('never for its age when nothing in it can be read: an idle topic would seal for ever', () => {
    expect(isSealDue(active!, { logStart: 10, retention: aged, nowMs: 1e12 })).toBe(false);
    const empty = { ...active!, nextOffset: active!.firstOffset };
    expect(isSealDue(empty, { logStart: 0, retention: aged, nowMs: 1e12 })).toBe(false);
  });

  test('for its size when nothing in it can be read', () => {
    const large = { ...active!, bytes: HOUSEKEEPING_BYTES_MAX };
    expect(isSealDue(large, { logStart: 9, retention: NONE, nowMs: 0 })).toBe(false);
    expect(isSealDue(large, { logStart: 10, retention: NONE, nowMs: 0 })).toBe(true);
  });
});
