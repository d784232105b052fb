/**
 * Which membership is in force. One is from the moment its entry is appended, committed or not, and no longer once that
 * entry is cut (paper section 6, R12); so the core keeps those of its uncommitted entries beside the last committed
 * one.
 *
 *   committed 7   uncommitted 9, 10        in force: that of 10;   10 is cut: that of 9
 *
 * Invariant: entries are in index order; all but the first lie above what was known committed when they came.
 */
import { strict as assert } from 'node:assert';
import { isVoter } from './membership.ts';
import type { LogIndex, Membership, MembershipEntry, NodeId } from './types.ts';

export class MembershipLog {
  /** Never empty. The first is a lower bound of what is committed; index 0 for one that is no entry of this log. */
  #entries: MembershipEntry[];

  /** @param first As of an index that is known committed. */
  constructor(first: Membership, above: readonly MembershipEntry[]) {
    this.#entries = [{ index: 0, membership: first }];
    for (const { index, membership } of above) this.append(index, membership);
  }

  /** In force. */
  get effective(): Membership {
    return this.#last.membership;
  }

  /** Of the entry that put it in force. */
  get effectiveIndex(): LogIndex {
    return this.#last.index;
  }

  /** The entry that takes a voter's vote away is not known committed: until it is, this node may be the only one with
   *  it, and the others cannot elect anybody whose log ends before it (thesis 4.2.2). */
  isLeaving(node: NodeId): boolean {
    const before = this.#entries.at(-2);
    return before !== undefined && isVoter(before.membership, node) && !isVoter(this.effective, node);
  }

  get #last(): MembershipEntry {
    return this.#entries.at(-1)!;
  }

  append(index: LogIndex, membership: Membership): void {
    if (index <= this.#last.index) assert.fail(`membership entry ${index} after that of ${this.#last.index}`);
    this.#entries.push({ index, membership });
  }

  /** The entries from `from` on are gone, and what they put in force with them. */
  truncateFrom(from: LogIndex): void {
    while (this.#entries.length > 1 && this.#last.index >= from) this.#entries.pop();
  }

  /** Memberships before the last one at or below `commit` can never be in force again. */
  committedTo(commit: LogIndex): void {
    while (this.#entries.length > 1 && this.#entries[1]!.index <= commit) this.#entries.shift();
  }

  /** The log is replaced by the state as of `index`: whatever this node believed goes, newer or not (R14). */
  reset(index: LogIndex, membership: Membership): void {
    this.#entries = [{ index, membership }];
  }
}
