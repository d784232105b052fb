/**
 * Looks over the shoulder of every replica in the run: what its log accepts, cuts and makes durable, what its Raft core
 * becomes, what it applies. Done by wrapping methods of the production classes, so that production has no hooks for
 * tests. Nothing is changed on the way. The methods are wrapped once in the life of this real process and call straight
 * through while no run is on: wrapped and unwrapped for each run, all compiled code that uses them would be thrown away
 * at each seed.
 */

import { Compactor } from '../../../src/partition/compactor.ts';
import type { AppendOutcome, CompactionOutcome, ReadIndexOutcome } from '../../../src/partition/index.ts';
import { Partition } from '../../../src/partition/partition.ts';
import { ProducerTable } from '../../../src/partition/producer-table.ts';
import { Replicator } from '../../../src/partition/replicator.ts';
import { PartitionState } from '../../../src/partition/state.ts';
import { type InstallSnapshot, type Message, Raft } from '../../../src/raft/index.ts';
import type { RaftState } from '../../../src/raft/state.ts';
import {
  DataDirectory,
  type EntryHeader,
  type HardState,
  Log,
  type LogEntry,
  type ProducerTuple,
  type Snapshot,
} from '../../../storage/index.ts';

/** One group on one node, in one life of its process. */
export interface Observed {
  readonly node: string;
  readonly group: number;
  readonly log: Log;
}

export interface ObserverEvents {
  /** After recovery: what the log holds is durable. */
  opened(replica: Observed): void;
  appended(replica: Observed, entries: readonly LogEntry[]): void;
  /** Entries from this index on are about to go. */
  truncating(replica: Observed, from: number): void;
  flushed(replica: Observed, at: { readonly term: number; readonly index: number }): void;
  hardStateSaved(replica: Observed, hardState: HardState): void;
  /** The log of a deleted group goes. */
  removing(node: string, group: number): void;
  /** It is gone, durably. */
  removed(node: string, group: number): void;
  /** The log is empty and begins behind this point. */
  installed(replica: Observed, at: { readonly term: number; readonly index: number }): void;
  /**
   * A snapshot is about to be kept. `encodedAt`: what its state had applied when it was frozen; undefined when it was
   * made elsewhere.
   */
  savingSnapshot(replica: Observed, snapshot: Snapshot, encodedAt: number | undefined): void;
  /** Entries below this index are about to go. */
  trimming(replica: Observed, firstIndexToKeep: number): void;
  /** This core is there, with what its log gave it; nothing has been stepped into it. */
  made(replica: Observed, state: Readonly<RaftState>): void;
  /** Something may have changed in this core. */
  stepped(replica: Observed, state: Readonly<RaftState>): void;
  /** A message without entries is about to leave. */
  sending(replica: Observed, message: Message): void;
  applied(node: string | undefined, group: number, header: EntryHeader, state: PartitionState): void;
  /** A partition begins to work on this node, in this life of its process. */
  partitionOpened(node: string | undefined, partition: Partition): void;
  /** An entry of this group went into its log; here is what de-duplication on that node goes by. */
  remembered(node: string | undefined, group: number, producers: ProducerTable): void;
  /** A producer is about to be answered. */
  answered(group: number, append: AnsweredAppend): void;
  /** A leader is asked for its read index. Returns who is to be told of the answer. */
  readAsked(node: string | undefined, group: number): (outcome: ReadIndexOutcome) => void;
  /** A pass of compaction begins. Returns who is to be told of its end, which never comes when its process ends. */
  compacting(): (outcome: CompactionOutcome) => void;
  /** A segment is about to be written anew for an entry that peers hold in another form than it had there. */
  mendingAnew(): void;
  /** A state is about to be offered to a follower, with the membership that goes with it. */
  offering(replica: Observed, message: InstallSnapshot): void;
}

export interface AnsweredAppend {
  readonly producer: ProducerTuple | undefined;
  readonly recordCount: number;
  readonly outcome: AppendOutcome;
}

/** Who looks over the shoulders in the run that is on. */
class Watch {
  readonly events: ObserverEvents;
  readonly currentNode: () => string | undefined;
  readonly replicas = new WeakMap<Log, Observed>();
  readonly cores = new WeakMap<Raft, Observed>();
  /** What a state had applied when it was frozen, by its bytes. */
  readonly encodedAt = new WeakMap<object, number>();
  /** The log whose Raft core is being made: asked for its term runs just before. */
  making: Log | undefined;
  /** Whose core was driven last. What it has to say leaves in the same turn, before any other core is driven. */
  driven: Observed | undefined;

  constructor(events: ObserverEvents, currentNode: () => string | undefined) {
    this.events = events;
    this.currentNode = currentNode;
  }
}

let watch: Watch | undefined;
let isWrapped = false;

/** Tells `events` of everything for as long as `work` runs. */
export function observed<T>(events: ObserverEvents, currentNode: () => string | undefined, work: () => T): T {
  if (!isWrapped) wrapAll();
  watch = new Watch(events, currentNode);
  try {
    return work();
  } finally {
    watch = undefined;
  }
}

function wrapAll(): void {
  isWrapped = true;
  wrapDataDirectory();
  wrapWrites();
  wrapSnapshots();
  wrapRaft();
  wrapPartition();
  wrapCompaction();
  wrapVerbs();
}

function wrapDataDirectory(): void {
  wrap(
    DataDirectory.prototype,
    'openLog',
    (openLog) =>
      async function (this: DataDirectory, groupId, options) {
        const mine = watch;
        if (mine === undefined) return openLog.call(this, groupId, options);
        let replica: Observed | undefined;
        const log = await openLog.call(this, groupId, {
          ...options,
          onFlushed: (at) => {
            if (replica !== undefined) mine.events.flushed(replica, at);
            options.onFlushed(at);
          },
        });
        replica = { node: this.nodeId, group: groupId, log };
        mine.replicas.set(log, replica);
        mine.events.opened(replica);
        return log;
      },
  );
  wrap(
    DataDirectory.prototype,
    'removeLog',
    (remove) =>
      function (this: DataDirectory, groupId) {
        const mine = watch;
        mine?.events.removing(this.nodeId, groupId);
        const removal = remove.call(this, groupId);
        // Beside the caller's wait, so that it goes on as soon as without an observer; a failure is the caller's.
        removal.then(
          () => mine?.events.removed(this.nodeId, groupId),
          () => undefined,
        );
        return removal;
      },
  );
}

function wrapWrites(): void {
  wrap(
    Log.prototype,
    'append',
    (append) =>
      function (this: Log, entries) {
        append.call(this, entries);
        const replica = watch?.replicas.get(this);
        if (replica !== undefined) watch?.events.appended(replica, entries);
      },
  );
  wrap(
    Log.prototype,
    'truncateSuffix',
    (truncate) =>
      function (this: Log, from) {
        const replica = watch?.replicas.get(this);
        if (replica !== undefined) watch?.events.truncating(replica, from);
        truncate.call(this, from);
      },
  );
  wrap(
    Log.prototype,
    'saveHardState',
    (save) =>
      async function (this: Log, hardState) {
        await save.call(this, hardState);
        const replica = watch?.replicas.get(this);
        if (replica !== undefined) watch?.events.hardStateSaved(replica, hardState);
      },
  );
  wrap(
    Log.prototype,
    'trimPrefix',
    (trim) =>
      async function (this: Log, firstIndexToKeep) {
        const replica = watch?.replicas.get(this);
        if (replica !== undefined) watch?.events.trimming(replica, firstIndexToKeep);
        return await trim.call(this, firstIndexToKeep);
      },
  );
}

function wrapSnapshots(): void {
  wrap(
    Log.prototype,
    'installSnapshot',
    (install) =>
      async function (this: Log, snapshot) {
        await install.call(this, snapshot);
        const replica = watch?.replicas.get(this);
        if (replica !== undefined) watch?.events.installed(replica, snapshot);
      },
  );
  wrap(
    Log.prototype,
    'saveSnapshot',
    (save) =>
      async function (this: Log, snapshot) {
        const replica = watch?.replicas.get(this);
        const encodedAt = watch?.encodedAt.get(snapshot.state);
        if (replica !== undefined) watch?.events.savingSnapshot(replica, snapshot, encodedAt);
        await save.call(this, snapshot);
      },
  );
  wrap(
    PartitionState.prototype,
    'freeze',
    (freeze) =>
      function (this: PartitionState) {
        const frozen = freeze.call(this);
        // Of the moment it was frozen at: it is encoded over later turns.
        const { appliedIndex } = this;
        return {
          *encode() {
            const bytes = yield* frozen.encode();
            watch?.encodedAt.set(bytes, appliedIndex);
            return bytes;
          },
        };
      },
  );
}

function wrapRaft(): void {
  wrap(
    Log.prototype,
    'termRuns',
    (termRuns) =>
      function (this: Log) {
        if (watch !== undefined) watch.making = this;
        return termRuns.call(this);
      },
  );
  wrap(
    Raft.prototype,
    'setMayVote',
    (set) =>
      function (this: Raft, may) {
        const replica = watch?.making === undefined ? undefined : watch.replicas.get(watch.making);
        if (replica !== undefined && watch?.cores.has(this) === false) {
          watch.cores.set(this, replica);
          watch.events.made(replica, this.inspect());
        }
        set.call(this, may);
      },
  );
  wrap(
    Raft.prototype,
    'ready',
    (ready) =>
      function (this: Raft) {
        const result = ready.call(this);
        if (watch === undefined) return result;
        const replica = watch.cores.get(this);
        watch.driven = replica;
        if (replica !== undefined && result !== undefined) watch.events.stepped(replica, this.inspect());
        return result;
      },
  );
  wrap(
    Raft.prototype,
    'hardStatePersisted',
    (persisted) =>
      function (this: Raft, hardState) {
        if (watch !== undefined) watch.driven = watch.cores.get(this);
        persisted.call(this, hardState);
      },
  );
}

function wrapPartition(): void {
  wrap(
    Replicator.prototype,
    'sendMessage',
    (send) =>
      function (this: Replicator, message) {
        const driven = watch?.driven;
        if (driven?.node === message.from) watch?.events.sending(driven, message);
        send.call(this, message);
      },
  );
  wrap(
    PartitionState.prototype,
    'apply',
    (apply) =>
      function (this: PartitionState, header, payload) {
        const result = apply.call(this, header, payload);
        watch?.events.applied(watch.currentNode(), header.groupId, header, this);
        return result;
      },
  );
}

function wrapCompaction(): void {
  wrap(
    Compactor.prototype,
    'run',
    (run) =>
      async function (this: Compactor, pass) {
        const tell = watch?.events.compacting();
        const outcome = await run.call(this, pass);
        tell?.(outcome);
        return outcome;
      },
  );
  wrap(
    Log.prototype,
    'rewrite',
    (rewrite) =>
      function (this: Log, first, last, plan) {
        if (plan.supply !== undefined) watch?.events.mendingAnew();
        return rewrite.call(this, first, last, plan);
      },
  );
}

/** What partitions are asked for and answer. */
function wrapVerbs(): void {
  wrap(
    Partition,
    'open',
    (open) =>
      async function (this: typeof Partition, options, world, told) {
        const mine = watch;
        const partition = await open.call(this, options, world, told);
        mine?.events.partitionOpened(mine.currentNode(), partition);
        return partition;
      },
  );
  wrap(
    Partition.prototype,
    'append',
    (append) =>
      function (this: Partition, batch, header, producer) {
        const answer = append.call(this, batch, header, producer);
        const mine = watch;
        if (mine === undefined) return answer;
        const { recordCount } = header;
        void answer.then((outcome) => mine.events.answered(this.groupId, { producer, recordCount, outcome }));
        return answer;
      },
  );
  wrap(
    Partition.prototype,
    'readIndex',
    (readIndex) =>
      function (this: Partition, mayLease) {
        const tell = watch?.events.readAsked(watch.currentNode(), this.groupId);
        const answer = readIndex.call(this, mayLease);
        if (tell !== undefined) void answer.then(tell);
        return answer;
      },
  );
  wrap(
    ProducerTable.prototype,
    'appended',
    (appended) =>
      function (this: ProducerTable, header) {
        appended.call(this, header);
        watch?.events.remembered(watch.currentNode(), header.groupId, this);
      },
  );
  wrap(
    Raft.prototype,
    'snapshotFor',
    (snapshotFor) =>
      function (this: Raft, peer, snapshot, membership) {
        const message = snapshotFor.call(this, peer, snapshot, membership);
        const replica = watch?.cores.get(this);
        if (replica !== undefined && message !== undefined) watch?.events.offering(replica, message);
        return message;
      },
  );
}

type Method<T, K extends keyof T> = T[K] extends (...args: infer A) => infer R ? (this: T, ...args: A) => R : never;

function wrap<T extends object, K extends keyof T & string>(
  prototype: T,
  name: K,
  make: (original: Method<T, K>) => Method<T, K>,
): void {
  const original = Object.getOwnPropertyDescriptor(prototype, name);
  if (original === undefined) throw new Error(`there is no ${name} to observe any more: bring the observer up to date`);
  Object.defineProperty(prototype, name, { ...original, value: make(original.value as Method<T, K>) });
}
