/**
 * The catalog: which nodes make up the cluster and which topics there are. It is the state machine of group 0, the
 * partition that every node hosts; what is here is the same on every node that applied the same entries.
 *
 * Deterministic: no clock, no chance; a command that breaks a rule changes nothing, and its outcome is told to whoever
 * proposed it (commands are JSON, written by encodeControl).
 */
import { type StateMachine, UnsupportedEntry } from '../partition/index.ts';
import { PARTITIONS_PER_TOPIC_MAX, TOPICS_MAX, topicNameProblem } from '../protocol/index.ts';
import type { CatalogNode, CatalogOutcome, CatalogPartition, CatalogTopic } from './catalog-shapes.ts';
import {
  type CatalogMember,
  foundingMember,
  isRosterCommandSound,
  performOnRoster,
  placeable,
  type Roster,
  type RosterCommand,
} from './roster.ts';
import type { Compaction, Retention } from './verbs.ts';

export type { CatalogNode, CatalogOutcome, CatalogPartition, CatalogTopic };

/** The catalog's own Raft group; topic partitions count from 1. */
export const CATALOG_GROUP = 0;

export interface BirthCommand {
  readonly kind: 'birth';
  readonly clusterId: string;
  readonly nodes: readonly CatalogNode[];
}

export type CatalogCommand =
  | BirthCommand
  | {
      readonly kind: 'create-topic';
      readonly name: string;
      readonly partitions: number;
      readonly replicas: number;
      /** One a partition; absent: every partition begins at 0. */
      readonly firstOffsets?: readonly number[] | undefined;
      readonly retention: Partial<Retention>;
      readonly compaction?: Compaction | undefined;
    }
  | { readonly kind: 'delete-topic'; readonly name: string }
  | RosterCommand;

/** What a founding member that has nothing yet is told: enough to write the same first entry. */
export interface BirthCall {
  readonly birth: BirthCommand;
  readonly bornAtMs: number;
}

interface State extends Roster {
  /** The cluster's first entry; it names cluster and founding members. */
  founding: BirthCall | undefined;
  nextGroupId: number;
}

export class Catalog implements StateMachine {
  #state: State = { founding: undefined, nextGroupId: CATALOG_GROUP + 1, topics: [], members: [], gone: [] };
  readonly #byName = new Map<string, CatalogTopic>();
  readonly #byId = new Map<number, CatalogTopic>();
  readonly #byGroup = new Map<number, CatalogTopic>();
  /** Grows with each change, so that whoever derives something from the catalog knows when to do it again. */
  #version = 0;

  get version(): number {
    return this.#version;
  }

  get founding(): BirthCall | undefined {
    return this.#state.founding;
  }

  get nodes(): readonly CatalogMember[] {
    return this.#state.members;
  }

  node(id: string): CatalogMember | undefined {
    return this.#state.members.find((member) => member.id === id);
  }

  /** Whether a node is to be given leaderships: not while it is drained, or on its way out. */
  mayLead(id: string): boolean {
    const member = this.node(id);
    return member === undefined || (member.state !== 'leaving' && !member.isDrained);
  }

  /** Ids of nodes that were members and are none any more. */
  get gone(): readonly string[] {
    return this.#state.gone;
  }

  /** Whether a node of that id was a member and is none any more. */
  isGone(id: string): boolean {
    return this.#state.gone.includes(id);
  }

  topics(): readonly CatalogTopic[] {
    return this.#state.topics;
  }

  topic(name: string): CatalogTopic | undefined {
    return this.#byName.get(name);
  }

  topicById(id: number): CatalogTopic | undefined {
    return this.#byId.get(id);
  }

  /** The topic a group belongs to; undefined for the catalog's own group and for groups of deleted topics. */
  topicOfGroup(groupId: number): CatalogTopic | undefined {
    return this.#byGroup.get(groupId);
  }

  /** The offset a topic partition's first record has; undefined: 0, or no group of a topic. */
  firstOffsetOf(groupId: number): number | undefined {
    return this.#placed(groupId)?.firstOffset;
  }

  /** The nodes a topic partition is placed on; undefined: no group of a topic. */
  replicasOf(groupId: number): readonly string[] | undefined {
    return this.#placed(groupId)?.replicas;
  }

  #placed(groupId: number): CatalogPartition | undefined {
    return this.#byGroup.get(groupId)?.partitions.find((one) => one.groupId === groupId);
  }

  /** Whether the group id was ever given out. */
  hasAssigned(groupId: number): boolean {
    return groupId < this.#state.nextGroupId;
  }

  /** Whether the group is one of a topic that was deleted: by a committed command, never merely for being unheard of
   *  (W21). Group ids are never reused. */
  isDeleted(groupId: number): boolean {
    return groupId !== CATALOG_GROUP && this.hasAssigned(groupId) && !this.#byGroup.has(groupId);
  }

  /** How many groups isDeleted() is true of. */
  get deletedGroups(): number {
    return this.#state.nextGroupId - (CATALOG_GROUP + 1) - this.#byGroup.size;
  }

  apply(command: unknown, header: { readonly index: number; readonly appendTimeMs: number }): CatalogOutcome {
    const problem = commandProblem(command);
    // A kind this version does not know was written by a newer one; the catalog's feature level keeps it away.
    if (problem === 'unknown') throw new UnsupportedEntry(`a catalog command ${JSON.stringify(command)}`);
    if (problem === 'malformed') return 'invalid';
    const outcome = this.#perform(command as CatalogCommand, header);
    if (outcome === 'done') this.#version += 1;
    return outcome;
  }

  #perform(command: CatalogCommand, header: { readonly index: number; readonly appendTimeMs: number }): CatalogOutcome {
    switch (command.kind) {
      case 'birth':
        if (this.#state.founding !== undefined) return 'exists';
        this.#state.founding = { birth: command, bornAtMs: header.appendTimeMs };
        this.#state.members = command.nodes.map(foundingMember);
        return 'done';
      case 'create-topic':
        return this.#createTopic(command, header.index);
      case 'delete-topic': {
        const topic = this.#byName.get(command.name);
        if (topic === undefined) return 'not-found';
        this.#state.topics = this.#state.topics.filter((other) => other !== topic);
        this.#byName.delete(topic.name);
        this.#byId.delete(topic.id);
        for (const { groupId } of topic.partitions) this.#byGroup.delete(groupId);
        return 'done';
      }
      default: {
        const outcome = performOnRoster(this.#state, command);
        // Partitions were replaced by others in other places.
        this.#reindex();
        return outcome;
      }
    }
  }

  #createTopic(command: Extract<CatalogCommand, { kind: 'create-topic' }>, index: number): CatalogOutcome {
    const { name, partitions, replicas, retention, compaction, firstOffsets } = command;
    const nodes = placeable(this.#state.members, replicas);
    const isValid =
      topicNameProblem(name) === undefined &&
      Number.isSafeInteger(partitions) &&
      partitions >= 1 &&
      partitions <= PARTITIONS_PER_TOPIC_MAX &&
      Number.isSafeInteger(replicas) &&
      replicas >= 1 &&
      replicas <= nodes.length &&
      (firstOffsets === undefined || areFirstOffsets(firstOffsets, partitions));
    if (!isValid) return 'invalid';
    if (this.#byName.has(name)) return 'exists';
    if (this.#state.topics.length >= TOPICS_MAX) return 'too-many';
    const made: CatalogPartition[] = [];
    for (let partition = 0; partition < partitions; partition += 1) {
      const groupId = this.#state.nextGroupId;
      this.#state.nextGroupId += 1;
      // Consecutive groups begin at consecutive nodes: leaders and replicas spread without keeping counts.
      const chosen = Array.from({ length: replicas }, (_, at) => nodes[(groupId - 1 + at) % nodes.length]!.id);
      const firstOffset = firstOffsets?.[partition] ?? 0;
      made.push({ partition, groupId, replicas: chosen, ...(firstOffset > 0 && { firstOffset }) });
    }
    const policies = { retention: boundsOf(retention), compaction: policyOf(compaction) };
    const topic = { id: index, name, partitions: made, ...policies };
    this.#state.topics.push(topic);
    this.#index(topic);
    return 'done';
  }

  encode(): Uint8Array {
    const { founding, nextGroupId, topics, members, gone } = this.#state;
    const canonical = { v: 1, founding, nextGroupId, topics: topics.map(topicInOrder), members, gone };
    return Buffer.from(JSON.stringify(canonical), 'utf8');
  }

  restore(bytes: Uint8Array): void {
    const { v, ...state } = JSON.parse(Buffer.from(bytes).toString('utf8')) as State & { v: number };
    if (v !== 1) throw new Error(`catalog snapshot of version ${v}: written by a newer logdrive`);
    this.#state = { ...state, founding: state.founding, members: state.members.map(memberFromJson) };
    for (const [at, topic] of this.#state.topics.entries()) {
      this.#state.topics[at] = {
        ...topic,
        retention: boundsOf(topic.retention),
        compaction: policyOf(topic.compaction),
      };
    }
    this.#version += 1;
    this.#reindex();
  }

  #reindex(): void {
    this.#byName.clear();
    this.#byId.clear();
    this.#byGroup.clear();
    for (const topic of this.#state.topics) this.#index(topic);
  }

  #index(topic: CatalogTopic): void {
    this.#byName.set(topic.name, topic);
    this.#byId.set(topic.id, topic);
    for (const { groupId } of topic.partitions) this.#byGroup.set(groupId, topic);
  }
}

/** Half of all there are: an offset that cannot be counted any more would end every replica, at each start anew. */
const FIRST_OFFSET_MAX: number = 2 ** 52;

/** One offset a partition, with room for records behind it. */
export function areFirstOffsets(values: readonly unknown[], partitions: number): boolean {
  const isOffset = (value: unknown): boolean =>
    Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= FIRST_OFFSET_MAX;
  return Array.isArray(values) && values.length === partitions && values.every(isOffset);
}

/** JSON leaves out what is undefined: each bound is named here, whatever was written. */
function boundsOf({ maxBytes, maxAgeMs, maxRecords }: Partial<Retention>): Retention {
  return { maxBytes, maxAgeMs, maxRecords };
}

function policyOf(compaction: Compaction | undefined): Compaction | undefined {
  return compaction === undefined ? undefined : { tombstoneRetentionMs: compaction.tombstoneRetentionMs };
}

/** Why a value is no command of this version: what is committed is applied by every node for ever, so it is asked
 *  before a command is proposed as well. */
export function commandProblem(value: unknown): 'unknown' | 'malformed' | undefined {
  const { kind, name, retention, nodes, clusterId } = (value ?? {}) as Record<string, unknown>;
  switch (kind as CatalogCommand['kind']) {
    case 'birth':
      return typeof clusterId === 'string' && Array.isArray(nodes) ? undefined : 'malformed';
    case 'create-topic':
      return typeof name === 'string' && typeof retention === 'object' && retention !== null ? undefined : 'malformed';
    case 'delete-topic':
      return typeof name === 'string' ? undefined : 'malformed';
    case 'add-node':
    case 'node-joined':
    case 'remove-node':
    case 'moved':
    case 'node-gone':
    case 'drain-node':
      return isRosterCommandSound(value as Record<string, unknown>) ? undefined : 'malformed';
    default:
      return 'unknown';
  }
}

/** Every field, in one order: JSON keeps the order in which fields came and leaves out what is undefined, so that a
 *  replica that was restored would encode the same topic to other bytes than one that never stopped. */
type InOrder<T> = Readonly<Record<keyof T, unknown>>;

function topicInOrder({ id, name, partitions, retention, compaction }: CatalogTopic): InOrder<CatalogTopic> {
  return { id, name, partitions: partitions.map(partitionInOrder), retention, compaction };
}

function partitionInOrder(placed: CatalogPartition): InOrder<CatalogPartition> {
  const { partition, groupId, replicas, founders, firstOffset, move, formerTargets } = placed;
  return { partition, groupId, replicas, founders, firstOffset, move, formerTargets };
}

/** JSON leaves out what is undefined. */
function memberFromJson({ id, diskUuid, peerAddress, state, isDrained, replacedBy }: CatalogMember): CatalogMember {
  return { id, diskUuid, peerAddress, state, isDrained, replacedBy };
}
