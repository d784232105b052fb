import { describe, expect, test } from 'vitest';
import { type CpuProfile, summarize } from '../../bench/profile.ts';

const frame = (functionName: string): CpuProfile['nodes'][number]['callFrame'] => ({
  functionName,
  url: '',
  lineNumber: 0,
  columnNumber: 0,
});

/** main -> encode -> encode (recursive) -> copy; and idle. */
const PROFILE: CpuProfile = {
  nodes: [
    { id: 1, callFrame: frame('(root)'), children: [2, 6] },
    { id: 2, callFrame: frame('main'), children: [3] },
    { id: 3, callFrame: frame('encode'), children: [4] },
    { id: 4, callFrame: frame('encode'), children: [5] },
    { id: 5, callFrame: frame('copy') },
    { id: 6, callFrame: frame('(idle)') },
  ],
  samples: [2, 3, 4, 5, 5, 6, 2],
  // The first delta lies before the first sample and belongs to nobody.
  timeDeltas: [9_000, 1_000, 2_000, 3_000, 4_000, 5_000, 10_000],
};

describe('a CPU profile', () => {
  test('is summed by function, recursion counted once, idle time left out', () => {
    const summary = summarize(PROFILE, () => 'here');
    expect(summary).toMatchObject({ elapsedMs: 25, busyMs: 15 });
    expect(summary.hotspots).toEqual([
      { name: 'copy', place: 'here', selfMs: 9, totalMs: 9 },
      { name: 'encode', place: 'here', selfMs: 5, totalMs: 14 },
      { name: 'main', place: 'here', selfMs: 1, totalMs: 15 },
    ]);
  });

  test('keeps functions of one name apart by their place', () => {
    let calls = 0;
    const { hotspots } = summarize(PROFILE, () => `place ${calls++}`);
    expect(hotspots.filter((spot) => spot.name === 'encode')).toHaveLength(2);
  });
});
