/**
 * Looks over the shoulder of every replica in the run: what its log accepts, cuts and makes durable, what its Raft core
 * becomes, what it applies. Done by wrapping methods of the production classes for the time of a run, so that production
 * has no hooks for tests. Nothing is changed on the way.
 */

import { Replicator } from '../../../src/partition/replicator.ts';
import { PartitionState } from '../../../src/partition/state.ts';
import { type Message, Raft } from '../../../src/raft/index.ts';
import type { RaftState } from '../../../src/raft/state.ts';
import {
  DataDirectory,
  type EntryHeader,
  type HardState,
  Log,
  type LogEntry,
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
  /** The log is empty and begins behind this point. */
  installed(replica: Observed, at: { readonly term: number; readonly index: number }): void;
  /** A snapshot is about to be kept. `encodedAt`: what its state had applied when it was frozen; undefined when it was made elsewhere. */
  savingSnapshot(replica: Observed, snapshot: Snapshot, encodedAt: number | undefined): void;
  /** Entries below this index are about to go. */
  trimming(replica: Observed, firstIndexToKeep: number): void;
  /** Something may have changed in this core. */
  stepped(replica: Observed, state: Readonly<RaftState>): void;
  /** A message without entries is about to leave. */
  sending(replica: Observed, message: Message): void;
  applied(node: string | undefined, group: number, header: EntryHeader, state: PartitionState): void;
}

/** Wraps for as long as `work` runs. */
export function observed<T>(events: ObserverEvents, currentNode: () => string | undefined, work: () => T): T {
  const replicas = new WeakMap<Log, Observed>();
  const cores = new WeakMap<Raft, Observed>();
  /** What a state had applied when it was frozen, by its bytes. */
  const encodedAt = new WeakMap<object, number>();
  /** The log whose Raft core is being made: asked for its term runs just before. */
  let making: Log | undefined;
  /** Whose core was driven last. What it has to say leaves in the same turn, before any other core is driven. */
  let driven: Observed | undefined;
  const restores = [
    wrap(
      DataDirectory.prototype,
      'openLog',
      (openLog) =>
        async function (this: DataDirectory, groupId, options) {
          let replica: Observed | undefined;
          const log = await openLog.call(this, groupId, {
            ...options,
            onFlushed: (at) => {
              if (replica !== undefined) events.flushed(replica, at);
              options.onFlushed(at);
            },
          });
          replica = { node: this.nodeId, group: groupId, log };
          replicas.set(log, replica);
          events.opened(replica);
          return log;
        },
    ),
    wrap(
      DataDirectory.prototype,
      'removeLog',
      (remove) =>
        function (this: DataDirectory, groupId) {
          events.removing(this.nodeId, groupId);
          return remove.call(this, groupId);
        },
    ),
    wrap(
      Log.prototype,
      'append',
      (append) =>
        function (this: Log, entries) {
          append.call(this, entries);
          const replica = replicas.get(this);
          if (replica !== undefined) events.appended(replica, entries);
        },
    ),
    wrap(
      Log.prototype,
      'truncateSuffix',
      (truncate) =>
        function (this: Log, from) {
          const replica = replicas.get(this);
          if (replica !== undefined) events.truncating(replica, from);
          truncate.call(this, from);
        },
    ),
    wrap(
      Log.prototype,
      'saveHardState',
      (save) =>
        async function (this: Log, hardState) {
          await save.call(this, hardState);
          const replica = replicas.get(this);
          if (replica !== undefined) events.hardStateSaved(replica, hardState);
        },
    ),
    wrap(
      Log.prototype,
      'installSnapshot',
      (install) =>
        async function (this: Log, snapshot) {
          await install.call(this, snapshot);
          const replica = replicas.get(this);
          if (replica !== undefined) events.installed(replica, snapshot);
        },
    ),
    wrap(
      Log.prototype,
      'saveSnapshot',
      (save) =>
        async function (this: Log, snapshot) {
          const replica = replicas.get(this);
          if (replica !== undefined) events.savingSnapshot(replica, snapshot, encodedAt.get(snapshot.state));
          await save.call(this, snapshot);
        },
    ),
    wrap(
      Log.prototype,
      'trimPrefix',
      (trim) =>
        async function (this: Log, firstIndexToKeep) {
          const replica = replicas.get(this);
          if (replica !== undefined) events.trimming(replica, firstIndexToKeep);
          return await trim.call(this, firstIndexToKeep);
        },
    ),
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
              encodedAt.set(bytes, appliedIndex);
              return bytes;
            },
          };
        },
    ),
    wrap(
      Log.prototype,
      'termRuns',
      (termRuns) =>
        function (this: Log) {
          making = this;
          return termRuns.call(this);
        },
    ),
    wrap(
      Raft.prototype,
      'setMayVote',
      (set) =>
        function (this: Raft, may) {
          const replica = making === undefined ? undefined : replicas.get(making);
          if (!cores.has(this) && replica !== undefined) cores.set(this, replica);
          set.call(this, may);
        },
    ),
    wrap(
      Raft.prototype,
      'ready',
      (ready) =>
        function (this: Raft) {
          const result = ready.call(this);
          const replica = cores.get(this);
          driven = replica;
          if (replica !== undefined && result !== undefined) events.stepped(replica, this.inspect());
          return result;
        },
    ),
    wrap(
      Raft.prototype,
      'hardStatePersisted',
      (persisted) =>
        function (this: Raft, hardState) {
          driven = cores.get(this);
          persisted.call(this, hardState);
        },
    ),
    wrap(
      Replicator.prototype,
      'sendMessage',
      (send) =>
        function (this: Replicator, message) {
          if (driven?.node === message.from) events.sending(driven, message);
          send.call(this, message);
        },
    ),
    wrap(
      PartitionState.prototype,
      'apply',
      (apply) =>
        function (this: PartitionState, header, payload) {
          const result = apply.call(this, header, payload);
          events.applied(currentNode(), header.groupId, header, this);
          return result;
        },
    ),
  ];
  try {
    return work();
  } finally {
    for (const restore of restores) restore();
  }
}

type Method<T, K extends keyof T> = T[K] extends (...args: infer A) => infer R ? (this: T, ...args: A) => R : never;

function wrap<T extends object, K extends keyof T & string>(
  prototype: T,
  name: K,
  make: (original: Method<T, K>) => Method<T, K>,
): () => void {
  const original = Object.getOwnPropertyDescriptor(prototype, name);
  if (original === undefined) throw new Error(`there is no ${name} to observe any more: bring the observer up to date`);
  Object.defineProperty(prototype, name, { ...original, value: make(original.value as Method<T, K>) });
  return () => Object.defineProperty(prototype, name, original);
}
