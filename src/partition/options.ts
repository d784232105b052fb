/** What a partition is made of and what it reports. */

import type { DataDirectory, GroupId, LogEvent } from '../../storage/index.ts';
import type { Env } from '../env.ts';
import type { Metrics } from '../metrics.ts';
import type { LostAcks, Membership, NodeId, Pace, RaftStatus } from '../raft/index.ts';
import type { OneSupply, Supply, WantedEntry } from './entry-supply.ts';
import type { LeaseOptions } from './lease.ts';
import type { LostEntry } from './lost-entries.ts';
import type { SnapshotPace } from './snapshot-pace.ts';
import type { StateMachine } from './state.ts';
import type { CacheBudget } from './tail-cache.ts';
import type { Transport } from './transport.ts';

export interface RaftTiming {
  /** Election timeouts are drawn from [min, max), in ticks. */
  readonly electionTicksMin: number;
  readonly electionTicksMax: number;
  readonly heartbeatTicks: number;
  /** An idle group rests after so many ticks. 0 or absent: never. */
  readonly restTicks?: number;
}

export interface PartitionOptions {
  readonly groupId: GroupId;
  readonly nodeId: NodeId;
  readonly clusterId: string;
  /** The configuration at birth, as the catalog has it; a membership entry of the log replaces it. */
  readonly membership: Membership;
  readonly timing: RaftTiming;
  /** Ticks since the node's last common heartbeat. Absent: this partition keeps its own time. */
  heartbeatPhase?(): number;
  /** Whether one more partition of the node may begin to campaign in this tick. Absent: always. */
  mayCampaignNow?(): boolean;
  /** undefined: this node takes no leases. */
  readonly lease: LeaseOptions | undefined;
  /** What this node promises the leaders it follows, for their leases (R8), ms; 0: nothing. */
  readonly promiseMs: number;
  readonly segmentBytes: number;
  /** Offset of the first record of a log that is made now; one that exists goes on as it is. */
  readonly firstOffset?: number;
  /** Entries of one append message together. */
  readonly appendBytesMax: number;
  /** Appends sent to one follower and not answered. */
  readonly inflightBytesMax: number;
  /** Proposed and not committed: above it producers are refused with 'overloaded' (R23). */
  readonly uncommittedBytesMax: number;
  /** The catalog's machine: the live one first, then a fresh one each time a past state is rebuilt. */
  readonly createMachine: (() => StateMachine) | undefined;
}

export interface PartitionWorld {
  readonly env: Env;
  readonly metrics: Metrics;
  readonly transport: Transport;
  readonly directory: DataDirectory;
  readonly cacheBudget: CacheBudget;
  /** Shared by all partitions of the node. Absent: snapshots leave as fast as followers take them. */
  readonly snapshotPace?: SnapshotPace;
  /**
   * Asks the peers for an entry whose bytes are damaged here. Entries come verified by their own checksums.
   */
  fetchEntry(groupId: GroupId, wanted: WantedEntry): Promise<Supply>;
}

export interface PartitionEvents {
  /** Role, term or known leader changed. */
  onStatus(status: RaftStatus): void;
  /** How often the group is to be ticked from here on; 'ticks' when it is opened. */
  onPace(pace: Pace): void;
  /** Entries were applied: high watermark, log start or machine state may have moved. */
  onApplied(): void;
  /** The log is open and its state being brought up to date, which may wait for peers: until then, entries for peers
   *  are read like this. */
  onReplaying(readEntry: (wanted: WantedEntry) => Promise<OneSupply>): void;
  /** The node is stopping: nothing waits for peers any more. */
  isStopping(): boolean;
  /** What the log did, for metrics and the log of the node. */
  onLogEvent(event: LogEvent): void;
  /** Leader: a follower's disk lost entries it had acked; it is to be told (R21). */
  onLostAcks(lost: LostAcks): void;
  /**
   * The gravest entry that is damaged here and that no peer supplied changed; undefined when there is none any more.
   */
  onLostEntry(lost: LostEntry | undefined): void;
  /**
   * This log is of no use any more, and the group has shown that it does without it: it is to be closed, set aside, and
   * begun anew. It is marked.
   */
  onGivenUp(error: Error): void;
  /** This replica takes part again. */
  onRejoined(): void;
  /** The partition has stopped itself for good, for a reason that has a name; it is to be closed. */
  onBroken(error: Error): void;
  /** The log cannot write for now (`cause`) and refuses entries, or can again. */
  onFull(isFull: boolean, cause: Error | undefined): void;
  /** Something failed that the partition goes on without; to be logged. */
  onTrouble(what: string, error: unknown): void;
}
