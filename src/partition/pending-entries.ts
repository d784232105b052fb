/**
 * Headers of the entries that are in the log and not applied yet, in order, and who waits for each of them. Every
 * replica has one: the leader's also holds the producers that wait for an ack.
 *
 * Invariant pendingContiguous: entries are appliedIndex + 1 .. lastIndex of the log, without a hole.
 */
import assert from 'node:assert';
import type { EntryHeader, LogEntry, LogIndex, ProducerTuple } from '../../storage/index.ts';
import type { MembershipEntry } from '../raft/index.ts';
import { decodeMembershipEntry } from './control.ts';

/** Answered exactly once. */
export interface CommitWaiter {
  /** The entry is committed and applied here; `result` is what the state machine made of it. */
  applied(header: EntryHeader, result: unknown): void;
  /** The entry left this log, or leadership did: whether it will be committed is not known here. */
  lost(): void;
}

export interface PendingEntry {
  readonly header: EntryHeader;
  /** Kept for entries whose effect needs the payload: control and membership. Empty for batches. */
  readonly payload: Uint8Array;
  waiters: CommitWaiter[] | undefined;
}

const NO_BYTES = new Uint8Array(0);

export class PendingEntries {
  #entries: (PendingEntry | undefined)[] = [];
  #head = 0;

  get firstIndex(): LogIndex | undefined {
    return this.#entries[this.#head]?.header.index;
  }

  push(entry: LogEntry): PendingEntry {
    const header = entry.header;
    const last = this.#entries.at(-1)?.header.index;
    if (last !== undefined && header.index !== last + 1)
      assert.fail(`pendingContiguous: ${header.index} after ${last}`);
    const payload = header.kind === 'batch' ? NO_BYTES : entry.payload;
    const pending: PendingEntry = { header, payload, waiters: undefined };
    this.#entries.push(pending);
    return pending;
  }

  get(index: LogIndex): PendingEntry | undefined {
    const first = this.firstIndex;
    return first === undefined || index < first ? undefined : this.#entries[this.#head + index - first];
  }

  /** The newest entry of this producer and epoch that begins below `sequence`; undefined: none is left to apply. */
  newestBelow(producer: ProducerTuple, sequence: number): PendingEntry | undefined {
    for (let at = this.#entries.length - 1; at >= this.#head; at -= 1) {
      const entry = this.#entries[at]!;
      const other = entry.header.producer;
      if (other?.id === producer.id && other.epoch === producer.epoch && other.sequence < sequence) return entry;
    }
    return undefined;
  }

  /** Takes the oldest entry out. */
  shift(): PendingEntry {
    const entry = this.#entries[this.#head];
    assert.ok(entry !== undefined, 'an entry is applied that was never accepted');
    this.#entries[this.#head] = undefined;
    this.#head += 1;
    if (this.#head === this.#entries.length) {
      this.#entries = [];
      this.#head = 0;
    } else if (this.#head >= 1024 && this.#head * 2 >= this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
    return entry;
  }

  /** Drops entries from `from` on and tells their waiters. */
  truncateSuffix(from: LogIndex): void {
    const lost: CommitWaiter[] = [];
    for (
      let last = this.#entries.at(-1);
      last !== undefined && last.header.index >= from;
      last = this.#entries.at(-1)
    ) {
      this.#entries.pop();
      for (const waiter of last.waiters ?? []) lost.push(waiter);
    }
    if (this.#entries.length <= this.#head) {
      this.#entries = [];
      this.#head = 0;
    }
    for (const waiter of lost) waiter.lost();
  }

  /** Tells every waiter; the entries stay. */
  loseWaiters(): void {
    for (let at = this.#head; at < this.#entries.length; at += 1) {
      const entry = this.#entries[at]!;
      const waiters = entry.waiters;
      entry.waiters = undefined;
      for (const waiter of waiters ?? []) waiter.lost();
    }
  }

  /** Those that change the membership, oldest first. */
  memberships(): MembershipEntry[] {
    const found: MembershipEntry[] = [];
    for (let at = this.#head; at < this.#entries.length; at += 1) {
      const { header, payload } = this.#entries[at]!;
      if (header.kind !== 'membership') continue;
      found.push({ index: header.index, membership: decodeMembershipEntry(payload).membership });
    }
    return found;
  }

  *headers(): Generator<EntryHeader> {
    for (let at = this.#head; at < this.#entries.length; at += 1) yield this.#entries[at]!.header;
  }
}
