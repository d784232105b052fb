/**
 * A node's disk in memory: what is durable, and what was written and not flushed yet. Hard states and log writes are
 * flushed apart, with the one order a real log keeps: no log write becomes durable before a hard state written
 * earlier (W14). A crash keeps the durable part and any prefix of the rest.
 */
import type {
  EntryId,
  HardState,
  LogIndex,
  Membership,
  MembershipEntry,
  RaftStart,
  TermRun,
} from '../../../src/raft/index.ts';

export interface StoredEntry extends EntryId {
  readonly bytes: number;
  readonly payload: string;
  readonly membership?: Membership | undefined;
}

export type LogWrite =
  | { readonly kind: 'append'; readonly entries: readonly StoredEntry[] }
  | { readonly kind: 'truncate'; readonly from: LogIndex }
  | { readonly kind: 'install'; readonly snapshot: EntryId; readonly membership: Membership };

interface PendingHardState {
  readonly order: number;
  readonly state: HardState;
  readonly whenDurable: () => void;
}

interface PendingWrite {
  readonly order: number;
  readonly write: LogWrite;
}

export class SimDisk {
  hardState: HardState = { term: 0, votedFor: undefined };
  base: EntryId = { term: 0, index: 0 };
  /** As of `base`. */
  baseMembership: Membership;
  entries: StoredEntry[] = [];
  /** Lower bound of the commit index, written along with each log flush. */
  commitHint: LogIndex = 0;
  readonly #hardStates: PendingHardState[] = [];
  readonly #writes: PendingWrite[] = [];
  #order = 0;

  constructor(membership: Membership) {
    this.baseMembership = membership;
  }

  get lastIndex(): LogIndex {
    return this.base.index + this.entries.length;
  }

  get pendingHardStates(): number {
    return this.#hardStates.length;
  }

  get pendingWrites(): number {
    return this.#writes.length;
  }

  holds(entry: EntryId): boolean {
    if (entry.index <= this.base.index) return true;
    return this.entries[entry.index - this.base.index - 1]?.term === entry.term;
  }

  saveHardState(state: HardState, whenDurable: () => void): void {
    this.#hardStates.push({ order: this.#order++, state, whenDurable });
  }

  /** Runs `whenDurable` after the newest pending hard state is durable; at once when none is pending. */
  afterHardState(whenDurable: () => void): void {
    const newest = this.#hardStates.at(-1);
    if (newest === undefined) {
      whenDurable();
      return;
    }
    const { order, state, whenDurable: before } = newest;
    this.#hardStates[this.#hardStates.length - 1] = {
      order,
      state,
      whenDurable: () => {
        before();
        whenDurable();
      },
    };
  }

  write(write: LogWrite): void {
    this.#writes.push({ order: this.#order++, write });
  }

  /** Makes pending hard states durable. Answers what is to be called for them. */
  flushHardStates(): (() => void)[] {
    return this.#hardStatesBefore(Number.POSITIVE_INFINITY);
  }

  /** Makes the first `count` log writes durable, hard states written before them first. */
  flushWrites(count: number, commit: LogIndex): { whenDurable: (() => void)[]; installed: EntryId | undefined } {
    const whenDurable: (() => void)[] = [];
    let installed: EntryId | undefined;
    for (const { order, write } of this.#writes.splice(0, count)) {
      whenDurable.push(...this.#hardStatesBefore(order));
      this.#apply(write);
      if (write.kind === 'install') installed = write.snapshot;
    }
    this.commitHint = Math.max(this.commitHint, Math.min(commit, this.lastIndex));
    return { whenDurable, installed };
  }

  /** The last durable entry that no pending write will cut: what a log may report as flushed. */
  flushedEntry(): EntryId | undefined {
    let index = this.lastIndex;
    for (const { write } of this.#writes) {
      if (write.kind === 'truncate') index = Math.min(index, write.from - 1);
      if (write.kind === 'install') return undefined;
    }
    if (index <= this.base.index) return undefined;
    return this.entries[index - this.base.index - 1];
  }

  /** The last one at or below `index`, as the durable log has it. */
  membershipAt(index: LogIndex): Membership {
    const below = this.entries.filter((entry) => entry.index <= index && entry.membership !== undefined);
    return below.at(-1)?.membership ?? this.baseMembership;
  }

  trimTo(base: EntryId): void {
    this.baseMembership = this.membershipAt(base.index);
    this.entries.splice(0, base.index - this.base.index);
    this.base = base;
  }

  /** The power goes: of what was pending, the first `hardStates` and the first `writes` had reached the medium. */
  crash(hardStates: number, writes: number): void {
    for (const { state } of this.#hardStates.splice(0, hardStates)) this.hardState = state;
    for (const { order, write } of this.#writes.splice(0, writes)) {
      this.#hardStatesBefore(order);
      this.#apply(write);
    }
    this.#hardStates.length = 0;
    this.#writes.length = 0;
  }

  /** What recovery finds. */
  recover(): RaftStart {
    const termRuns: TermRun[] = [];
    for (const { term, index } of this.entries) {
      if (termRuns.at(-1)?.term === term) termRuns.pop();
      termRuns.push({ term, lastIndex: index });
    }
    const commit = Math.min(Math.max(this.commitHint, this.base.index), this.lastIndex);
    const memberships: MembershipEntry[] = [];
    for (const { index, membership } of this.entries) {
      if (index > commit && membership !== undefined) memberships.push({ index, membership });
    }
    return { hardState: this.hardState, base: this.base, termRuns, commit, memberships };
  }

  #hardStatesBefore(order: number): (() => void)[] {
    const whenDurable: (() => void)[] = [];
    while (this.#hardStates.length > 0 && this.#hardStates[0]!.order < order) {
      const next = this.#hardStates.shift()!;
      this.hardState = next.state;
      whenDurable.push(next.whenDurable);
    }
    return whenDurable;
  }

  #apply(write: LogWrite): void {
    switch (write.kind) {
      case 'append':
        for (const entry of write.entries) {
          if (entry.index !== this.lastIndex + 1) throw new Error(`disk: ${entry.index} follows ${this.lastIndex}`);
          this.entries.push(entry);
        }
        return;
      case 'truncate':
        this.entries.length = Math.max(0, write.from - this.base.index - 1);
        return;
      case 'install':
        this.base = write.snapshot;
        this.baseMembership = write.membership;
        this.entries = [];
        this.commitHint = Math.max(this.commitHint, write.snapshot.index);
    }
  }
}
