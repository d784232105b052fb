import { describe, expect, test } from 'vitest';
import { Plan } from './plan.ts';
import { EXIT_CODES, replayCommand, runSeed } from './run-seed.ts';
import { shrink } from './shrink.ts';

/** Short, and with nothing going wrong but what the test says. */
const CALM = { seed: 3, chaosMs: 200, without: [...new Plan({ seed: 3 }).kinds] };

describe('a run', () => {
  test('without faults is a quiet one', async () => {
    const outcome = await runSeed(CALM);
    expect(outcome).toMatchObject({ kind: 'ok', report: { unknown: 0, effects: { 'power cuts': 0, kills: 0 } } });
  });

  test('that leaves out one kind of fault keeps the moments of the others', async () => {
    // Which seed has both changes with every kind that is added.
    let seed = 1;
    while (!['clock-jump', 'power'].every((kind) => new Plan({ seed }).kinds.includes(kind))) seed += 1;
    const traceOf = async (without: readonly string[]): Promise<string[]> => {
      const lines: string[] = [];
      await runSeed({ seed, chaosMs: 1_500, without, onTrace: (line) => lines.push(line) });
      return lines.flatMap((line) => /FAULT clock-jump/.exec(line)?.input.slice(0, 11) ?? []);
    };
    const all = await traceOf([]);
    expect(all.length).toBeGreaterThan(0);
    const less = await traceOf(['power']);
    // Only the start of the chaos may lie elsewhere: what follows it keeps its distance.
    const gaps = (at: readonly string[]): number[] => at.slice(1).map((time, i) => Number(time) - Number(at[i]));
    expect(gaps(less).slice(0, all.length - 1)).toEqual(gaps(all));
  });

  test('is told apart by how it failed', () => {
    expect(new Set(Object.values(EXIT_CODES)).size).toBe(3);
    const options = { seed: 17, nodes: 3, chaosMs: 400, without: ['kill', 'loss'] };
    expect(replayCommand(options)).toBe('npm run sim -- --seed 17 --nodes 3 --chaos-ms 400 --without kill,loss');
  });
});

describe('shrinking', () => {
  test('leaves out everything the failure does not need', async () => {
    // A run that cannot even begin fails whatever is left out: all of it goes.
    const options = { seed: 3, nodes: 0 };
    const { kinds, chaosMs } = new Plan({ seed: 3 });
    const first = await runSeed(options);
    expect(first.kind).not.toBe('ok');
    if (first.kind === 'ok') return;
    const small = await shrink(options, first.kind, kinds, chaosMs);
    expect(small.options.without).toEqual(kinds);
    expect(small.options.chaosMs).toBeLessThan(chaosMs / 4);
  });
});
