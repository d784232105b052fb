/**
 * A result as text for people. The JSON document next to it holds everything; this shows what one wants to see first.
 */
import { type Figure, type FlushUse, meetsTarget, type ProcessUse, type Ratio, type Result } from './result.ts';

const MiB = 1024 * 1024;

export function renderResult(result: Result): string {
  const { machine, diskLimit } = result;
  const options = Object.entries(result.options).map(([name, value]) => `${name}=${value}`);
  const lines = [
    `${result.scenario}  (${result.durability})`,
    `  ${machine.cpu}, ${machine.cores} cores, ${(machine.memoryBytes / 1024 ** 3).toFixed(0)} GiB, ` +
      `${machine.kernel}, ${machine.fileSystem}, Node ${machine.node}, commit ${machine.commit}, ` +
      `load before ${machine.loadBefore.toFixed(2)}`,
    `  disk alone: 4 KiB flush p50 ${number(diskLimit.flush4KiBMsP50)} ms, ` +
      `p99 ${number(diskLimit.flush4KiBMsP99)} ms; ` +
      `1 MiB a flush ${number(diskLimit.bytesPerSecond / 1e6)} MB/s (${diskLimit.method})`,
    ...(options.length === 0 ? [] : [`  options: ${options.join(' ')}`]),
  ];
  // A table of ratios holds the medians of both sides, under names that are too long for columns.
  if (result.ratios === undefined) {
    const head = ['figure', 'median', 'least', 'most', 'runs', 'target'];
    lines.push('', ...table([head, ...result.figures.map((figure) => figureRow(figure))]));
  }
  const { distributions = [], processes = [], notes = [], ratios = [] } = result;
  if (distributions.length > 0) {
    lines.push(
      '',
      ...table([
        ['distribution', 'count', 'p50', 'p90', 'p99', 'p99.9', 'max'],
        ...distributions.map((each) => [
          `${each.name} (${each.unit})`,
          String(each.count),
          ...[each.p50, each.p90, each.p99, each.p999, each.max].map(number),
        ]),
      ]),
    );
  }
  if (processes.length > 0) {
    lines.push(
      '',
      ...table([
        ['process', 'cpu s', 'of s', 'rss MiB', 'peak', 'flushes', 'entries/flush', 'KiB/flush', 'ms/flush'],
        ...processes.map(processRow),
      ]),
    );
  }
  if (ratios.length > 0) lines.push('', ...table(ratioTable(ratios)));
  lines.push(...notes.map((note) => `  note: ${note}`));
  return `${lines.join('\n')}\n`;
}

function figureRow(figure: Figure): string[] {
  const { name, unit, samples, target } = figure;
  const verdict = meetsTarget(figure) === true ? 'met' : 'MISSED';
  const sign = figure.better === 'higher' ? '>=' : '<=';
  return [
    name,
    `${number(figure.median)} ${unit}`,
    number(Math.min(...samples)),
    number(Math.max(...samples)),
    String(samples.length),
    target === undefined ? '' : `${sign} ${number(target)} ${verdict}`,
  ];
}

function processRow(use: ProcessUse): string[] {
  return [
    use.name,
    use.cpuSeconds.toFixed(2),
    use.elapsedSeconds.toFixed(2),
    (use.rssBytes / MiB).toFixed(0),
    (use.rssBytesPeak / MiB).toFixed(0),
    ...flushCells(use.flushes),
  ];
}

function flushCells(flushes: FlushUse | undefined): string[] {
  if (flushes === undefined || flushes.count === 0) return ['', '', '', ''];
  const { count, entries, bytes, seconds } = flushes;
  return [
    String(count),
    (entries / count).toFixed(1),
    (bytes / count / 1024).toFixed(1),
    // Nodes that do not tell how long their flushes took.
    seconds === 0 ? '' : ((seconds / count) * 1e3).toFixed(3),
  ];
}

/** Rows for table(): the works of a system side by side, its label in a row of its own above them. */
export function ratioTable(ratios: readonly Ratio[]): string[][] {
  const rows = [['logdrive / peer', 'logdrive', 'peer', 'unit', 'ratio', 'least', 'most', 'target']];
  let above = '';
  for (const each of ratios) {
    const label = `${each.peer}; ${each.client}`;
    if (label !== above) rows.push([label, '', '', '', '', '', '', '']);
    above = label;
    rows.push([
      `  ${each.work}`,
      number(each.logdriveMedian),
      number(each.peerMedian),
      each.unit,
      each.ratio.toFixed(2),
      Math.min(...each.ratios).toFixed(2),
      Math.max(...each.ratios).toFixed(2),
      ratioVerdict(each),
    ]);
  }
  return rows;
}

function ratioVerdict({ ratio, better, target }: Ratio): string {
  if (target === undefined) return '';
  const isMet = better === 'higher' ? ratio >= target : ratio <= target;
  return `${better === 'higher' ? '>=' : '<='} ${target} ${isMet ? 'met' : 'MISSED'}`;
}

/** First column to the left, the others to the right. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => {
    const cells = row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)));
    return `  ${cells.join('  ')}`.trimEnd();
  });
}

/** Three figures that count, thousands grouped. */
export function number(value: number): string {
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
