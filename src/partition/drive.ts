/**
 * The Ready loop: takes what the core decided and carries it out, in one order (house B4):
 *
 *   hard state and entries to group commit -> messages that need no disk -> on flushed: step it in, then the messages
 *   that waited -> apply and publish the high watermark.
 *
 * Any other order is a bug; each step says why. Order only: reading, sending and answering live in the files named in
 * the parts below. A turn runs to completion without an await.
 */
import assert from 'node:assert';
import { encodeEntry, type Log, type LogEntry } from '../../storage/index.ts';
import type {
  HardState,
  InstallSnapshot,
  LogIndex,
  LostAcks,
  Message,
  OwnEntry,
  Pace,
  Raft,
  RaftStatus,
  Ready,
} from '../raft/index.ts';
import { encodeMembershipEntry, UnsupportedEntry } from './control.ts';
import type { CommitWaiter, PendingEntries } from './pending-entries.ts';
import type { PartitionState } from './state.ts';
import type { TailCache } from './tail-cache.ts';

export interface DriveParts {
  readonly raft: Raft;
  readonly log: Log;
  readonly state: PartitionState;
  readonly pending: PendingEntries;
  readonly cache: TailCache;
  /** Sends messages that carry no entries. */
  sendMessage(message: Message): void;
  /** Reads entries for a follower and sends them, now or after a read. */
  sendEntries(peer: string, from: LogIndex, bytesMax: number): void;
  sendSnapshot(peer: string): void;
  /** Replaces the log; calls raft.installed() and run() when it is done. */
  install(message: InstallSnapshot): void;
  /** Entries up to `index` are applied. */
  onApplied(index: LogIndex): void;
  /** Entries from this index on are gone. */
  onTruncated(from: LogIndex): void;
  onStatus(status: RaftStatus): void;
  onPace(pace: Pace): void;
  /** A follower lost entries it had acknowledged (R21): its disk is to be looked at. */
  onLostAcks(lost: LostAcks): void;
  /** A committed entry cannot be applied by this version: the partition stops, by name. */
  onUnsupported(error: UnsupportedEntry): void;
  nowMs(): number;
}

const NO_BYTES = new Uint8Array(0);
/** On a disk that takes no writes the hard state may wait for hours. Any message may get lost; the oldest do. */
const WAITING_MESSAGES_MAX = 1_000;

export class Drive {
  readonly #parts: DriveParts;
  #isRunning = false;
  /** Entries this leader proposed, encoded, in order; handed to the log by the Ready that names them. */
  #proposed: LogEntry[] = [];
  /** Entries that came with the append message being stepped. */
  #received: readonly LogEntry[] = [];
  /** Hard states accepted by storage and not durable yet. */
  #hardStatesInFlight = 0;
  /** Messages that wait for the last of them. */
  #afterHardState: Message[] = [];
  #isStopped = false;
  /** As last told. */
  #pace: Pace = 'ticks';

  constructor(parts: DriveParts) {
    this.#parts = parts;
  }

  /** Nothing is sent, written or applied from here on. */
  stop(): void {
    this.#isStopped = true;
  }

  /**
   * An entry this leader proposed, in the order of proposing; pending at once, so that duplicates in the same turn see
   * it.
   */
  accept(entry: LogEntry, waiter: CommitWaiter | undefined): void {
    this.#proposed.push(entry);
    this.#pend(entry).waiters = waiter === undefined ? undefined : [waiter];
  }

  /**
   * Steps a message together with the entries beside it, and carries out what follows before anything else is stepped.
   */
  step(message: Message, entries: readonly LogEntry[]): void {
    if (this.#isStopped) return;
    this.#received = entries;
    this.#parts.raft.step(message);
    this.run();
    this.#received = [];
  }

  /** Carries out everything the core has ready. Called after every event stepped into it. */
  run(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      while (!this.#isStopped) {
        const ready = this.#parts.raft.ready();
        if (ready === undefined) {
          this.#tellPace();
          return;
        }
        this.#turn(ready);
      }
    } catch (error) {
      // Half a turn was done: whatever came next would rest on it.
      this.stop();
      if (!(error instanceof UnsupportedEntry)) throw error;
      this.#parts.onUnsupported(error);
    } finally {
      this.#isRunning = false;
    }
  }

  #tellPace(): void {
    const { pace } = this.#parts.raft;
    if (pace === this.#pace) return;
    this.#pace = pace;
    this.#parts.onPace(pace);
  }

  #turn(ready: Ready): void {
    // The term is accepted by storage before entries of that term: it writes in this order (W14).
    if (ready.hardState !== undefined) this.#saveHardState(ready.hardState);
    // The cut comes before the entries that replace what was cut (W17).
    if (ready.truncateFrom !== undefined) this.#truncate(ready.truncateFrom);
    if (ready.append !== undefined) this.#append(ready.append.first.index, ready.append.last.index, ready.own);
    // Messages that need no disk leave before the flush ends: heartbeats never wait for it, and followers write in
    // parallel with us (design decision 4).
    for (const message of ready.messages) this.#parts.sendMessage(message);
    this.#sendAfterHardState(ready.messagesAfterHardState);
    for (const send of ready.sends) this.#parts.sendEntries(send.peer, send.from, send.bytesMax);
    for (const peer of ready.snapshotsTo) this.#parts.sendSnapshot(peer);
    if (ready.install !== undefined) this.#parts.install(ready.install);
    // Applied before the status is told: whoever hears of a new leader finds the state as far as it is committed.
    if (ready.commit !== undefined) this.#apply(ready.commit);
    for (const lost of ready.lostAcks) this.#parts.onLostAcks(lost);
    if (ready.status !== undefined) this.#parts.onStatus(ready.status);
  }

  #saveHardState(hardState: HardState): void {
    this.#hardStatesInFlight += 1;
    // A rejection is a failed flush: storage has told its onFatal, the process ends (W4), and no message leaves.
    this.#parts.log.saveHardState(hardState).then(
      () => this.#hardStateSaved(hardState),
      () => this.stop(),
    );
  }

  #hardStateSaved(hardState: HardState): void {
    if (this.#isStopped) return;
    this.#hardStatesInFlight -= 1;
    this.#parts.raft.hardStatePersisted(hardState);
    this.#sendAfterHardState([]);
    this.run();
  }

  #sendAfterHardState(messages: readonly Message[]): void {
    this.#afterHardState.push(...messages);
    const excess = this.#afterHardState.length - WAITING_MESSAGES_MAX;
    if (excess > 0) this.#afterHardState.splice(0, excess);
    if (this.#hardStatesInFlight > 0 || this.#afterHardState.length === 0) return;
    const waited = this.#afterHardState;
    this.#afterHardState = [];
    const { raft, sendMessage } = this.#parts;
    // The right may have gone while the vote was on its way to the disk: then nobody is told of it (R19).
    const isKept = (message: Message): boolean => message.kind !== 'vote-reply' || !message.granted || raft.mayVote;
    for (const message of waited) if (isKept(message)) sendMessage(message);
  }

  #truncate(from: LogIndex): void {
    const { log, state, pending, cache } = this.#parts;
    if (from <= state.appliedIndex) assert.fail(`cut at ${from}, but ${state.appliedIndex} is applied`);
    this.#proposed = this.#proposed.filter((entry) => entry.header.index < from);
    if (from <= log.lastIndex) log.truncateSuffix(from);
    cache.truncateSuffix(from);
    pending.truncateSuffix(from);
    state.producers.truncated(pending.headers());
    this.#parts.onTruncated(from);
  }

  #append(first: LogIndex, last: LogIndex, own: readonly OwnEntry[]): void {
    const { log, cache } = this.#parts;
    // The core makes them while it hears a message or a flush, and a turn follows at once: nothing was proposed since.
    if (own.length > 0 && this.#proposed.length > 0)
      assert.fail(`entries proposed beside those of the core at ${first}`);
    for (const entry of own) this.accept(this.#encodeOwn(entry), undefined);
    let entries: LogEntry[];
    if (this.#proposed.length > 0) {
      entries = this.#proposed;
      this.#proposed = [];
    } else {
      entries = this.#received.filter(({ header }) => header.index >= first && header.index <= last);
      for (const entry of entries) this.#pend(entry);
    }
    assert.equal(entries[0]?.header.index, first, 'first entry to append');
    assert.equal(entries.at(-1)?.header.index, last, 'last entry to append');
    log.append(entries);
    cache.append(entries);
  }

  /** A no-op, or the second entry of a membership change. */
  #encodeOwn({ index, membership }: OwnEntry): LogEntry {
    const { raft, log, nowMs } = this.#parts;
    return encodeEntry(
      {
        kind: membership === undefined ? 'no-op' : 'membership',
        groupId: log.groupId,
        index,
        term: raft.term,
        baseOffset: log.nextOffset,
        recordCount: 0,
        appendTimeMs: Math.max(nowMs(), log.lastAppendTimeMs),
        producer: undefined,
        payload: membership === undefined ? NO_BYTES : encodeMembershipEntry({ membership, birth: undefined }),
      },
      this.#proposed.at(-1)?.header.chain ?? log.lastChain,
    );
  }

  #pend(entry: LogEntry): ReturnType<PendingEntries['push']> {
    this.#parts.state.producers.appended(entry.header);
    return this.#parts.pending.push(entry);
  }

  /** Entries up to `commit` take effect; then their producers are answered, then readers are woken (L1, L2). */
  #apply(commit: LogIndex): void {
    const { log, state, pending } = this.#parts;
    const answers: (() => void)[] = [];
    while (state.appliedIndex < commit) {
      const { header, payload, waiters } = pending.shift();
      const result = state.apply(header, payload);
      for (const waiter of waiters ?? []) answers.push(() => waiter.applied(header, result));
    }
    log.setCommitHint(commit);
    for (const answer of answers) answer();
    this.#parts.onApplied(commit);
  }
}
