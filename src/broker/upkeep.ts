/**
 * What a node does by itself, now and then: retention, leaders back to where they were meant to be, damaged
 * entries mended, sealed segments scrubbed.
 * Driven by the broker's tick; each job has a period. Only leaders decide; what they decide goes through the log.
 */
import type { Env } from '../env.ts';
import type { Metrics } from '../metrics.ts';
import type { Partition } from '../partition/index.ts';
import type { CatalogPartition, CatalogTopic } from './catalog.ts';
import type { Host } from './host.ts';
import { isSealDue, trimTarget } from './retention.ts';
import type { Scrubber } from './scrubber.ts';

export interface UpkeepParts {
  readonly nodeId: string;
  readonly env: Env;
  readonly metrics: Metrics;
  readonly host: Host;
  readonly scrubber: Pick<Scrubber, 'tick'>;
  /** Whether a peer wants leaderships at all. */
  mayLead(peer: string): boolean;
}

const RETENTION_PERIOD_MS = 1_000;
/** Partitions looked at in one tick. */
const RETENTION_TURN_PARTITIONS = 100;
const BALANCE_PERIOD_MS = 2_000;
/** Each is an election: a node that comes back gets hundreds of leaderships one after the other. */
const BALANCE_TURN_TRANSFERS = 50;
const MEND_PERIOD_MS = 1_000;
/** After a transfer that did not come about, doubled each time: while one is tried, nothing can be appended. */
const BALANCE_RETRY_MS_MIN = 4_000;
const BALANCE_RETRY_MS_MAX = 300_000;
/** A peer is given back its leaderships once it has been up this long: one that flaps does not move them about. */
const SETTLED_MS = 3_000;
/** Of the catalog, which is no topic: its state is its snapshot. */
const CATALOG: Pick<CatalogTopic, 'retention' | 'compaction'> = {
  retention: { maxBytes: undefined, maxAgeMs: undefined, maxRecords: undefined },
  compaction: undefined,
};

export class Upkeep {
  readonly #parts: UpkeepParts;
  readonly #upSinceMs = new Map<string, number>();
  /** Transfers that were begun, by group, until the group is led elsewhere. */
  readonly #transfers = new Map<number, { retryMs: number; dueMs: number }>();
  #retentionDueMs = 0;
  /** Partitions that retention has still to look at in this round. */
  #round: Iterator<Partition> | undefined;
  #balanceDueMs = 0;
  #mendDueMs = 0;
  #isMending = false;

  constructor(parts: UpkeepParts) {
    this.#parts = parts;
  }

  peerUp(peer: string): void {
    this.#upSinceMs.set(peer, this.#parts.env.clock.monotonicMs());
    this.#transfers.clear();
  }

  peerDown(peer: string): void {
    this.#upSinceMs.delete(peer);
  }

  tick(): void {
    const nowMs = this.#parts.env.clock.monotonicMs();
    if (nowMs >= this.#retentionDueMs) {
      this.#retentionDueMs = nowMs + RETENTION_PERIOD_MS;
      this.#round ??= this.#parts.host.open();
      this.#parts.metrics.set('logdrive_partitions_resting', this.#parts.host.resting);
    }
    this.#retain();
    if (nowMs >= this.#balanceDueMs) {
      this.#balanceDueMs = nowMs + BALANCE_PERIOD_MS;
      this.#balance(nowMs);
    }
    const { logger } = this.#parts.env;
    if (nowMs >= this.#mendDueMs && !this.#isMending) {
      this.#mendDueMs = nowMs + MEND_PERIOD_MS;
      this.#mend().catch((error: unknown) => logger.error({ err: error }, 'mending damaged entries failed'));
    }
    this.#parts.scrubber.tick();
  }

  async #mend(): Promise<void> {
    this.#isMending = true;
    try {
      await this.#parts.host.mendAll();
    } finally {
      this.#isMending = false;
    }
  }

  /** Goes on with the round of retention that is under way: a node hosts many partitions, and each is looked at. */
  #retain(): void {
    for (let left = RETENTION_TURN_PARTITIONS; left > 0 && this.#round !== undefined; left -= 1) {
      const { value, done } = this.#round.next();
      if (done === true) this.#round = undefined;
      else this.#retainIn(value);
    }
  }

  /** Each replica seals its own segments; what may be read is for the leader to say, through the log. */
  #retainIn(partition: Partition): void {
    const { env, host } = this.#parts;
    const nowMs = env.clock.nowMs();
    const { retention, compaction } = host.catalog.topicOfGroup(partition.groupId) ?? CATALOG;
    const segments = partition.segments();
    // Whatever comes of either, the next round looks again.
    const rules = { logStart: partition.earliest, retention, compaction, nowMs };
    if (isSealDue(segments.at(-1)!, rules)) void partition.seal();
    if (!partition.isReadyLeader) return;
    const before = trimTarget(segments, retention, nowMs);
    if (before > partition.earliest) void partition.proposeTrim(Math.min(before, partition.tail));
  }

  #balance(nowMs: number): void {
    const { nodeId, mayLead } = this.#parts;
    const led = [...this.#led()];
    const groups = new Set(led.map(({ partition }) => partition.groupId));
    for (const groupId of this.#transfers.keys()) if (!groups.has(groupId)) this.#transfers.delete(groupId);
    let left = BALANCE_TURN_TRANSFERS;
    for (const { placed, partition } of led) {
      if (left === 0) return;
      const preferred = placed.replicas[0]!;
      const upSinceMs = this.#upSinceMs.get(preferred);
      if (preferred === nodeId || upSinceMs === undefined || nowMs - upSinceMs < SETTLED_MS) continue;
      if (mayLead(preferred) && partition.isInStep(preferred) && this.#transfer(partition, preferred, nowMs)) left -= 1;
    }
  }

  /** A replica that is damaged does not take over, and does not say so: each time it is asked more seldom. */
  #transfer(partition: Partition, to: string, nowMs: number): boolean {
    const before = this.#transfers.get(partition.groupId);
    if (before !== undefined && nowMs < before.dueMs) return false;
    const retryMs = before === undefined ? BALANCE_RETRY_MS_MIN : Math.min(before.retryMs * 2, BALANCE_RETRY_MS_MAX);
    this.#transfers.set(partition.groupId, { retryMs, dueMs: nowMs + retryMs });
    return partition.transferTo(to);
  }

  *#led(): Generator<{
    readonly topic: CatalogTopic;
    readonly placed: CatalogPartition;
    readonly partition: Partition;
  }> {
    const { host } = this.#parts;
    for (const topic of host.catalog.topics()) {
      for (const placed of topic.partitions) {
        const partition = host.get(placed.groupId);
        if (partition?.isReadyLeader === true) yield { topic, placed, partition };
      }
    }
  }
}
