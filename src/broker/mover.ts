/**
 * Carries out what the catalog says of nodes that come and go: memberships follow the catalog, one partition after the
 * other, learner first, then the joint change, then word to the catalog that the old replica may go.
 *
 * Each partition's leader moves its own partition, and the catalog's leader the catalog. Nothing is remembered here:
 * every step is derived from the catalog and from the membership in force, so whoever leads next goes on where the one
 * before stopped, and a step that is taken twice changes nothing.
 */
import type { Env } from '../env.ts';
import { isJoint, isMember, type Membership, type Partition } from '../partition/index.ts';
import { LogError } from '../protocol/index.ts';
import { CATALOG_GROUP, type CatalogCommand, type CatalogOutcome } from './catalog.ts';
import type { HandOver } from './hand-over.ts';
import type { Host } from './host.ts';
import { isPlacedOn, replicasAfterMove } from './roster.ts';

export interface MoverParts {
  readonly nodeId: string;
  readonly env: Env;
  readonly host: Host;
  /** Puts a command into the catalog, wherever its leader is. */
  change(command: CatalogCommand): Promise<CatalogOutcome>;
  readonly handOver: Pick<HandOver, 'attempt'>;
}

const PERIOD_MS = 100;

export class Mover {
  readonly #parts: MoverParts;
  /** Words to the catalog that were not answered yet, as JSON: each is said once at a time. */
  readonly #said = new Set<string>();
  #dueMs = 0;

  constructor(parts: MoverParts) {
    this.#parts = parts;
  }

  tick(): void {
    const nowMs = this.#parts.env.clock.monotonicMs();
    if (nowMs < this.#dueMs) return;
    this.#dueMs = nowMs + PERIOD_MS;
    const { catalog } = this.#parts.host;
    if (catalog.nodes.some(({ state }) => state !== 'member')) {
      this.#movePartitions();
      this.#moveCatalog();
    }
    if (catalog.node(this.#parts.nodeId)?.isDrained === true) this.#parts.handOver.attempt();
  }

  #movePartitions(): void {
    const { host } = this.#parts;
    for (const { partitions } of host.catalog.topics()) {
      for (const placed of partitions) {
        const { move, groupId } = placed;
        const partition = move === undefined ? undefined : host.get(groupId);
        if (move === undefined || partition?.isReadyLeader !== true) continue;
        if (advance(partition, replicasAfterMove(placed))) this.#say({ kind: 'moved', groupId, ...move });
      }
    }
  }

  /** Every node votes in the catalog, from when it has caught up to when it has nothing left. */
  #moveCatalog(): void {
    const { catalog } = this.#parts.host;
    const partition = this.#parts.host.get(CATALOG_GROUP);
    if (partition?.isReadyLeader !== true) return;
    const placed = catalog.topics().flatMap(({ partitions }) => partitions);
    const isDone = (id: string): boolean => !placed.some((each) => isPlacedOn(each, id));
    const voters = catalog.nodes.filter(({ id, state }) => state !== 'leaving' || !isDone(id)).map(({ id }) => id);
    if (!advance(partition, voters)) return;
    for (const { id, state } of catalog.nodes) {
      if (state === 'joining') this.#say({ kind: 'node-joined', id });
      else if (state === 'leaving' && !voters.includes(id)) this.#say({ kind: 'node-gone', id });
    }
  }

  #say(command: CatalogCommand): void {
    const text = JSON.stringify(command);
    if (this.#said.has(text)) return;
    this.#said.add(text);
    const { change, env } = this.#parts;
    change(command)
      .catch((error: unknown) => {
        // Seen again at the next tick, here or at the next leader; anything else is a broken invariant.
        if (!LogError.is(error)) throw error;
        env.logger.debug({ err: error, command }, 'the catalog could not be told of a step; it is told again');
      })
      .finally(() => this.#said.delete(text));
  }
}

/** Takes the next step towards these voters and no learners; true once that is in force and committed. */
function advance(partition: Partition, voters: readonly string[]): boolean {
  const { membership, committedMembership } = partition;
  if (isJoint(membership) || !isSame(membership, committedMembership)) return false;
  const missing = voters.filter((node) => !isMember(membership, node));
  if (missing.length > 0) {
    partition.changeMembership({ voters: membership.voters, learners: [...membership.learners, ...missing] });
    return false;
  }
  if (isSame(membership, { voters, votersOutgoing: [], learners: [] })) return true;
  // Refused while a learner has not caught up: asked for again, as long as it takes.
  partition.changeMembership({ voters, learners: [] });
  return false;
}

function isSame(a: Membership, b: Membership): boolean {
  const text = ({ voters, votersOutgoing, learners }: Membership): string =>
    JSON.stringify([[...voters].sort(), [...votersOutgoing].sort(), [...learners].sort()]);
  return text(a) === text(b);
}
