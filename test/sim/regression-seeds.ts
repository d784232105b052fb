/** seeds.txt: the seeds that once broke something, as options of a run with their stories. */
import { readFileSync } from 'node:fs';
import type { SimulationOptions } from './simulation.ts';

export interface RegressionSeed {
  readonly options: SimulationOptions;
  readonly story: string;
}

export const SEEDS = 'test/sim/seeds.txt';

/** @throws Error that names the line that cannot be read, or has no story. */
export function readSeeds(path: string): RegressionSeed[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.flatMap((line, at) => (line === '' || line.startsWith('#') ? [] : [parse(line, at + 1)]));
}

function parse(line: string, number: number): RegressionSeed {
  const match = /^(\d+)((?: +--[a-z-]+ \S+)*) +# (\S.*)$/.exec(line);
  if (match === null) throw new Error(`line ${number} of the seeds is no seed with a story: ${line}`);
  const [, seed, flags = '', story] = match;
  const flag = (name: string): string | undefined => new RegExp(`--${name} (\\S+)`).exec(flags)?.[1];
  const [without, chaosMs, nodes] = [flag('without'), flag('chaos-ms'), flag('nodes')];
  return {
    options: {
      seed: Number(seed),
      ...(without === undefined ? {} : { without: without.split(',') }),
      ...(chaosMs === undefined ? {} : { chaosMs: Number(chaosMs) }),
      ...(nodes === undefined ? {} : { nodes: Number(nodes) }),
    },
    story: story!,
  };
}
