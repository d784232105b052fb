/**
 * Producers' batches on their way into the log of a leader. What arrives within one turn is collected and proposed
 * together (house rule 13): one walk through the core, one hand-over to group commit.
 *
 * Here base offsets are assigned, duplicates are judged (design 5) and entries are encoded. Nothing is durable here.
 */

import {
  type ChainSum,
  ENTRY_HEADER_BYTES,
  type EntryHeader,
  encodeEntry,
  type Log,
  type LogEntry,
  type NewEntry,
  type ProducerTuple,
} from '../../storage/index.ts';
import type { Clock, Timers } from '../env.ts';
import { type BatchHeader, patchBatch } from '../protocol/index.ts';
import type { Raft } from '../raft/index.ts';
import type { Drive } from './drive.ts';
import type { CommitWaiter, PendingEntries } from './pending-entries.ts';
import type { RememberedBatch } from './producer-rows.ts';
import type { ProducerTable } from './producer-table.ts';
import type { PartitionState } from './state.ts';

export type AppendRefusal =
  | { readonly kind: 'not-leader' }
  | { readonly kind: 'overloaded' }
  /** The disk has no room. */
  | { readonly kind: 'full' }
  | { readonly kind: 'fenced'; readonly epoch: number }
  | { readonly kind: 'gap'; readonly expected: number }
  /** Accepted by this node, then leadership or the entry was lost: it may yet be committed by another leader. */
  | { readonly kind: 'unknown' };

export interface Appended {
  readonly kind: 'appended';
  /** undefined: a duplicate so old that its offset is not remembered. */
  readonly baseOffset: number | undefined;
  readonly index: number;
  readonly term: number;
  readonly appendTimeMs: number;
  readonly isDuplicate: boolean;
  /** Of a command: what the state machine returned for it. */
  readonly result?: unknown;
}

export type AppendOutcome = Appended | AppendRefusal;

/** What waits to be proposed. `settle` is called exactly once. */
export type QueuedAppend =
  | {
      readonly kind: 'batch';
      /** Given; base offset and leader epoch are patched in place. */
      readonly batch: Uint8Array;
      readonly header: BatchHeader;
      readonly producer: ProducerTuple | undefined;
      readonly settle: (outcome: AppendOutcome) => void;
    }
  | {
      readonly kind: 'control';
      readonly payload: Uint8Array;
      /** It makes room, so it is taken even where producers are refused for want of it. */
      readonly isFreeing: boolean;
      readonly settle: (outcome: AppendOutcome) => void;
    };

/** Where the log ends at the moment of proposing; moves on with each entry of the turn. */
interface LogEnd {
  readonly groupId: number;
  readonly term: number;
  readonly index: number;
  readonly nextOffset: number;
  readonly chain: ChainSum;
  /** Wall clock, clamped to the last append time: append times never go back within a partition. */
  readonly appendTimeMs: number;
}

export interface AppendQueueParts {
  readonly raft: Raft;
  readonly log: Log;
  readonly state: PartitionState;
  readonly pending: PendingEntries;
  readonly drive: Drive;
  readonly clock: Clock;
  readonly timers: Timers;
  /** False while the disk has no room; entries that make room have more of it left to them. */
  mayTake(isFreeing: boolean): boolean;
}

export class AppendQueue {
  readonly #parts: AppendQueueParts;
  #queued: QueuedAppend[] = [];
  #isClosed = false;

  constructor(parts: AppendQueueParts) {
    this.#parts = parts;
  }

  push(append: QueuedAppend): void {
    if (this.#isClosed) {
      append.settle({ kind: 'not-leader' });
      return;
    }
    this.#queued.push(append);
    if (this.#queued.length === 1) this.#parts.timers.soon(() => this.#turn());
  }

  /** Refuses what waits and everything to come. */
  close(): void {
    this.#isClosed = true;
    for (const append of this.#queued.splice(0)) append.settle({ kind: 'not-leader' });
  }

  #turn(): void {
    const { raft, log, drive, clock } = this.#parts;
    const queued = this.#queued;
    this.#queued = [];
    let { nextOffset, lastChain: chain } = log;
    const appendTimeMs = Math.max(clock.nowMs(), log.lastAppendTimeMs);
    for (const append of queued) {
      if (!this.#isNew(append)) continue;
      const proposed = raft.propose([appendBytes(append)]);
      if (proposed.kind === 'refused') {
        append.settle({ kind: proposed.reason === 'uncommitted-full' ? 'overloaded' : 'not-leader' });
        continue;
      }
      const { term, first } = proposed;
      const entry = encodeAppend(append, { groupId: log.groupId, term, index: first, nextOffset, chain, appendTimeMs });
      nextOffset += entry.header.recordCount;
      chain = entry.header.chain;
      // Pending at once: a duplicate later in this turn has to see it.
      drive.accept(entry, waiterFor(append.settle, false));
    }
    drive.run();
  }

  /** Settles everything that is not to be appended by this leader now. */
  #isNew(append: QueuedAppend): boolean {
    const { raft, state } = this.#parts;
    if (raft.role !== 'leader') {
      append.settle({ kind: 'not-leader' });
      return false;
    }
    if (!this.#parts.mayTake(append.kind === 'control' && append.isFreeing)) {
      append.settle({ kind: 'full' });
      return false;
    }
    const judgement = judge(append, state.producers);
    switch (judgement.kind) {
      case 'new':
        return true;
      case 'settled':
        append.settle(judgement.outcome);
        return false;
      case 'duplicate':
        this.#answerDuplicate(append, judgement.batch);
        return false;
      case 'old-duplicate':
        this.#answerOldDuplicate(append, judgement.producer, judgement.recordCount);
        return false;
      default:
        return judgement satisfies never;
    }
  }

  /** With the original offset; of an entry that is not committed yet, only once it is (design 5). */
  #answerDuplicate(append: QueuedAppend, batch: RememberedBatch): void {
    const pending = this.#parts.pending.get(batch.index);
    if (pending === undefined) {
      const { baseOffset, index, term, appendTimeMs } = batch;
      append.settle({ kind: 'appended', baseOffset, index, term, appendTimeMs, isDuplicate: true });
      return;
    }
    pending.waiters ??= [];
    pending.waiters.push(waiterFor(append.settle, true));
  }

  /**
   * Too old to be remembered is not the same as committed: a producer may have many batches on their way. What is still
   * pending is answered when it is applied, like any other (P1).
   */
  #answerOldDuplicate(append: QueuedAppend, producer: ProducerTuple, recordCount: number): void {
    const { settle } = append;
    const newest = this.#parts.pending.newestBelow(producer, producer.sequence + recordCount);
    if (newest === undefined) {
      settle({ kind: 'appended', baseOffset: undefined, index: 0, term: 0, appendTimeMs: 0, isDuplicate: true });
      return;
    }
    const { producer: found, recordCount: foundCount } = newest.header;
    const isSame = found?.sequence === producer.sequence && foundCount === recordCount;
    newest.waiters ??= [];
    newest.waiters.push(waiterFor(settle, true, isSame));
  }
}

/** Bytes an append will take in the log: what the core is asked to admit. */
function appendBytes(append: QueuedAppend): number {
  return ENTRY_HEADER_BYTES + (append.kind === 'batch' ? append.batch.length : append.payload.length);
}

type Judgement =
  | { readonly kind: 'new' }
  | { readonly kind: 'duplicate'; readonly batch: RememberedBatch }
  | { readonly kind: 'old-duplicate'; readonly producer: ProducerTuple; readonly recordCount: number }
  | { readonly kind: 'settled'; readonly outcome: AppendOutcome };

/** What de-duplication says of a queued append, in terms of its answer. */
function judge(append: QueuedAppend, producers: ProducerTable): Judgement {
  if (append.kind === 'control' || append.producer === undefined) return { kind: 'new' };
  const { producer, header } = append;
  const verdict = producers.check(producer, header.recordCount);
  switch (verdict.kind) {
    case 'new':
      return verdict;
    case 'duplicate':
      return verdict;
    case 'old-duplicate':
      return { kind: 'old-duplicate', producer, recordCount: header.recordCount };
    case 'fenced':
    case 'gap':
      return { kind: 'settled', outcome: verdict };
    default:
      return verdict satisfies never;
  }
}

/** Encodes one append as the entry at `end.index`; patches offset and epoch into its batch. */
function encodeAppend(append: QueuedAppend, end: LogEnd): LogEntry {
  const isBatch = append.kind === 'batch';
  // The format keeps these 12 bytes outside its CRC, so that a broker can fill them in (design decision 3). The epoch
  // field is 32 bits wide: a term beyond it wraps there and stays whole in our own header.
  if (isBatch) patchBatch(append.batch, end.nextOffset, end.term % 0x8000_0000);
  const entry: NewEntry = {
    kind: append.kind,
    groupId: end.groupId,
    index: end.index,
    term: end.term,
    baseOffset: end.nextOffset,
    recordCount: isBatch ? append.header.recordCount : 0,
    appendTimeMs: end.appendTimeMs,
    producer: isBatch ? append.producer : undefined,
    payload: isBatch ? append.batch : append.payload,
  };
  return encodeEntry(entry, end.chain);
}

/** Answers a producer when its entry is applied, or lost. `isSame`: the entry is what was asked about, not what is
 *  behind it. */
function waiterFor(settle: (outcome: AppendOutcome) => void, isDuplicate: boolean, isSame = true): CommitWaiter {
  return {
    applied: (header: EntryHeader, result: unknown) =>
      settle({
        kind: 'appended',
        baseOffset: isSame ? header.baseOffset : undefined,
        index: header.index,
        term: header.term,
        appendTimeMs: header.appendTimeMs,
        isDuplicate,
        result,
      }),
    lost: () => settle({ kind: 'unknown' }),
  };
}
