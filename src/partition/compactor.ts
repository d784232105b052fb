/**
 * Key compaction of one partition's log (docs/decisions, docs/storage.md "Rewriting"): of the records of one key the
 * latest stays, and a tombstone stays for a time. Each replica compacts its own copy, when it likes; what they have in
 * common is every entry's header and what a reader may rely on: the latest record of each key is there.
 *
 * One pass: the keys of the sealed segments that were not looked at before go into a table of fixed size, oldest first,
 * as far as it holds them; then all segments up to there are rewritten, oldest first, without the records that the
 * table has a later one for. What the table did not hold is for the next pass. Invariant cleanPrefix: at or below
 * #clean no key has two records. So a tombstone that comes up in a pass is, below the end of that pass, the only record
 * of its key: nothing older can come back once it goes, because older segments were rewritten, durably, before.
 *
 * Three kinds of tombstone stay all the same: younger than the policy says; at or above `compactedByAll`, because
 * another replica may still hold an older record of the key, and a third one that got that record from there and the
 * rest from here would never hear of the deletion; and behind a batch whose records cannot be looked at (compressed),
 * which may hold the key.
 */
import assert from 'node:assert';
import { crc32c, type Log, type LogEntry, type LogIndex, type Offset, StorageError } from '../../storage/index.ts';
import { hasPlainRecords, type KeyedRecord, LogError, thinBatch, visitKeys } from '../protocol/index.ts';
import type { KeyMap } from './key-map.ts';
import type { PartitionState } from './state.ts';
import type { TailCache } from './tail-cache.ts';

export interface CompactionPolicy {
  /** A tombstone stays at least this long after its append time. */
  readonly tombstoneRetentionMs: number;
}

export interface CompactionRun {
  readonly policy: CompactionPolicy;
  /** Empty; lent for the pass. Its size bounds the memory of a pass, whatever the number of keys. */
  readonly map: KeyMap;
  readonly nowMs: number;
  /** Called between pieces of work with the bytes read and written; the pass goes on when it resolves. */
  pace(bytes: number): Promise<void>;
}

export type CompactionOutcome =
  | {
      readonly kind: 'done';
      readonly reclaimedBytes: number;
      readonly segmentsRewritten: number;
      /** Batches left alone because their records cannot be looked at: compressed, or malformed. */
      readonly opaqueBatches: number;
      /** False: the table was full, and segments are left for another pass. */
      readonly isComplete: boolean;
    }
  | { readonly kind: 'nothing' }
  /** The log changed or cannot be read or written at the moment: another pass begins anew. */
  | { readonly kind: 'given-up'; readonly why: string };

/** A pass begins when at least this share of the sealed bytes was not looked at. */
const DIRTY_SHARE_MIN = 0.5;
const READ_BYTES = 256 * 1024;

/** How far no key has two records. */
interface Clean {
  readonly index: LogIndex;
  readonly nextOffset: Offset;
  /** The last record up to there: it stays, so that behind every hole there is a record to read. -1: none. */
  readonly lastOffset: Offset;
}

const NOTHING_CLEAN: Clean = { index: 0, nextOffset: 0, lastOffset: -1 };

/** `index`: the table knows the records up to that entry. */
interface Pass extends Clean {
  readonly run: CompactionRun;
  readonly compactedByAll: Offset;
  opaqueBatches: number;
  /** The last entry counted there: some are looked at twice. */
  opaqueIndex: LogIndex;
  /** The first tombstone that stays, of those that may go once they are old enough. */
  firstTombstone: { readonly offset: Offset; readonly appendTimeMs: number } | undefined;
}

interface SealedSegment {
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly bytes: number;
}

export class Compactor {
  readonly #log: Log;
  readonly #state: PartitionState;
  readonly #cache: Pick<TailCache, 'dropUpTo'>;
  /** Bytes that a rewritten segment may have: small neighbours become one up to it. */
  readonly #segmentBytes: number;
  /** See cleanPrefix. In memory alone: after a start the first pass looks at everything. */
  #clean: Clean = NOTHING_CLEAN;
  #firstTombstone: Pass['firstTombstone'];

  constructor(log: Log, state: PartitionState, cache: Pick<TailCache, 'dropUpTo'>, segmentBytes: number) {
    this.#log = log;
    this.#state = state;
    this.#cache = cache;
    this.#segmentBytes = segmentBytes;
  }

  /** The log was replaced by another replica's. */
  reset(): void {
    this.#clean = NOTHING_CLEAN;
    this.#firstTombstone = undefined;
  }

  /** Where every replica has come to, as far as the log says. */
  get compactedByAll(): Offset {
    return this.#state.compactedByAll;
  }

  /** Below it no key has two records here. */
  get cleanOffset(): Offset {
    return this.#clean.nextOffset;
  }

  /** Whether a pass has enough to do. */
  isDue(policy: CompactionPolicy, nowMs: number): boolean {
    let bytes = 0;
    let dirtyBytes = 0;
    for (const segment of this.#sealed()) {
      bytes += segment.bytes;
      if (segment.lastIndex > this.#clean.index) dirtyBytes += segment.bytes;
    }
    if (dirtyBytes > 0 && dirtyBytes >= bytes * DIRTY_SHARE_MIN) return true;
    const tombstone = this.#firstTombstone;
    if (tombstone === undefined || tombstone.offset >= this.#state.compactedByAll) return false;
    return tombstone.appendTimeMs + policy.tombstoneRetentionMs < nowMs;
  }

  /** One pass; one at a time. */
  async run(run: CompactionRun): Promise<CompactionOutcome> {
    try {
      return await this.#pass(run);
    } catch (error) {
      // Damage is mended elsewhere, room comes back, a trim or a close has its own way: none of it is this pass's to
      // fix.
      if (error instanceof StorageError && error.code !== 'FLUSH_FAILED')
        return { kind: 'given-up', why: error.message };
      throw error;
    }
  }

  async #pass(run: CompactionRun): Promise<CompactionOutcome> {
    const sealed = this.#sealed();
    const last = sealed.at(-1);
    if (last === undefined) return { kind: 'nothing' };
    const clean = await this.#fillMap(sealed, run);
    const { compactedByAll } = this.#state;
    const pass: Pass = { run, ...clean, compactedByAll, opaqueBatches: 0, opaqueIndex: 0, firstTombstone: undefined };
    let reclaimedBytes = 0;
    let segmentsRewritten = 0;
    for (const group of groupsOf(sealed, clean.index, this.#segmentBytes)) {
      if (!(await this.#hasLess(group, pass))) continue;
      const plan = { keep: (entry: LogEntry) => this.#keep(entry, pass), pace: (bytes: number) => run.pace(bytes) };
      const rewritten = await this.#log.rewrite(group[0]!.firstIndex, group.at(-1)!.lastIndex, plan);
      // What follows may rest on what this group no longer holds: no further.
      if (rewritten === undefined) return { kind: 'given-up', why: 'the log changed meanwhile' };
      reclaimedBytes += rewritten.bytesBefore - rewritten.bytesAfter;
      segmentsRewritten += group.length;
    }
    // Entries in memory are whole still. A follower that was sent an old record from there, and what comes behind it
    // from the disk once memory had given it up, would never hear of a deletion that is forgotten.
    this.#cache.dropUpTo(clean.index);
    this.#clean = clean;
    this.#firstTombstone = pass.firstTombstone;
    const isComplete = clean.index >= last.lastIndex;
    return { kind: 'done', reclaimedBytes, segmentsRewritten, opaqueBatches: pass.opaqueBatches, isComplete };
  }

  /** Sealed segments whose entries are all applied here: committed, and never cut. */
  #sealed(): SealedSegment[] {
    const { appliedIndex } = this.#state;
    return this.#log.segments().filter(({ isSealed, lastIndex }) => isSealed && lastIndex <= appliedIndex);
  }

  /** Notes the keys of what was not looked at before, as far as they fit: a batch as a whole, since a key that is left
   *  out could have a tombstone noted whose older records are not known. */
  async #fillMap(sealed: readonly SealedSegment[], { map, pace }: CompactionRun): Promise<Clean> {
    const last = sealed.at(-1)!.lastIndex;
    let clean = this.#clean;
    while (clean.index < last) {
      const entries = await this.#log.read(Math.max(clean.index + 1, this.#log.firstIndex), READ_BYTES);
      let bytes = 0;
      for (const entry of entries) {
        const { index, baseOffset, recordCount } = entry.header;
        if (index > last || !map.hasRoomFor(recordCount)) return clean;
        bytes += entry.payload.length;
        const lastOffset = Math.max(clean.lastOffset, noteKeys(entry, map));
        clean = { index, nextOffset: baseOffset + recordCount, lastOffset };
      }
      await pace(bytes);
    }
    return clean;
  }

  /** Whether anything of a group would be taken out: one that stays as it is, is not written again. */
  async #hasLess(group: readonly SealedSegment[], pass: Pass): Promise<boolean> {
    const last = group.at(-1)!.lastIndex;
    for (let next = group[0]!.firstIndex; next <= last; ) {
      const entries = await this.#log.read(next, READ_BYTES);
      let bytes = 0;
      for (const entry of entries) {
        if (entry.header.index > last) break;
        bytes += entry.payload.length;
        if (entry.header.kind === 'batch' && this.#keep(entry, pass) !== entry.payload) return true;
      }
      next = entries.at(-1)!.header.index + 1;
      await pass.run.pace(bytes);
    }
    return false;
  }

  /** What is left of a batch. */
  #keep(entry: LogEntry, pass: Pass): Uint8Array {
    const { header, payload } = entry;
    if (payload.length === 0 || header.index > pass.index) return payload;
    try {
      if (hasPlainRecords(payload)) {
        return thinBatch(payload, (record) => isKept(record, header.appendTimeMs, pass), crc32c);
      }
    } catch (error) {
      // No broker looks at records when they are appended: what cannot be read here is for its readers to judge.
      if (!LogError.is(error)) throw error;
    }
    if (header.index > pass.opaqueIndex) {
      pass.opaqueBatches += 1;
      pass.opaqueIndex = header.index;
    }
    return payload;
  }
}

/** Notes the keys of one entry; the offset of its last record, -1 when it holds none to look at. */
function noteKeys({ header, payload }: LogEntry, map: KeyMap): Offset {
  let last = -1;
  if (header.kind !== 'batch' || payload.length === 0) return last;
  try {
    if (!hasPlainRecords(payload)) return last;
    // All of it is looked at first: what cannot be read to its end supersedes nothing.
    visitKeys(payload, () => undefined);
    visitKeys(payload, ({ key, offset }) => {
      assert.ok(key === undefined || map.put(key, offset), 'room for the keys of a batch was seen');
      last = offset;
    });
  } catch (error) {
    if (!LogError.is(error)) throw error;
  }
  return last;
}

function isKept({ key, offset, isTombstone }: KeyedRecord, appendTimeMs: number, pass: Pass): boolean {
  // Without a key nothing supersedes it. Appends to a compacted topic are refused without one.
  if (key === undefined) return true;
  const latest = pass.run.map.latest(key);
  if (latest !== undefined && latest > offset) return false;
  if (!isTombstone || offset === pass.lastOffset || pass.opaqueBatches > 0) return true;
  const isOld = appendTimeMs + pass.run.policy.tombstoneRetentionMs < pass.run.nowMs;
  if (isOld && offset < pass.compactedByAll) return false;
  pass.firstTombstone ??= { offset, appendTimeMs };
  return true;
}

/** Neighbours that fit into one segment together, as far as they hold anything at or below `end`. */
function groupsOf(sealed: readonly SealedSegment[], end: LogIndex, bytesMax: number): SealedSegment[][] {
  const groups: SealedSegment[][] = [];
  let bytes = 0;
  for (const segment of sealed) {
    if (segment.firstIndex > end) break;
    const group = groups.at(-1);
    if (group === undefined || bytes + segment.bytes > bytesMax) {
      groups.push([segment]);
      bytes = segment.bytes;
    } else {
      group.push(segment);
      bytes += segment.bytes;
    }
  }
  return groups;
}
