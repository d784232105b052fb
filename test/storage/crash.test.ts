/**
 * Power cuts at every disk call of a workload that appends, rolls, truncates, trims, snapshots, installs and votes; then
 * again in the middle of that recovery. What comes back is checked against everything that was acknowledged before.
 *
 * LOGDRIVE_TEST_CRASH_SEEDS raises the number of survivals tried per stop (default 2).
 */
import { describe, expect, test } from 'vitest';
import type { HardState, LogEntry } from '../../storage/index.ts';
import { type Call, ModelDisk, seededRandom } from '../support/model-disk.ts';
import { describeEntries, nextEntries, type Opened, openLog, readAll } from '../support/storage-fixture.ts';

const SEEDS = Number(process.env.LOGDRIVE_TEST_CRASH_SEEDS ?? 2);
const SEGMENT_BYTES = 16 * 1024;

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
class Promises {
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

  /** Why a recovered log breaks a promise, or undefined. */
  async broken(opened: Opened): Promise<string | undefined> {
    const { log } = opened;
    if (log.damage.length > 0) return `damage where there is none: ${JSON.stringify(log.damage)}`;
    if (log.firstIndex < this.firstIndexMin || log.firstIndex > this.firstIndexMax) {
      return `begins at ${log.firstIndex}, not in [${this.firstIndexMin}, ${this.firstIndexMax}]`;
    }
    if ((log.latestSnapshot?.index ?? 0) < this.snapshotMin) return `snapshot ${log.latestSnapshot?.index} came back`;
    if (log.base.index > 0 && log.latestSnapshot === undefined) return 'a trimmed log without its snapshot';
    const kept = this.hardStates.slice(this.hardStateMin);
    if (!kept.some((state) => JSON.stringify(state) === JSON.stringify(log.hardState))) {
      return `hard state ${JSON.stringify(log.hardState)} is older than promised`;
    }
    const texts = describeEntries(await readAll(log));
    const reasons: string[] = [];
    for (let v = this.versionMin; v < this.versions.length; v++) {
      const version = this.versions[v]!;
      const reason = whyNotVersion(version, log, texts);
      if (reason === undefined) return undefined;
      reasons.push(`version ${v}: ${reason}`);
    }
    return reasons.join('; ');
  }
}

function whyNotVersion(version: Version, log: Opened['log'], texts: readonly string[]): string | undefined {
  if (log.firstIndex <= version.base) return `begins at ${log.firstIndex}, below the install at ${version.base}`;
  if (log.lastIndex < version.acknowledged) return `ends at ${log.lastIndex}, acknowledged ${version.acknowledged}`;
  for (const [i, text] of texts.entries()) {
    const index = log.firstIndex + i;
    if (version.entries.get(index) !== text) return `at ${index} ${text}, not ${version.entries.get(index)}`;
  }
  return undefined;
}

const SMALL = { payloadBytes: 300 };
const LARGE = { payloadBytes: 5_000 };

/** The workload. Every await may be the last thing that happens. */
async function work(disk: ModelDisk, promises: Promises): Promise<void> {
  const opened = await openLog(disk, {
    segmentBytes: SEGMENT_BYTES,
    onFlushed: (at) => promises.flushed(at.index, at.term),
  });
  const { log, timers } = opened;
  const append = (specs: readonly { payloadBytes: number; term?: number }[]): void => {
    const entries = nextEntries(log, specs);
    promises.accepted(entries);
    log.append(entries);
  };
  const truncate = (from: number): void => {
    promises.truncated(from);
    log.truncateSuffix(from);
  };
  const vote = async (state: HardState): Promise<void> => {
    promises.hardStates.push(state);
    const number = promises.hardStates.length - 1;
    await log.saveHardState(state);
    promises.hardStateMin = Math.max(promises.hardStateMin, number);
  };
  const snapshot = async (): Promise<number> => {
    const { index } = await log.roll();
    const term = log.termAt(index)!;
    const chain = await log.chainBefore(index + 1);
    const state = new Uint8Array(200).fill(index);
    await log.saveSnapshot({ index, term, nextOffset: 0, appendTimeMs: log.lastAppendTimeMs, chain, state });
    promises.snapshotMin = index;
    return index;
  };

  await vote({ term: 1, votedFor: 'n1' });
  append([{ ...SMALL, term: 1 }, SMALL, SMALL]);
  await log.flush();
  timers.fire();
  append([LARGE, LARGE]);
  append([LARGE, SMALL]);
  await log.flush();
  // A conflict within the active segment, while a flush is in flight and with a vote beside it.
  const begun = disk.count('writeDurable');
  append([SMALL, SMALL, SMALL]);
  await disk.until(() => disk.count('writeDurable') > begun);
  const voting = vote({ term: 2, votedFor: undefined });
  truncate(log.lastIndex - 1);
  append([{ ...SMALL, term: 2 }, LARGE, LARGE]);
  await log.flush();
  await voting;
  // A conflict that reaches into a sealed segment.
  await log.roll();
  append([LARGE, SMALL, SMALL]);
  await log.flush();
  truncate(log.lastIndex - 4);
  append([{ ...SMALL, term: 3 }, SMALL]);
  await log.flush();
  log.setCommitHint(log.lastIndex);
  const state = await snapshot();
  append([SMALL, LARGE, SMALL]);
  promises.firstIndexMax = state + 1;
  promises.firstIndexMin = await log.trimPrefix(state + 1);
  await vote({ term: 3, votedFor: 'n2' });
  await log.flush();
  await snapshot();
  // The follower is behind: its log is replaced by a state.
  const install = { index: 500, term: 7, nextOffset: 40, appendTimeMs: 9_000, chain: { high: 5, low: 6 } };
  promises.installing(install.index);
  await log.installSnapshot({ ...install, state: new Uint8Array(300).fill(7) });
  promises.installed(install.index);
  append([{ ...SMALL, term: 7 }, LARGE, SMALL]);
  await log.flush();
  timers.fire();
  await opened.directory.close();
}

/** Runs the workload up to the stop at call `n`; true when it ended before. */
async function runUntil(n: number, promises: Promises): Promise<{ disk: ModelDisk; isDone: boolean }> {
  const disk = new ModelDisk({ onCall: (call: Call) => (call.number === n ? 'stop' : undefined) });
  const isDone = await Promise.race([work(disk, promises).then(() => true), disk.stopped.then(() => false)]);
  return { disk, isDone };
}

async function assertKept(disk: ModelDisk, promises: Promises, story: string): Promise<void> {
  const opened = await openLog(disk, { segmentBytes: SEGMENT_BYTES });
  expect(await promises.broken(opened), story).toBeUndefined();
  // What recovery made of it is durable and final: after a power cut right behind it, it is the same log. (Of a killed
  // process's writes some may have been in the cache alone.)
  const before = describeEntries(await readAll(opened.log));
  const { hardState } = opened.log;
  const again = await openLog(disk.afterCrash(1), { segmentBytes: SEGMENT_BYTES });
  expect(describeEntries(await readAll(again.log)), `${story}, opened again`).toEqual(before);
  expect(again.log.hardState, `${story}, opened again`).toEqual(hardState);
  // Nothing is ever written behind bytes that a later start would not read (W11).
  again.log.append(nextEntries(again.log, [{ payloadBytes: 700 }, { payloadBytes: 5_000 }]));
  await again.log.flush();
  expect(again.fatal).toEqual([]);
}

describe('power cuts', () => {
  test('at every disk call, and again during that recovery, keep every promise', {
    timeout: 60_000 * SEEDS,
  }, async () => {
    let stops = 0;
    for (let n = 1; ; n++) {
      const promises = new Promises();
      const { disk, isDone } = await runUntil(n, promises);
      if (isDone) break;
      for (let seed = 0; seed < SEEDS; seed++) {
        const story = `stopped at call ${n}, survival ${seed}`;
        const survivor = disk.afterCrash(n * 1_000 + seed);
        await assertKept(survivor.afterCrash(0), promises, story);
        const random = seededRandom(n * 7_919 + seed);
        const second = 1 + Math.floor(random() * 60);
        const interrupted = survivor.afterCrash(0, { onCall: (call) => (call.number === second ? 'stop' : undefined) });
        const recovering = openLog(interrupted, { segmentBytes: SEGMENT_BYTES }).then(() => undefined);
        await Promise.race([recovering, interrupted.stopped]);
        const twice = interrupted.afterCrash(n * 31 + seed);
        await assertKept(twice, promises, `${story}, again at call ${second} of the recovery`);
        stops++;
      }
      await assertKept(disk.afterKill(), promises, `killed at call ${n}`);
    }
    expect(stops).toBeGreaterThan(200);
  });
});
