/**
 * What a log promised to those who used it, and whether a log that came back after a stop keeps it: every acknowledged
 * entry, no version of the log that was cut off for good, no vote older than the last one told durable.
 */
import { expect } from 'vitest';
import type { HardState, LogEntry } from '../../../storage/index.ts';
import { describeEntries, type Opened, readAll } from '../../support/storage-fixture.ts';

/** One logical history of the log; a truncation or an install begins the next. */
interface Version {
  /** The log is empty up to here. */
  readonly base: number;
  /** By index, described. */
  readonly entries: Map<number, string>;
  /** Highest index told durable while this version counted. */
  acknowledged: number;
}

/** What a run was promised, told to it as it went. */
export class Promises {
  readonly versions: Version[] = [{ base: 0, entries: new Map(), acknowledged: 0 }];
  /** No version below this may come back. */
  versionMin = 0;
  readonly hardStates: HardState[] = [{ term: 0, votedFor: undefined }];
  hardStateMin = 0;
  firstIndexMin = 1;
  firstIndexMax = 1;
  snapshotMin = 0;

  get version(): Version {
    return this.versions.at(-1)!;
  }

  accepted(entries: readonly LogEntry[]): void {
    const texts = describeEntries(entries);
    entries.forEach((entry, i) => {
      this.version.entries.set(entry.header.index, texts[i]!);
    });
  }

  flushed(index: number, term: number): void {
    const text = this.version.entries.get(index);
    expect(text?.startsWith(`${index}/${term} `), `flushed ${index}/${term}, the log has ${text}`).toBe(true);
    this.version.acknowledged = Math.max(this.version.acknowledged, index);
    const before = this.versions.at(-2);
    // An entry that only this version has proves that the cut before it is durable (W17).
    if (before !== undefined && before.entries.get(index) !== text) this.versionMin = this.versions.length - 1;
  }

  truncated(from: number): void {
    const kept = [...this.version.entries].filter(([index]) => index < from);
    const acknowledged = Math.min(this.version.acknowledged, from - 1);
    this.versions.push({ base: this.version.base, entries: new Map(kept), acknowledged });
  }

  installing(index: number): void {
    this.versions.push({ base: index, entries: new Map(), acknowledged: index });
    this.firstIndexMax = index + 1;
  }

  installed(index: number): void {
    this.versionMin = this.versions.length - 1;
    this.firstIndexMin = index + 1;
    this.snapshotMin = index;
  }

  /** As they are now; what is promised later is not in it. */
  copy(): Promises {
    const copy = new Promises();
    copy.versions.splice(0, 1, ...this.versions.map((version) => ({ ...version, entries: new Map(version.entries) })));
    copy.hardStates.splice(0, 1, ...this.hardStates);
    const { versionMin, hardStateMin, firstIndexMin, firstIndexMax, snapshotMin } = this;
    return Object.assign(copy, { versionMin, hardStateMin, firstIndexMin, firstIndexMax, snapshotMin });
  }

  /** Why a recovered log breaks a promise, or undefined. */
  broken(log: Recovered): string | undefined {
    if (log.damage !== undefined) return `damage where there is none: ${log.damage}`;
    if (log.firstIndex < this.firstIndexMin || log.firstIndex > this.firstIndexMax) {
      return `begins at ${log.firstIndex}, not in [${this.firstIndexMin}, ${this.firstIndexMax}]`;
    }
    if ((log.snapshotIndex ?? 0) < this.snapshotMin) return `snapshot ${log.snapshotIndex} came back`;
    if (log.baseIndex > 0 && log.snapshotIndex === undefined) return 'a trimmed log without its snapshot';
    const kept = this.hardStates.slice(this.hardStateMin);
    if (!kept.some((state) => JSON.stringify(state) === log.hardState)) {
      return `hard state ${log.hardState} is older than promised`;
    }
    const reasons: string[] = [];
    for (let v = this.versionMin; v < this.versions.length; v++) {
      const version = this.versions[v]!;
      const reason = whyNotVersion(version, log);
      if (reason === undefined) return undefined;
      reasons.push(`version ${v}: ${reason}`);
    }
    return reasons.join('; ');
  }
}

/** What came back after a stop. */
export interface Recovered {
  readonly damage: string | undefined;
  readonly baseIndex: number;
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly snapshotIndex: number | undefined;
  readonly hardState: string;
  /** Every entry, described. */
  readonly texts: readonly string[];
}

export async function recoveredOf({ log }: Opened): Promise<Recovered> {
  return {
    damage: log.damage.length > 0 ? JSON.stringify(log.damage) : undefined,
    baseIndex: log.base.index,
    firstIndex: log.firstIndex,
    lastIndex: log.lastIndex,
    snapshotIndex: log.latestSnapshot?.index,
    hardState: JSON.stringify(log.hardState),
    texts: log.damage.length > 0 ? [] : describeEntries(await readAll(log)),
  };
}

function whyNotVersion(version: Version, log: Recovered): string | undefined {
  if (log.firstIndex <= version.base) return `begins at ${log.firstIndex}, below the install at ${version.base}`;
  if (log.lastIndex < version.acknowledged) return `ends at ${log.lastIndex}, acknowledged ${version.acknowledged}`;
  for (const [i, text] of log.texts.entries()) {
    const index = log.firstIndex + i;
    if (version.entries.get(index) !== text) return `at ${index} ${text}, not ${version.entries.get(index)}`;
  }
  return undefined;
}
