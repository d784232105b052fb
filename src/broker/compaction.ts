/**
 * Key compaction on one node: which partition is next, how fast it may go, and what the replicas tell each other of it.
 * One pass at a time over all partitions, at a bounded number of bytes a second; each replica compacts its own log. The
 * leader asks the others how far they came, and says through the log what all have reached: only below that may
 * tombstones be forgotten (partition/compactor.ts).
 */
import type { Env } from '../env.ts';
import type { Metrics } from '../metrics.ts';
import { type CompactionOutcome, KeyMap, type Partition } from '../partition/index.ts';
import { LogError } from '../protocol/index.ts';
import type { Gossip } from './gossip.ts';
import type { Host } from './host.ts';
import type { BrokerOptions, BrokerWorld, CompactionPeriods } from './options.ts';
import { decodeCall, encodeCall, type StatusAnswer } from './peer-calls.ts';
import type { Peers } from './peers.ts';
import type { Compaction } from './verbs.ts';

export interface CompactionDriverParts {
  readonly nodeId: string;
  readonly env: Env;
  readonly metrics: Metrics;
  readonly peers: Peers;
  readonly host: Host;
  readonly bytesPerSecond: number;
  readonly mapBytes: number;
  readonly gossip: Gossip;
  readonly periods: CompactionPeriods;
}

const PERIODS: CompactionPeriods = { lookMs: 2_000, retryMs: 60_000, tellMs: 5_000 };
const CALL_TIMEOUT_MS = 2_000;

export class CompactionDriver {
  readonly #parts: CompactionDriverParts;
  /** Groups whose last pass was given up, until when they wait. */
  readonly #waits = new Map<number, number>();
  #lookDueMs = 0;
  #tellDueMs = 0;
  #isRunning = false;
  #isTelling = false;
  #isStopped = false;

  constructor(parts: CompactionDriverParts) {
    this.#parts = parts;
  }

  static of(options: BrokerOptions, world: BrokerWorld, host: Host, gossip: Gossip): CompactionDriver {
    const { nodeId, compactionBytesPerSecond: bytesPerSecond, compactionMapBytes: mapBytes } = options;
    const { compactionPeriods: periods = PERIODS } = options;
    const { env, metrics, peers } = world;
    return new CompactionDriver({ nodeId, env, metrics, peers, host, gossip, bytesPerSecond, mapBytes, periods });
  }

  tick(): void {
    const { env, periods } = this.#parts;
    const nowMs = env.clock.monotonicMs();
    if (nowMs >= this.#lookDueMs && !this.#isRunning) {
      this.#lookDueMs = nowMs + periods.lookMs;
      void this.#compactNext();
    }
    if (nowMs >= this.#tellDueMs && !this.#isTelling) {
      this.#tellDueMs = nowMs + periods.tellMs;
      void this.#tell();
    }
  }

  /** Begins nothing more; a pass that is under way ends with its log. */
  stop(): void {
    this.#isStopped = true;
  }

  async #compactNext(): Promise<void> {
    const { env } = this.#parts;
    const nowMs = env.clock.monotonicMs();
    for (const { partition, policy } of this.#compacted()) {
      const { groupId, compactor } = partition;
      if ((this.#waits.get(groupId) ?? 0) > nowMs || !compactor.isDue(policy, env.clock.nowMs())) continue;
      this.#isRunning = true;
      try {
        await this.#compact(partition, policy);
      } finally {
        this.#isRunning = false;
      }
      // Others may be due as well: look again at the next tick.
      this.#lookDueMs = 0;
      return;
    }
  }

  async #compact(partition: Partition, policy: Compaction): Promise<void> {
    const { env, mapBytes } = this.#parts;
    const { groupId, compactor } = partition;
    const map = new KeyMap(mapBytes);
    const startedMs = env.clock.monotonicMs();
    try {
      const pace = (bytes: number): Promise<void> => this.#pace(bytes);
      const outcome = await compactor.run({ policy, map, nowMs: env.clock.nowMs(), pace });
      this.#ended(groupId, outcome, env.clock.monotonicMs() - startedMs);
    } catch (error) {
      // A failed write has ended the log, and with it the process, by its own way (W4).
      env.logger.error({ group: groupId, err: error }, 'compaction failed');
      this.#waits.set(groupId, env.clock.monotonicMs() + this.#parts.periods.retryMs);
    }
  }

  #ended(groupId: number, outcome: CompactionOutcome, tookMs: number): void {
    const { env, metrics } = this.#parts;
    metrics.add('logdrive_compaction_runs_total', 1, { result: outcome.kind });
    if (outcome.kind === 'done') {
      metrics.add('logdrive_compaction_reclaimed_bytes_total', Math.max(0, outcome.reclaimedBytes));
      metrics.add('logdrive_compaction_opaque_batches_total', outcome.opaqueBatches);
      env.logger.info({ group: groupId, ...outcome, tookMs: Math.round(tookMs) }, 'compacted');
      return;
    }
    this.#waits.set(groupId, env.clock.monotonicMs() + this.#parts.periods.retryMs);
    env.logger.info({ group: groupId, ...outcome }, 'compaction was given up; it begins anew later');
  }

  /** Waits as long as that many bytes take at the rate that is allowed, and at least until the end of this turn. */
  #pace(bytes: number): Promise<void> {
    const delayMs = (1_000 * bytes) / this.#parts.bytesPerSecond;
    return new Promise((resolve) => this.#parts.env.timers.after(delayMs, resolve));
  }

  /** For each compacted partition led here: whether all replicas came further than the log says. */
  async #tell(): Promise<void> {
    this.#isTelling = true;
    try {
      for (const { partition } of this.#compacted()) {
        const { cleanOffset, compactedByAll } = partition.compactor;
        if (!partition.isReadyLeader || cleanOffset <= compactedByAll) continue;
        const reached = await this.#reachedByAll(partition);
        if (reached > compactedByAll && partition.isReadyLeader) await partition.proposeCompacted(reached);
      }
    } finally {
      this.#isTelling = false;
    }
  }

  /** 0 when any replica cannot be asked. */
  async #reachedByAll(partition: Partition): Promise<number> {
    const { nodeId, peers, gossip, env } = this.#parts;
    const { groupId, compactor } = partition;
    let reached = compactor.cleanOffset;
    const { voters, votersOutgoing, learners } = partition.membership;
    for (const peer of new Set([...voters, ...votersOutgoing, ...learners])) {
      if (peer === nodeId) continue;
      try {
        const call = encodeCall(gossip.call([groupId]));
        const answer = await peers.call(peer, 'status', call, { timeoutMs: CALL_TIMEOUT_MS });
        const [status] = decodeCall<StatusAnswer>(answer).head.groups;
        reached = Math.min(reached, status?.cleanOffset ?? 0);
      } catch (error) {
        if (!LogError.is(error)) throw error;
        env.logger.debug({ group: groupId, peer, err: error }, 'a replica cannot say how far it is compacted');
        return 0;
      }
    }
    return reached;
  }

  *#compacted(): Generator<{ readonly partition: Partition; readonly policy: Compaction }> {
    const { host } = this.#parts;
    for (const topic of host.catalog.topics()) {
      if (topic.compaction === undefined) continue;
      for (const { groupId } of topic.partitions) {
        const partition = host.get(groupId);
        if (partition !== undefined && !this.#isStopped) yield { partition, policy: topic.compaction };
      }
    }
  }
}
