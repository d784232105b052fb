/**
 * Replicas that lost what they may have promised: those of this node ask their leaders to be taken back, and leaders on
 * this node tell followers whose disks lost what they had acked (R19, R21). What taking back means and why it is safe:
 * src/partition/rejoining.ts and docs/raft.md, "Rejoining".
 */
import type { Env } from '../env.ts';
import type { Metrics } from '../metrics.ts';
import { isMember, type LostAcks, type Partition } from '../partition/index.ts';
import { LogError } from '../protocol/index.ts';
import type { Host } from './host.ts';
import { decodeCall, encodeCall, type LostAcksCall, type RejoinAnswer, type RejoinCall } from './peer-calls.ts';
import type { Peers } from './peers.ts';

export interface RejoinsParts {
  readonly env: Env;
  readonly metrics: Metrics;
  readonly peers: Peers;
  readonly host: Host;
}

const PERIOD_MS = 500;
const CALL_TIMEOUT_MS = 10_000;

/** A marker whose entry a leader has committed. */
interface Asked {
  readonly marker: string;
  readonly term: number;
  /** Applied here without the marker having been seen: it lies below a snapshot. */
  readonly index: number;
}

export class Rejoins {
  readonly #parts: RejoinsParts;
  /** By group. */
  readonly #asked = new Map<number, Asked>();
  readonly #asking = new Set<number>();
  /** Followers to be told, by group, until they know. */
  readonly #lost = new Map<number, Set<string>>();
  #dueMs = 0;

  constructor(parts: RejoinsParts) {
    this.#parts = parts;
  }

  /** A leader on this node found that a follower's disk lost what it had acked. */
  found(groupId: number, { peer, acked, lastIndex }: LostAcks): void {
    const { env, metrics } = this.#parts;
    const what = `${peer} acked entries up to ${acked} and now ends at ${lastIndex}: its disk lost them`;
    env.logger.error({ group: groupId, peer, acked, lastIndex }, what);
    metrics.add('logdrive_raft_lost_acks_total', 1, { peer });
    const peers = this.#lost.get(groupId) ?? new Set();
    this.#lost.set(groupId, peers.add(peer));
    this.#tell(groupId, peers);
  }

  /** A replica of this node lost its log, or takes part again. */
  changed(groupId: number, isRejoining: boolean): void {
    const { metrics, env } = this.#parts;
    if (isRejoining) metrics.add('logdrive_wal_lost_logs_total');
    else env.logger.info({ group: groupId }, 'a replica has rejoined: it takes part again');
  }

  tick(): void {
    const { env, host } = this.#parts;
    const nowMs = env.clock.monotonicMs();
    if (nowMs < this.#dueMs) return;
    this.#dueMs = nowMs + PERIOD_MS;
    for (const partition of host.open()) {
      const { groupId, rejoining } = partition;
      const marker = rejoining.poll();
      if (marker === undefined) this.#asked.delete(groupId);
      else if (this.#asked.get(groupId)?.marker === marker) rejoining.committed(marker);
      // That may have closed it.
      if (marker !== undefined && !partition.isClosed) this.#ask(partition, marker);
    }
    for (const [groupId, peers] of this.#lost) this.#tell(groupId, peers);
  }

  #ask(partition: Partition, marker: string): void {
    const { peers, env } = this.#parts;
    const { groupId, term, leader } = partition;
    if (leader === undefined || this.#asking.has(groupId)) return;
    const asked = this.#asked.get(groupId);
    // On its way: asked for again when it turns out not to have come, or under another leader.
    if (asked?.marker === marker && asked.term === term && asked.index > partition.status.appliedIndex) return;
    this.#asking.add(groupId);
    const call: RejoinCall = { groupId, marker };
    peers
      .call(leader, 'rejoin', encodeCall(call), { timeoutMs: CALL_TIMEOUT_MS })
      .then((body) => this.#asked.set(groupId, { marker, term, index: decodeCall<RejoinAnswer>(body).head.index }))
      .catch((error: unknown) => {
        if (!LogError.is(error)) throw error;
        env.logger.debug({ group: groupId, leader, err: error }, 'asking to rejoin failed; it is asked again');
      })
      .finally(() => this.#asking.delete(groupId));
  }

  #tell(groupId: number, lost: Set<string>): void {
    const { peers, host, env } = this.#parts;
    const partition = host.get(groupId);
    for (const peer of lost) {
      if (partition?.rejoining.isUnaware(peer) !== true) {
        lost.delete(peer);
        continue;
      }
      const call: LostAcksCall = { groupId, term: partition.term };
      peers.call(peer, 'lost-acks', encodeCall(call), { timeoutMs: CALL_TIMEOUT_MS }).catch((error: unknown) => {
        if (!LogError.is(error)) throw error;
        env.logger.debug({ group: groupId, peer, err: error }, 'a peer was not told of its loss; it is told again');
      });
    }
    if (lost.size === 0) this.#lost.delete(groupId);
  }

  async onAsked(from: string, method: 'rejoin' | 'lost-acks', body: Uint8Array): Promise<Uint8Array[]> {
    if (method === 'rejoin') return encodeCall(await this.#onRejoin(from, decodeCall<RejoinCall>(body).head));
    this.#onLostAcks(from, decodeCall<LostAcksCall>(body).head);
    return encodeCall({});
  }

  /** A replica elsewhere asks this leader to be taken back. */
  async #onRejoin(from: string, { groupId, marker }: RejoinCall): Promise<RejoinAnswer> {
    const partition = this.#parts.host.get(groupId);
    if (partition?.isReadyLeader !== true) throw new LogError('NOT_LEADER');
    if (!isMember(partition.membership, from)) {
      throw new LogError('INVALID', `${from} is no replica of group ${groupId}.`);
    }
    const outcome = await partition.rejoining.propose(from, marker);
    if (outcome.kind !== 'appended') throw new LogError('NOT_YET', 'The marker could not be put into the log now.');
    // Committed by now: what the asking replica counts on.
    return { index: outcome.index };
  }

  /** A leader elsewhere says that this node lost what it had acked. */
  #onLostAcks(from: string, { groupId, term }: LostAcksCall): void {
    const partition = this.#parts.host.get(groupId);
    // Only the leader of this very term can know; an older word is about what was settled since.
    if (partition === undefined || partition.term !== term || partition.leader !== from) return;
    partition.rejoining.lose(`the disk lost entries this replica had acked to ${from}`);
  }
}
