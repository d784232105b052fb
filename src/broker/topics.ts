/**
 * Verbs about topics and their partitions: create, list, describe, delete, transfer, trim, snapshot. Changes are
 * commands in the catalog's log, proposed by its leader on behalf of whoever asks; questions are answered from this
 * node's copy of the catalog.
 */
import type { Env } from '../env.ts';
import type { AppendOutcome, Partition } from '../partition/index.ts';
import { LogError, PARTITIONS_PER_TOPIC_MAX, topicNameProblem } from '../protocol/index.ts';
import {
  areFirstOffsets,
  CATALOG_GROUP,
  type CatalogCommand,
  type CatalogOutcome,
  type CatalogTopic,
  commandProblem,
} from './catalog.ts';
import { withDeadline } from './deadline.ts';
import type { Gossip } from './gossip.ts';
import type { Host } from './host.ts';
import type { Leaders } from './leaders.ts';
import {
  decodeCall,
  encodeCall,
  type GroupCall,
  type SnapshotAnswer,
  type StatusAnswer,
  type TransferCall,
  type TrimCall,
} from './peer-calls.ts';
import type { PeerMethod, Peers } from './peers.ts';
import type { Routes } from './routes.ts';
import type { CreateTopicRequest, PartitionDescription, TopicDescription } from './verbs.ts';
import { waitApplied } from './waits.ts';

export interface TopicsParts {
  readonly nodeId: string;
  readonly env: Env;
  readonly peers: Peers;
  readonly host: Host;
  readonly leaders: Leaders;
  readonly routes: Routes;
  readonly gossip: Gossip;
}

type StatusOf = StatusAnswer['groups'][number];

const REPLICAS_DEFAULT = 3;
/** All of one administrative verb: finding the leader, the change, and for a new topic its first elections. */
const VERB_TIMEOUT_MS = 10_000;
const RETRY_MS = 50;

export class Topics {
  readonly #parts: TopicsParts;

  constructor(parts: TopicsParts) {
    this.#parts = parts;
  }

  async create(request: CreateTopicRequest): Promise<TopicDescription> {
    const { host, routes } = this.#parts;
    const { name, partitions, retention, compaction, firstOffsets } = request;
    routes.expectMember();
    const nodes = host.catalog.nodes.filter(({ state }) => state === 'member').length;
    const replicas = request.replicas ?? Math.min(REPLICAS_DEFAULT, nodes);
    const problem = topicNameProblem(name);
    if (problem !== undefined) throw invalid(problem);
    if (!isCount(partitions, PARTITIONS_PER_TOPIC_MAX)) {
      throw invalid(`A topic has 1 to ${PARTITIONS_PER_TOPIC_MAX} partitions, not ${partitions}.`);
    }
    if (!isCount(replicas, nodes)) {
      throw invalid(`A partition has 1 to ${nodes} replicas in this cluster of ${nodes}, not ${replicas}.`);
    }
    if (![retention.maxBytes, retention.maxAgeMs, retention.maxRecords].every(isBound)) {
      throw invalid('Retention bounds are whole numbers above 0.');
    }
    if (!isBound(compaction?.tombstoneRetentionMs))
      throw invalid('Tombstones are kept for a whole number of ms above 0.');
    if (firstOffsets !== undefined && !areFirstOffsets(firstOffsets, partitions)) {
      throw invalid(`First offsets are whole numbers up to 2^52, one for each of the ${partitions} partitions.`);
    }
    const deadlineMs = this.#deadline();
    const command = { kind: 'create-topic', name, partitions, replicas, retention, compaction, firstOffsets } as const;
    const outcome = await this.change(command, deadlineMs);
    if (outcome === 'exists')
      throw new LogError('TOPIC_EXISTS', `Topic "${name}" exists.`, { details: { topic: name } });
    if (outcome !== 'done') throw invalid(`The catalog refused topic "${name}": ${outcome}.`);
    const topic = routes.topic({ name });
    for (const { groupId, partition } of topic.partitions) {
      await routes.waitForLeader(groupId, deadlineMs - this.#now());
      if (routes.leader(groupId) === undefined) {
        // The topic is there; only its first leader is late.
        throw new LogError('TIMEOUT', `Topic "${name}" was created, but its partition ${partition} has no leader yet.`);
      }
    }
    return this.describe(name);
  }

  async delete(name: string): Promise<void> {
    this.#parts.routes.expectMember();
    const outcome = await this.change({ kind: 'delete-topic', name }, this.#deadline());
    if (outcome === 'not-found') {
      throw new LogError('TOPIC_NOT_FOUND', `There is no topic "${name}".`, { details: { topic: name } });
    }
  }

  /** Offsets are as the leaders report them. */
  async describe(name: string): Promise<TopicDescription> {
    const topic = this.#parts.routes.topic({ name });
    return this.#description(topic, await this.#askLeaders(topic));
  }

  /** Offsets are as this node's replicas know them; 0 where it has none. */
  list(): readonly TopicDescription[] {
    this.#parts.routes.expectMember();
    return this.#parts.host.catalog.topics().map((topic) => this.#description(topic, new Map()));
  }

  async transferLeader(name: string, partition: number, to: string): Promise<void> {
    const { routes, env } = this.#parts;
    const route = routes.partition({ name }, partition);
    const { groupId, replicas } = route.partition;
    if (!replicas.includes(to))
      throw invalid(`Node "${to}" has no replica of partition ${partition} of topic "${name}".`);
    const deadlineMs = this.#deadline();
    while (routes.leader(groupId) !== to) {
      if (this.#now() >= deadlineMs) throw new LogError('TIMEOUT', `Node "${to}" did not take over in time.`);
      await this.#askLeader(groupId, 'transfer', { groupId, to } satisfies TransferCall, deadlineMs);
      await new Promise<void>((resolve) => env.timers.after(RETRY_MS, resolve));
    }
  }

  async trim(name: string, partition: number, before: number): Promise<void> {
    const { groupId } = this.#parts.routes.partition({ name }, partition).partition;
    await this.#askLeader(groupId, 'trim', { groupId, before } satisfies TrimCall, this.#deadline());
  }

  async takeSnapshot(name: string, partition: number): Promise<SnapshotAnswer> {
    const { groupId } = this.#parts.routes.partition({ name }, partition).partition;
    const answer = await this.#askLeader(groupId, 'snapshot', { groupId } satisfies GroupCall, this.#deadline());
    return decodeCall<SnapshotAnswer>(answer).head;
  }

  /** A question for the leader of a group, answered on the node that leads it. */
  async onAsked(method: PeerMethod, body: Uint8Array): Promise<readonly Uint8Array[]> {
    const { head } = decodeCall<GroupCall>(body);
    const partition = this.#parts.host.get(head.groupId);
    if (partition === undefined || !partition.isReadyLeader) throw new LogError('NOT_LEADER');
    switch (method) {
      case 'catalog':
        return encodeCall(await this.#propose(partition, (head as CatalogCall).command));
      case 'transfer':
        partition.transferTo((head as TransferCall).to);
        return encodeCall({});
      case 'trim':
        return this.#trimHere(partition, (head as TrimCall).before);
      case 'snapshot':
        return this.#snapshotHere(partition);
      default:
        throw new LogError('UNSUPPORTED', `A question this version does not know: ${method}.`);
    }
  }

  async #trimHere(partition: Partition, before: number): Promise<readonly Uint8Array[]> {
    const { earliest, tail } = partition;
    if (!Number.isSafeInteger(before) || before < 0) throw invalid(`Cannot trim before ${before}: no offset is that.`);
    if (before > tail) {
      throw new LogError('OUT_OF_RANGE', `Cannot trim before ${before}: the tail is ${tail}.`, {
        details: { offset: before, earliest, tail },
      });
    }
    // At or below the log start there is nothing to do, and saying so again must not fail.
    if (before > earliest) refuse(await partition.proposeTrim(before));
    return encodeCall({});
  }

  async #snapshotHere(partition: Partition): Promise<readonly Uint8Array[]> {
    const outcome = await partition.takeSnapshot();
    // Whoever asks looks for the leader again: this node is about to go, or the topic is.
    if (outcome.kind === 'closed') throw new LogError('NOT_LEADER');
    if (outcome.kind === 'full') throw new LogError('STORAGE_FULL');
    if (outcome.kind === 'damaged') {
      throw new LogError('STORAGE_CORRUPT', `No snapshot is taken of a damaged log: ${outcome.what}`);
    }
    const { snapshot } = outcome;
    if (snapshot === undefined) throw invalid('The partition holds nothing to take a snapshot of.');
    return encodeCall({ index: snapshot.index, nextOffset: snapshot.nextOffset } satisfies SnapshotAnswer);
  }

  async #propose(catalog: Partition, command: CatalogCommand): Promise<CatalogAnswer> {
    const problem = commandProblem(command);
    if (problem !== undefined)
      throw new LogError('UNSUPPORTED', `A catalog command that is ${problem} to this version.`);
    // Deleting makes room, so it goes through on a full disk.
    const appended = refuse(await catalog.proposeCommand(command, command.kind === 'delete-topic'));
    return { outcome: appended.result as CatalogOutcome, index: appended.index };
  }

  /** Has the catalog's leader append a command; the outcome is that of applying it, here as well: whoever is told of a
   *  change finds it on this node. */
  async change(command: CatalogCommand, deadlineMs: number = this.#deadline()): Promise<CatalogOutcome> {
    const call: CatalogCall = { groupId: CATALOG_GROUP, command };
    const answer = await this.#askLeader(CATALOG_GROUP, 'catalog', call, deadlineMs);
    const { outcome, index } = decodeCall<CatalogAnswer>(answer).head;
    await this.#applied(index, deadlineMs);
    return outcome;
  }

  /** Resolves when this node's catalog has come as far. */
  async #applied(index: number, deadlineMs: number): Promise<void> {
    const { host, env } = this.#parts;
    for (;;) {
      const catalog = host.get(CATALOG_GROUP);
      if (catalog !== undefined) await waitApplied(env.timers, catalog, index, deadlineMs - this.#now());
      if (catalog !== undefined && catalog.appliedIndex >= index) return;
      if (this.#now() >= deadlineMs)
        throw new LogError('TIMEOUT', 'The change was made, but this node has not heard of it yet.');
      // Its log is being begun anew, or the node stops.
      await new Promise<void>((resolve) => env.timers.after(RETRY_MS, resolve));
    }
  }

  /** Asks again while nobody leads; stops at the first failure that may have had an effect. */
  async #askLeader(groupId: number, method: PeerMethod, call: object, deadlineMs: number): Promise<Uint8Array> {
    const { nodeId, routes, peers, env } = this.#parts;
    for (;;) {
      const leftMs = deadlineMs - this.#now();
      if (leftMs <= 0) throw routes.noLeader('No leader was found in time; nothing was changed.');
      await routes.waitForLeader(groupId, leftMs);
      const leader = routes.leader(groupId);
      if (leader === undefined) continue;
      const body = encodeCall(call);
      try {
        if (leader === nodeId) {
          const asked = this.onAsked(method, Buffer.concat(body));
          const answer = await withDeadline(env.timers, leftMs, asked, () => new LogError('TIMEOUT'));
          return Buffer.concat(answer);
        }
        return await peers.call(leader, method, body, { timeoutMs: Math.max(1, deadlineMs - this.#now()) });
      } catch (error) {
        if (!LogError.is(error) || error.outcome !== 'none') throw error;
        if (error.code !== 'NOT_LEADER' && error.code !== 'CONNECTION' && error.code !== 'NO_LEADER') throw error;
        await new Promise<void>((resolve) => env.timers.after(RETRY_MS, resolve));
      }
    }
  }

  /** One question a node that leads any of the partitions. A node that cannot be asked is left out. */
  async #askLeaders(topic: CatalogTopic): Promise<ReadonlyMap<number, StatusOf>> {
    const { nodeId, routes, peers } = this.#parts;
    const byLeader = new Map<string, number[]>();
    for (const { groupId } of topic.partitions) {
      const leader = routes.leader(groupId);
      if (leader !== undefined && leader !== nodeId) byLeader.set(leader, [...(byLeader.get(leader) ?? []), groupId]);
    }
    const known = new Map<number, StatusOf>();
    const asked = [...byLeader].map(async ([leader, groups]) => {
      const call = encodeCall(this.#parts.gossip.call(groups));
      const answer = await peers.call(leader, 'status', call, { timeoutMs: 1_000 });
      for (const status of decodeCall<StatusAnswer>(answer).head.groups) known.set(status.groupId, status);
    });
    await Promise.allSettled(asked);
    return known;
  }

  #description(topic: CatalogTopic, known: ReadonlyMap<number, StatusOf>): TopicDescription {
    const partitions = topic.partitions.map(({ partition, groupId, replicas }): PartitionDescription => {
      const leadership = this.#parts.leaders.get(groupId);
      const status = known.get(groupId) ?? this.statusOf(groupId);
      return {
        partition,
        leader: leadership?.leader,
        term: leadership?.term ?? 0,
        replicas,
        earliest: status?.earliest ?? 0,
        tail: status?.tail ?? 0,
        state: status === undefined ? 'unknown' : status.isDamaged ? 'damaged' : 'ok',
      };
    });
    const { name, id, retention, compaction } = topic;
    return { name, id, partitions, retention, compaction };
  }

  /** A hosted group's offsets. */
  statusOf(groupId: number): StatusOf | undefined {
    const { host } = this.#parts;
    if (host.breakage(groupId) !== undefined) return { groupId, earliest: 0, tail: 0, isDamaged: true, cleanOffset: 0 };
    const partition = host.get(groupId);
    if (partition === undefined && host.lostEntry(groupId) !== undefined)
      return { groupId, earliest: 0, tail: 0, isDamaged: true, cleanOffset: 0 };
    if (partition === undefined) return undefined;
    const { earliest, tail, damage } = partition.status;
    const { cleanOffset } = partition.compactor;
    return { groupId, earliest, tail, isDamaged: damage.length > 0, cleanOffset };
  }

  #now(): number {
    return this.#parts.env.clock.monotonicMs();
  }

  #deadline(): number {
    return this.#now() + VERB_TIMEOUT_MS;
  }
}

interface CatalogCall extends GroupCall {
  readonly command: CatalogCommand;
}

interface CatalogAnswer {
  readonly outcome: CatalogOutcome;
  /** Of the command's entry in the catalog. */
  readonly index: number;
}

/** What was appended, or the error that says why not. */
function refuse(outcome: AppendOutcome): Extract<AppendOutcome, { kind: 'appended' }> {
  if (outcome.kind === 'appended') return outcome;
  if (outcome.kind === 'unknown') {
    throw new LogError('NOT_LEADER', 'Leadership was lost while the change waited for a majority: it may yet happen.', {
      outcome: 'unknown',
    });
  }
  throw new LogError(outcome.kind === 'full' ? 'STORAGE_FULL' : 'NOT_LEADER');
}

function isCount(value: number, max: number): boolean {
  return Number.isSafeInteger(value) && value >= 1 && value <= max;
}

function isBound(value: number | undefined): boolean {
  return value === undefined || (Number.isSafeInteger(value) && value >= 1);
}

function invalid(what: string): LogError {
  return new LogError('INVALID', what);
}
