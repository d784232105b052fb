/**
 * Who belongs to the cluster, and where replicas go when somebody leaves: the part of the catalog that changes with its
 * nodes. Pure rules over the catalog's state; the same commands give the same roster on every node.
 *
 *   add-node -> joining -- node-joined --> member -- remove-node --> leaving -- node-gone --> its id is used up
 *
 * One node comes or goes at a time. What is decided here is carried out by mover.ts, which reports back: 'moved' for
 * each partition, then 'node-gone'. A node is its id and its disk together; an id is never given twice (R18), so a
 * group never comes back to a node that may have forgotten what it voted there.
 */
import type { CatalogNode, CatalogOutcome, CatalogPartition, CatalogTopic } from './catalog-shapes.ts';

export interface CatalogMember extends CatalogNode {
  /** host:port, as told when it was added; undefined for founders, which everybody has in --peers. */
  readonly peerAddress: string | undefined;
  /** 'joining': follows the catalog and does not vote in it yet. 'leaving': its replicas move away. */
  readonly state: 'joining' | 'member' | 'leaving';
  /** Leads nothing and is given no new replicas while others can take them. */
  readonly isDrained: boolean;
  /** While leaving: who takes its place. */
  readonly replacedBy: string | undefined;
}

export type RosterCommand =
  | { readonly kind: 'add-node'; readonly id: string; readonly diskUuid: string; readonly peerAddress: string }
  | { readonly kind: 'node-joined'; readonly id: string }
  | { readonly kind: 'remove-node'; readonly id: string; readonly by?: string | undefined }
  | { readonly kind: 'moved'; readonly groupId: number; readonly from: string; readonly to?: string | undefined }
  | { readonly kind: 'node-gone'; readonly id: string }
  | { readonly kind: 'drain-node'; readonly id: string; readonly isDrained: boolean };

export interface Roster {
  members: CatalogMember[];
  /** Ids of nodes that left; never used again. */
  gone: string[];
  topics: CatalogTopic[];
}

/** More nodes than one catalog is meant for: each is a voter of it. */
const MEMBERS_MAX = 64;

export function foundingMember({ id, diskUuid }: CatalogNode): CatalogMember {
  return { id, diskUuid, peerAddress: undefined, state: 'member', isDrained: false, replacedBy: undefined };
}

/** Nodes that new replicas may be placed on: those who want them, or when they are too few all who stay. */
export function placeable(members: readonly CatalogMember[], count: number): readonly CatalogMember[] {
  const staying = members.filter(({ state }) => state === 'member');
  const willing = staying.filter(({ isDrained }) => !isDrained);
  return willing.length >= count ? willing : staying;
}

/** Hosts the partition, is about to, or was to and may not go before the move is done. */
export function isPlacedOn({ replicas, move, formerTargets = [] }: CatalogPartition, node: string): boolean {
  return replicas.includes(node) || move?.to === node || formerTargets.includes(node);
}

/** The replicas a partition is to end with. */
export function replicasAfterMove({ replicas, move }: CatalogPartition): readonly string[] {
  if (move === undefined) return replicas;
  const { from, to } = move;
  return replicas.flatMap((node) => (node !== from ? [node] : to === undefined ? [] : [to]));
}

export function performOnRoster(roster: Roster, command: RosterCommand): CatalogOutcome {
  switch (command.kind) {
    case 'add-node':
      return addNode(roster, command);
    case 'node-joined':
      return update(roster, command.id, 'joining', { state: 'member' });
    case 'remove-node':
      return removeNode(roster, command.id, command.by);
    case 'moved':
      return moved(roster, command);
    case 'node-gone':
      return nodeGone(roster, command.id);
    case 'drain-node':
      return update(roster, command.id, 'member', { isDrained: command.isDrained });
    default:
      return command satisfies never;
  }
}

function addNode(
  { members, gone }: Roster,
  { id, diskUuid, peerAddress }: Extract<RosterCommand, { kind: 'add-node' }>,
): CatalogOutcome {
  if (gone.includes(id)) return 'used-up';
  if (members.some((member) => member.id === id)) return 'exists';
  // Two names on one disk would be counted as two copies of what is there once.
  if (members.some((member) => member.diskUuid === diskUuid)) return 'invalid';
  if (members.some(({ state }) => state !== 'member')) return 'busy';
  if (members.length >= MEMBERS_MAX) return 'too-many';
  members.push({ id, diskUuid, peerAddress, state: 'joining', isDrained: false, replacedBy: undefined });
  return 'done';
}

function update(
  { members }: Roster,
  id: string,
  state: CatalogMember['state'],
  change: Partial<CatalogMember>,
): CatalogOutcome {
  const at = members.findIndex((member) => member.id === id);
  if (at < 0) return 'not-found';
  if (members[at]!.state !== state) return 'busy';
  members[at] = { ...members[at]!, ...change };
  return 'done';
}

function removeNode(roster: Roster, id: string, by: string | undefined): CatalogOutcome {
  const { members, topics } = roster;
  const member = members.find((other) => other.id === id);
  if (member === undefined) return 'not-found';
  if (member.state === 'leaving') return member.replacedBy === by ? 'done' : 'busy';
  const staying = members.filter((other) => other.id !== id && other.state === 'member');
  if (staying.length === 0) return 'last';
  if (by !== undefined && !staying.some((other) => other.id === by)) return 'invalid';
  // One that cannot go on to join, or to take over, must be allowed to leave: everything waits for it.
  const isAwaited = member.state === 'joining' || topics.some(({ partitions }) => partitions.some(isMovingTo(id)));
  const isBusy = members.some((other) => other.id !== id && other.state !== 'member');
  if (isBusy && !isAwaited) return 'busy';
  update(roster, id, member.state, { state: 'leaving', replacedBy: by });
  replan(roster, (placed) => {
    if (placed.move?.to !== id) return placed;
    return { ...placed, move: undefined, formerTargets: [...(placed.formerTargets ?? []), id] };
  });
  return 'done';
}

function isMovingTo(id: string): (placed: CatalogPartition) => boolean {
  return ({ move }) => move?.to === id;
}

function moved(roster: Roster, { groupId, from, to }: Extract<RosterCommand, { kind: 'moved' }>): CatalogOutcome {
  let isFound = false;
  replan(roster, (placed) => {
    const { move } = placed;
    if (placed.groupId !== groupId || move === undefined || move.from !== from || move.to !== to) return placed;
    isFound = true;
    return {
      ...placed,
      founders: placed.founders ?? placed.replicas,
      replicas: replicasAfterMove(placed),
      move: undefined,
      formerTargets: undefined,
    };
  });
  // Another leader of the partition has said so before, or the target has changed meanwhile.
  return isFound ? 'done' : 'not-found';
}

function nodeGone({ members, gone, topics }: Roster, id: string): CatalogOutcome {
  const at = members.findIndex((member) => member.id === id);
  if (at < 0) return 'not-found';
  const isNeeded = topics.some(({ partitions }) => partitions.some((placed) => isPlacedOn(placed, id)));
  if (members[at]!.state !== 'leaving' || isNeeded) return 'busy';
  members.splice(at, 1);
  gone.push(id);
  return 'done';
}

/** Changes partitions, then sees to it that each one with a replica on a leaving node has a move. */
function replan(roster: Roster, change: (placed: CatalogPartition) => CatalogPartition): void {
  const load = new Map<string, number>();
  for (const { partitions } of roster.topics) {
    for (const { replicas, move } of partitions) {
      for (const node of [...replicas, ...(move?.to === undefined ? [] : [move.to])]) {
        load.set(node, (load.get(node) ?? 0) + 1);
      }
    }
  }
  roster.topics = roster.topics.map((topic) => ({
    ...topic,
    partitions: topic.partitions.map((placed) => withMove(change(placed), roster, load)),
  }));
}

function withMove(placed: CatalogPartition, { members }: Roster, load: Map<string, number>): CatalogPartition {
  const leaving = members.find(({ id, state }) => state === 'leaving' && placed.replicas.includes(id));
  if (placed.move !== undefined || leaving === undefined) return placed;
  const to = targetFor(placed, leaving, members, load);
  if (to !== undefined) load.set(to, (load.get(to) ?? 0) + 1);
  return { ...placed, move: { from: leaving.id, to } };
}

/** Whoever takes the leaving node's place, else the node that has least; undefined when every node has a replica. */
function targetFor(
  { replicas }: CatalogPartition,
  leaving: CatalogMember,
  members: readonly CatalogMember[],
  load: ReadonlyMap<string, number>,
): string | undefined {
  const free = members.filter(({ id, state }) => state === 'member' && !replicas.includes(id));
  if (free.some(({ id }) => id === leaving.replacedBy)) return leaving.replacedBy;
  const candidates = placeable(free, 1).map(({ id }) => id);
  return candidates.sort((a, b) => (load.get(a) ?? 0) - (load.get(b) ?? 0) || (a < b ? -1 : 1))[0];
}

/** @see commandProblem in catalog.ts */
export function isRosterCommandSound(command: Readonly<Record<string, unknown>>): boolean {
  const isText = (value: unknown): boolean => typeof value === 'string' && value !== '';
  const { kind, id, diskUuid, peerAddress, by, groupId, from, to, isDrained } = command;
  switch (kind as RosterCommand['kind']) {
    case 'add-node':
      return isText(id) && isText(diskUuid) && isText(peerAddress);
    case 'remove-node':
      return isText(id) && (by === undefined || isText(by));
    case 'moved':
      return Number.isSafeInteger(groupId) && isText(from) && (to === undefined || isText(to));
    case 'drain-node':
      return isText(id) && typeof isDrained === 'boolean';
    default:
      return isText(id);
  }
}
