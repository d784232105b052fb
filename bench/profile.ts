/**
 * Where the time of a process went: reads a V8 CPU profile and sums its samples by function, at the place in the
 * TypeScript source where the source map leads. Idle time is left out of the shares.
 */
import { existsSync, readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { repositoryRoot } from './machine.ts';
import { table } from './print.ts';

interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  /** Both from 0. */
  readonly lineNumber: number;
  readonly columnNumber: number;
}

export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: CallFrame;
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
  /** Microseconds before each sample. */
  readonly timeDeltas: readonly number[];
}

export interface Hotspot {
  readonly name: string;
  /** path:line below the root of the repository, 'node:...', or '' for what V8 does itself. */
  readonly place: string;
  readonly selfMs: number;
  /** Time in it and in what it called. */
  readonly totalMs: number;
}

export interface ProfileSummary {
  readonly elapsedMs: number;
  readonly busyMs: number;
  /** By self time, most first. */
  readonly hotspots: readonly Hotspot[];
}

export function summarize(profile: CpuProfile, placeOf: (frame: CallFrame) => string = sourcePlace): ProfileSummary {
  const selfByNode = new Map<number, number>();
  profile.samples.forEach((node, at) => {
    // A delta is the time before its sample: it belongs to what was running until then.
    const elapsedMs = (profile.timeDeltas[at + 1] ?? 0) / 1_000;
    selfByNode.set(node, (selfByNode.get(node) ?? 0) + elapsedMs);
  });
  const byId = new Map(profile.nodes.map((node) => [node.id, node]));
  const spots = new Map<string, { name: string; place: string; selfMs: number; totalMs: number }>();
  const visit = (id: number, above: ReadonlySet<string>): number => {
    const { callFrame, children = [] } = byId.get(id)!;
    const place = placeOf(callFrame);
    const name = callFrame.functionName === '' ? '(anonymous)' : callFrame.functionName;
    const key = `${name} ${place}`;
    const inside = new Set(above).add(key);
    const selfMs = selfByNode.get(id) ?? 0;
    const totalMs = children.reduce((sum, child) => sum + visit(child, inside), selfMs);
    const spot = spots.get(key) ?? { name, place, selfMs: 0, totalMs: 0 };
    spot.selfMs += selfMs;
    // A recursive call is counted once, at its outermost frame.
    if (!above.has(key)) spot.totalMs += totalMs;
    spots.set(key, spot);
    return totalMs;
  };
  const elapsedMs = profile.nodes[0] === undefined ? 0 : visit(profile.nodes[0].id, new Set());
  const isIdle = ({ name }: { name: string }): boolean => name === '(idle)' || name === '(root)';
  const idleMs = [...spots.values()].filter(isIdle).reduce((sum, spot) => sum + spot.selfMs, 0);
  const hotspots = [...spots.values()].filter((spot) => !isIdle(spot)).sort((a, b) => b.selfMs - a.selfMs);
  return { elapsedMs, busyMs: elapsedMs - idleMs, hotspots };
}

const maps = new Map<string, SourceMap | undefined>();

function sourcePlace(frame: CallFrame): string {
  if (!frame.url.startsWith('file://')) return frame.url;
  const path = fileURLToPath(frame.url);
  const shown = relative(repositoryRoot(), path);
  if (!maps.has(path)) {
    const mapFile = `${path}.map`;
    maps.set(path, existsSync(mapFile) ? new SourceMap(JSON.parse(readFileSync(mapFile, 'utf8'))) : undefined);
  }
  const entry = maps.get(path)?.findEntry(frame.lineNumber, frame.columnNumber);
  if (entry === undefined || !('originalLine' in entry)) return `${shown}:${frame.lineNumber + 1}`;
  return `${shown.replace(/^dist\//, '').replace(/\.js$/, '.ts')}:${entry.originalLine + 1}`;
}

export function renderProfile(path: string, rowsMax: number): string {
  const summary = summarize(JSON.parse(readFileSync(path, 'utf8')) as CpuProfile);
  const share = (ms: number): string => `${((100 * ms) / summary.busyMs).toFixed(1)} %`;
  const row = (spot: Hotspot): string[] => [
    `${spot.name}  ${spot.place}`,
    spot.selfMs.toFixed(0),
    share(spot.selfMs),
    spot.totalMs.toFixed(0),
    share(spot.totalMs),
  ];
  const byTotal = [...summary.hotspots].sort((a, b) => b.totalMs - a.totalMs);
  const head = ['function', 'self ms', '', 'total ms', ''];
  return [
    `${path}: busy ${summary.busyMs.toFixed(0)} of ${summary.elapsedMs.toFixed(0)} ms; shares are of the busy time`,
    'By time in the function itself:',
    ...table([head, ...summary.hotspots.slice(0, rowsMax).map(row)]),
    'By time in the function and below:',
    ...table([head, ...byTotal.slice(0, rowsMax).map(row)]),
    '',
  ].join('\n');
}
