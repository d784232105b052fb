/**
 * Two results, or two directories of them, side by side: for each figure that both have, the ratio of the medians and
 * whether it lies outside what the repeats of either side spread over by themselves.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { number, table } from './print.ts';
import { checkResult, type Figure, type Result } from './result.ts';

export interface Comparison {
  readonly scenario: string;
  readonly figure: string;
  readonly unit: string;
  readonly before: number;
  readonly after: number;
  /** after / before. */
  readonly ratio: number;
  /** 'same': the ranges of the samples overlap. */
  readonly verdict: 'better' | 'worse' | 'same';
}

/** A result file, or all result files of a directory. */
export async function loadResults(path: string): Promise<Result[]> {
  const isDirectory = (await stat(path)).isDirectory();
  const files = isDirectory
    ? (await readdir(path)).filter((name) => name.endsWith('.json')).map((name) => join(path, name))
    : [path];
  return Promise.all(files.map(async (file) => checkResult(JSON.parse(await readFile(file, 'utf8')), file)));
}

export function compareResults(before: readonly Result[], after: readonly Result[]): Comparison[] {
  return before.flatMap((old) => {
    const now = after.find((each) => each.scenario === old.scenario);
    if (now === undefined) return [];
    return old.figures.flatMap((figure) => {
      const other = now.figures.find((each) => each.name === figure.name && each.unit === figure.unit);
      return other === undefined ? [] : [compareFigures(old.scenario, figure, other)];
    });
  });
}

function compareFigures(scenario: string, before: Figure, after: Figure): Comparison {
  const overlap =
    Math.min(...after.samples) <= Math.max(...before.samples) &&
    Math.min(...before.samples) <= Math.max(...after.samples);
  const isBetter = before.better === 'higher' ? after.median > before.median : after.median < before.median;
  return {
    scenario,
    figure: before.name,
    unit: before.unit,
    before: before.median,
    after: after.median,
    ratio: after.median / before.median,
    verdict: overlap ? 'same' : isBetter ? 'better' : 'worse',
  };
}

/** Circumstances that differ between two results: a ratio between them may be due to these. */
export function differencesOf(before: Result, after: Result): string[] {
  const of = ({ machine, durability, options }: Result): Record<string, string> => ({
    machine: `${machine.cpu}, ${machine.cores} cores`,
    kernel: machine.kernel,
    'file system': machine.fileSystem,
    Node: machine.node,
    durability,
    options: JSON.stringify(options),
  });
  const [then, now] = [of(before), of(after)];
  return Object.keys(then)
    .filter((name) => then[name] !== now[name])
    .map((name) => `${before.scenario}: ${name} differs: ${then[name]} / ${now[name]}`);
}

export function renderComparison(before: readonly Result[], after: readonly Result[]): string {
  const rows = compareResults(before, after);
  if (rows.length === 0) throw new Error('the two have no figure in common');
  const warnings = before.flatMap((old) => {
    const now = after.find((each) => each.scenario === old.scenario);
    return now === undefined ? [] : differencesOf(old, now);
  });
  const lines = table([
    ['scenario', 'figure', 'before', 'after', 'ratio', ''],
    ...rows.map((row) => [
      row.scenario,
      `${row.figure} (${row.unit})`,
      number(row.before),
      number(row.after),
      row.ratio.toFixed(2),
      row.verdict,
    ]),
  ]);
  return `${[...lines, ...warnings.map((warning) => `  ${warning}`)].join('\n')}\n`;
}
