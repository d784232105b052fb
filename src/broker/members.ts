/**
 * Verbs about nodes: add, remove, replace, drain, and who there is. Each is checked against what this node knows, and
 * then again by the catalog, which decides; a refusal changes nothing. What was decided is carried out by mover.ts,
 * and cluster() shows how far it is.
 */
import type { Env } from '../env.ts';
import { LogError, nodeIdProblem } from '../protocol/index.ts';
import { CATALOG_GROUP, type CatalogCommand, type CatalogOutcome } from './catalog.ts';
import type { Host } from './host.ts';
import type { Leaders } from './leaders.ts';
import type { NodeAddress } from './peer-calls.ts';
import type { PeerDescription, Peers } from './peers.ts';
import { isPlacedOn } from './roster.ts';
import type { Routes } from './routes.ts';
import type { ClusterDescription, NewNode, NodeDescription } from './verbs.ts';

export interface MembersParts {
  readonly self: Omit<NodeDescription, 'partitionsLed' | 'isUp' | 'state'>;
  readonly env: Env;
  readonly peers: Peers;
  readonly host: Host;
  readonly leaders: Leaders;
  readonly routes: Routes;
  clusterId(): string | undefined;
  change(command: CatalogCommand): Promise<CatalogOutcome>;
}

/** A node that is to be added must answer within this. */
const ANSWER_MS = 3_000;
/** A replacement must have joined within this, or is asked for again. */
const JOIN_MS = 8_000;
const POLL_MS = 20;
const PEER_ADDRESS = /^(?:\[[0-9a-fA-F:.]+\]|[^\s:]+):(\d{1,5})$/;
const PORT_MAX = 65_535;

export class Members {
  readonly #parts: MembersParts;
  /** Nodes that somebody asked this node to add: they are let in before the catalog knows them. */
  readonly #invited = new Set<string>();
  /** Nodes that were dialed because the catalog says so. */
  readonly #learnt = new Set<string>();

  constructor(parts: MembersParts) {
    this.#parts = parts;
  }

  /** Whether that node may link up though it is no member: it is being added. */
  isInvited(id: string): boolean {
    return this.#invited.has(id);
  }

  async add({ id, peerAddress }: NewNode): Promise<void> {
    const { host, routes, peers, change } = this.#parts;
    routes.expectMember();
    const problem = nodeIdProblem(id);
    if (problem !== undefined) throw invalid(problem);
    if (!isPeerAddress(peerAddress)) {
      throw invalid(`"${peerAddress}" is no address of a node: give host:port, as in its --peers.`);
    }
    if (host.catalog.node(id) !== undefined || host.catalog.isGone(id)) throw this.#exists(id);
    if (this.#invited.has(id)) throw busy(`Node "${id}" is being added already.`);
    this.#expectIdle();
    this.#invited.add(id);
    try {
      peers.learn(id, peerAddress);
      const { diskUuid } = await this.#answerOf(id, peerAddress);
      const outcome = await change({ kind: 'add-node', id, diskUuid, peerAddress });
      if (outcome !== 'done') throw this.#refusal(outcome, id);
    } finally {
      this.#invited.delete(id);
      await this.#seenOrForgotten(id);
    }
  }

  async remove(id: string): Promise<void> {
    this.#expectRemovable(id, undefined);
    await this.#remove(id, undefined);
  }

  async replace(id: string, by: string, peerAddress: string | undefined): Promise<void> {
    const { host, env } = this.#parts;
    this.#parts.routes.expectMember();
    if (host.catalog.node(id) === undefined) throw this.#notFound(id);
    if (id === by) {
      throw invalid(`A node cannot replace itself: an id is used once. Start the new disk under another id.`);
    }
    if (host.catalog.node(by) === undefined) {
      if (peerAddress === undefined) {
        throw new LogError('NODE_NOT_FOUND', `Node "${by}" is not a member: give its peer address to add it.`);
      }
      await this.add({ id: by, peerAddress });
    }
    const deadlineMs = env.clock.monotonicMs() + JOIN_MS;
    while (host.catalog.node(by)?.state === 'joining') {
      if (env.clock.monotonicMs() >= deadlineMs) {
        const what = `Node "${by}" is joining and has not caught up yet. Ask again to have it replace "${id}".`;
        throw new LogError('TIMEOUT', what);
      }
      await this.#pause();
    }
    this.#expectRemovable(id, by);
    await this.#remove(id, by);
  }

  async drain(id: string, isDrained: boolean): Promise<void> {
    const { host, routes, change } = this.#parts;
    routes.expectMember();
    const node = host.catalog.node(id);
    if (node === undefined) throw this.#notFound(id);
    const others = host.catalog.nodes.filter((other) => other.id !== id && other.state === 'member');
    if (isDrained && others.every((other) => other.isDrained)) {
      throw invalid(`Node "${id}" cannot be drained: no other node would be left to lead.`);
    }
    const outcome = await change({ kind: 'drain-node', id, isDrained });
    if (outcome !== 'done') throw this.#refusal(outcome, id);
  }

  describe(): ClusterDescription {
    const { self, peers, routes } = this.#parts;
    const nodes = [
      this.#describeNode({ ...self, isUp: true }),
      ...peers.list.map(({ id, clientUrl, peerAddress, diskUuid, version, isUp }) =>
        this.#describeNode({ id, url: clientUrl, peerAddress, diskUuid, version, isUp }),
      ),
    ].sort((a, b) => (a.id < b.id ? -1 : 1));
    return { clusterId: this.#parts.clusterId(), nodeId: self.id, nodes, catalogLeader: routes.leader(CATALOG_GROUP) };
  }

  #describeNode(node: Omit<NodeDescription, 'partitionsLed' | 'state'>): NodeDescription {
    const { host, leaders } = this.#parts;
    const member = host.catalog.node(node.id);
    const state =
      member === undefined ? 'unknown' : member.isDrained && member.state === 'member' ? 'drained' : member.state;
    return { ...node, state, partitionsLed: node.isUp ? leaders.ledBy(node.id).length : 0 };
  }

  /** The catalog changed: whoever it names is dialed, and whoever it names no more is not. */
  reconcile(): void {
    const { host, peers, self } = this.#parts;
    for (const { id, peerAddress } of host.catalog.nodes) {
      if (id === self.id || peerAddress === undefined) continue;
      this.#learnt.add(id);
      peers.learn(id, peerAddress);
    }
    for (const { id } of peers.list) {
      if (!host.catalog.isGone(id)) continue;
      this.#learnt.delete(id);
      peers.forget(id);
    }
  }

  /** Members that were added: founding ones are in everybody's --peers. */
  added(): readonly NodeAddress[] {
    return this.#parts.host.catalog.nodes.flatMap(({ id, peerAddress }) =>
      peerAddress === undefined ? [] : [{ id, peerAddress }],
    );
  }

  /**
   * A peer's catalog has these. One that this node's does not have was added while it slept, and may lead the catalog
   * by now: only who knows it can be told by it. Who has left is not to be known again.
   */
  heardOf(nodes: readonly NodeAddress[]): void {
    const { host, peers, self } = this.#parts;
    for (const { id, peerAddress } of nodes) {
      const isNews = id !== self.id && !this.#learnt.has(id) && !host.catalog.isGone(id);
      if (!isNews || nodeIdProblem(id) !== undefined || !isPeerAddress(peerAddress)) continue;
      this.#learnt.add(id);
      peers.learn(id, peerAddress);
    }
  }

  async #remove(id: string, by: string | undefined): Promise<void> {
    const outcome = await this.#parts.change({ kind: 'remove-node', id, by });
    if (outcome !== 'done') throw this.#refusal(outcome, id);
  }

  /** What can be told without the catalog's leader: whether those who stay could go on without that node. */
  #expectRemovable(id: string, by: string | undefined): void {
    const { host, routes } = this.#parts;
    routes.expectMember();
    const node = host.catalog.node(id);
    if (node === undefined) throw this.#notFound(id);
    const staying = host.catalog.nodes.filter((other) => other.id !== id && other.state === 'member');
    if (staying.length === 0) throw this.#refusal('last', id);
    const up = staying.filter((other) => this.#isUp(other.id));
    if (up.length * 2 <= staying.length) {
      const upOf = `${up.length} of the ${staying.length}`;
      throw new LogError('NODE_DOWN', `Only ${upOf} nodes that would stay are up: no majority without "${id}".`);
    }
    if (by !== undefined && !this.#isUp(by)) throw new LogError('NODE_DOWN', `Node "${by}" is down.`);
    for (const { name, partitions } of host.catalog.topics()) {
      for (const placed of partitions) {
        if (!isPlacedOn(placed, id) || routes.leader(placed.groupId) !== undefined) continue;
        const which = `Partition ${placed.partition} of topic "${name}"`;
        throw new LogError('NODE_DOWN', `${which} has no leader, and so cannot be moved off "${id}".`);
      }
    }
  }

  #isUp(id: string): boolean {
    return id === this.#parts.self.id || this.#parts.peers.isUp(id);
  }

  #expectIdle(): void {
    const other = this.#parts.host.catalog.nodes.find(({ state }) => state !== 'member');
    if (other !== undefined) throw busy(`Node "${other.id}" is ${other.state}: one node comes or goes at a time.`);
  }

  /** A node without a cluster that answers as itself. */
  async #answerOf(id: string, address: string): Promise<{ readonly diskUuid: string }> {
    const { env } = this.#parts;
    const deadlineMs = env.clock.monotonicMs() + ANSWER_MS;
    for (;;) {
      const peer = this.#peer(id);
      if (peer?.isUp === true && peer.diskUuid !== undefined) {
        if (peer.clusterId === undefined) return { diskUuid: peer.diskUuid };
        throw invalid(`Node "${id}" belongs to cluster ${peer.clusterId} already: add one with an empty directory.`);
      }
      if (env.clock.monotonicMs() >= deadlineMs) {
        const why = peer?.trouble === undefined ? '' : ` (${peer.trouble})`;
        const remedy = 'Start it with --peers naming all nodes, itself included.';
        throw new LogError('NODE_DOWN', `Node "${id}" at ${address} does not answer${why}. ${remedy}`);
      }
      await this.#pause();
    }
  }

  /** The catalog's word on a node that was to be added: without one in a moment it is let go again. */
  async #seenOrForgotten(id: string): Promise<void> {
    for (let left = 10; left > 0 && this.#parts.host.catalog.node(id) === undefined; left -= 1) await this.#pause();
    if (this.#parts.host.catalog.node(id) === undefined && !this.#learnt.has(id)) this.#parts.peers.forget(id);
  }

  #peer(id: string): PeerDescription | undefined {
    return this.#parts.peers.list.find((peer) => peer.id === id);
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => this.#parts.env.timers.after(POLL_MS, resolve));
  }

  #exists(id: string): LogError {
    const what = this.#parts.host.catalog.isGone(id)
      ? `Node "${id}" was removed, and ids are never used again: start the new node under another one.`
      : `Node "${id}" is a member already. If its disk was lost, start it under another id and have that replace it.`;
    return new LogError('NODE_EXISTS', what);
  }

  #notFound(id: string): LogError {
    const ids = this.#parts.host.catalog.nodes.map((node) => node.id).join(', ');
    return new LogError('NODE_NOT_FOUND', `There is no node "${id}"; the members are ${ids}.`);
  }

  #refusal(outcome: CatalogOutcome, id: string): LogError {
    switch (outcome) {
      case 'exists':
      case 'used-up':
        return this.#exists(id);
      case 'not-found':
        return this.#notFound(id);
      case 'busy':
        return busy(`Node "${id}" cannot be changed now: one node comes or goes at a time.`);
      case 'last':
        return invalid(`Node "${id}" is the last one: a cluster without a node has no log.`);
      case 'too-many':
        return invalid('The cluster has as many nodes as it may have.');
      default:
        return invalid(`The catalog refused the change of node "${id}": ${outcome}.`);
    }
  }
}

function invalid(what: string): LogError {
  return new LogError('INVALID', what);
}

function busy(what: string): LogError {
  return new LogError('CHANGE_IN_FLIGHT', what);
}

/** A member is dialed by all others for as long as it is one, and a port that cannot be would end them. */
function isPeerAddress(address: string): boolean {
  const port = Number(PEER_ADDRESS.exec(address)?.[1] ?? 0);
  return port >= 1 && port <= PORT_MAX;
}
