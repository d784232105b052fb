/**
 * What one run of a scenario leaves behind: a JSON document that says everything needed to judge its figures later, on
 * another machine, by somebody else. A result without its durability level cannot be made.
 */
import type { Machine } from './machine.ts';
import { type Distribution, median } from './statistics.ts';

export const RESULT_VERSION = 1;

export interface Figure {
  /** Unique within the result; `compare` pairs figures by it. */
  readonly name: string;
  readonly unit: string;
  readonly better: 'higher' | 'lower';
  /** Of the repeats. */
  readonly median: number;
  /** One a repeat, in the order they were taken. */
  readonly samples: readonly number[];
  /** What logdrive promises itself on a machine with two cores. */
  readonly target?: number;
}

export interface FigureSpec {
  readonly name: string;
  readonly unit: string;
  readonly better: 'higher' | 'lower';
  readonly target?: number;
}

export function figureOf(spec: FigureSpec, samples: readonly number[]): Figure {
  return { ...spec, median: median(samples), samples };
}

export function meetsTarget(figure: Figure): boolean | undefined {
  if (figure.target === undefined) return undefined;
  return figure.better === 'higher' ? figure.median >= figure.target : figure.median <= figure.target;
}

export interface NamedDistribution extends Distribution {
  readonly name: string;
  readonly unit: string;
}

/** What one process used between two looks at it. */
export interface ProcessUse {
  /** 'n1' .. for nodes, 'client' for the process that runs the scenario. */
  readonly name: string;
  /** User and system time. */
  readonly cpuSeconds: number;
  readonly elapsedSeconds: number;
  /** At the second look. */
  readonly rssBytes: number;
  /** Highest since the process began. */
  readonly rssBytesPeak: number;
  /** Nodes only. */
  readonly flushes?: FlushUse;
}

/** Group commit as the metrics of a node tell it. Bytes are those of entries, frames aside. */
export interface FlushUse {
  readonly count: number;
  readonly entries: number;
  readonly bytes: number;
  /** Sum over all flushes: write and fsync together. */
  readonly seconds: number;
  /** Flushes by the number of entries they made durable: [upper bound, count]; the last bound is Infinity as null. */
  readonly byEntries: readonly (readonly [number | null, number])[];
}

export interface DiskLimit {
  /** How the measurement reached the disk. */
  readonly method: string;
  readonly flush4KiBMsP50: number;
  readonly flush4KiBMsP99: number;
  /** One writer, 1 MiB a flush. */
  readonly bytesPerSecond: number;
}

/** The same work done by logdrive and by another system, side by side in one run. */
export interface Ratio {
  readonly work: string;
  readonly unit: string;
  readonly better: 'higher' | 'lower';
  /** System, version, replicas and what it flushed; client library and version. */
  readonly peer: string;
  readonly client: string;
  /** Medians of the repeats. */
  readonly logdriveMedian: number;
  readonly peerMedian: number;
  /** Median of logdrive / peer, each pair taken one after the other. */
  readonly ratio: number;
  readonly ratios: readonly number[];
  /** What logdrive aims at; at least or at most, as `better` says. */
  readonly target?: number;
}

export interface Measurement {
  /** What an answered append means here, such as 'fsync on a majority of 3 nodes'. */
  readonly durability: string;
  readonly figures: readonly Figure[];
  readonly distributions?: readonly NamedDistribution[];
  readonly processes?: readonly ProcessUse[];
  readonly ratios?: readonly Ratio[];
  /** Whole sentences: what the figures must not be used for, what disturbed them. */
  readonly notes?: readonly string[];
}

export interface Result extends Measurement {
  readonly version: typeof RESULT_VERSION;
  readonly scenario: string;
  readonly startedAt: string;
  readonly elapsedSeconds: number;
  readonly machine: Machine;
  readonly options: Readonly<Record<string, number>>;
  readonly diskLimit: DiskLimit;
}

/** @throws when `value` is no result, saying what is missing. */
export function checkResult(value: unknown, source: string): Result {
  const problem = problemOf(value);
  if (problem !== undefined) throw new Error(`${source} holds no result of a bench: ${problem}`);
  return value as Result;
}

function problemOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return 'not an object';
  const { version, scenario, durability, figures } = value as Record<string, unknown>;
  if (version !== RESULT_VERSION) return `version ${version}, not ${RESULT_VERSION}`;
  if (typeof scenario !== 'string') return 'no scenario';
  if (typeof durability !== 'string' || durability === '') return 'no durability level';
  if (!Array.isArray(figures)) return 'no figures';
  return undefined;
}
