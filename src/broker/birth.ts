/**
 * How a cluster comes into being, once (design 5, "Birth of a cluster"; R18, R20).
 *
 * Only the first of --peers founds, only with --bootstrap, and only when *every* configured peer answers, asked anew,
 * that it belongs to no cluster and takes the same node for the first: a peer that is down might be the one that
 * remembers, and two nodes that each take themselves for the first would found two clusters. The founder writes entry 1
 * of the catalog to its own disk before it tells anybody, and repeats telling until each node has the same entry 1. A
 * crash at any step is harmless: nothing written, and it begins anew; or entry 1 written, and whoever has it goes on
 * telling. Entry 1 is the same bytes everywhere, so it is committed by being there.
 */
import type { Env } from '../env.ts';
import { type DataDirectory, encodeFirstEntry } from '../partition/index.ts';
import { LogError } from '../protocol/index.ts';
import { type BirthCall, CATALOG_GROUP, type CatalogNode } from './catalog.ts';
import { decodeCall, encodeCall } from './peer-calls.ts';
import type { PeerDescription, Peers } from './peers.ts';

export interface BirthParts {
  readonly nodeId: string;
  readonly nodeIds: readonly string[];
  readonly segmentBytes: number;
  readonly env: Env;
  readonly directory: DataDirectory;
  readonly peers: Peers;
}

/** "May I found a cluster of these?" Answered with the disk of who agrees; whoever does not fails with INVALID. */
interface AskCall {
  readonly founder: string;
  readonly nodeIds: readonly string[];
}

/** "You were added to the cluster", to a node with an empty directory. */
export interface JoinCall {
  /** Cluster id. */
  readonly join: string;
  /** Of the node that was added. */
  readonly diskUuid: string;
}

interface AskAnswer {
  readonly diskUuid: string;
}

const CLUSTER_ID_BYTES = 16;
const CALL_TIMEOUT_MS = 2_000;

export class Birth {
  readonly #parts: BirthParts;
  /** One at a time: two founders' words may not be written over each other. Undefined: none. */
  #writing: Promise<void> | undefined;
  #isStopped = false;
  #complained: string | undefined;

  constructor(parts: BirthParts) {
    this.#parts = parts;
  }

  /** Begins nothing more, and resolves when the directory is written no more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    // Its failure is its caller's.
    await this.#writing?.catch(() => undefined);
  }

  /** Founds the cluster when every peer is there and agrees. Resolves with true when this node now belongs to one. */
  async tryFound(): Promise<boolean> {
    const { nodeId, nodeIds, directory, peers, env } = this.#parts;
    if (nodeIds[0] !== nodeId || this.#writing !== undefined) return false;
    const missing = peers.list.find(({ isUp }) => !isUp);
    if (missing !== undefined) {
      this.#complain(
        `waiting for ${missing.id} at ${missing.peerAddress}: a cluster is founded when every peer answers`,
      );
      return false;
    }
    const members = await Promise.all(peers.list.map((peer) => this.#ask(peer)));
    const nodes: CatalogNode[] = [{ id: nodeId, diskUuid: directory.diskUuid }];
    for (const member of members) {
      if (typeof member === 'string') {
        this.#complain(member);
        return false;
      }
      nodes.push(member);
    }
    nodes.sort((a, b) => nodeIds.indexOf(a.id) - nodeIds.indexOf(b.id));
    const clusterId = Buffer.from(env.random.bytes(CLUSTER_ID_BYTES)).toString('hex');
    await this.#write({ birth: { kind: 'birth', clusterId, nodes }, bornAtMs: env.clock.nowMs() });
    env.logger.info({ clusterId, nodes: nodes.map(({ id }) => id) }, 'founded a cluster');
    return true;
  }

  /** A peer as a member of the cluster to be, or why it cannot be one now. */
  async #ask({ id, clusterId }: PeerDescription): Promise<CatalogNode | string> {
    const { nodeId, nodeIds, peers } = this.#parts;
    if (clusterId !== undefined) {
      const consequence = 'this node, whose directory is empty, does not found another one';
      return `${id} belongs to cluster ${clusterId} already: ${consequence}`;
    }
    const call: AskCall = { founder: nodeId, nodeIds };
    try {
      const answer = await peers.call(id, 'birth', encodeCall(call), { timeoutMs: CALL_TIMEOUT_MS });
      return { id, diskUuid: decodeCall<AskAnswer>(answer).head.diskUuid };
    } catch (error) {
      if (!LogError.is(error)) throw error;
      return `${id} does not agree that a cluster is founded: ${error.message}`;
    }
  }

  /** A node that belongs to the cluster tells one that does not. True: it has the first entry now. */
  async tell(peer: string, call: BirthCall): Promise<boolean> {
    try {
      await this.#parts.peers.call(peer, 'birth', encodeCall(call), { timeoutMs: CALL_TIMEOUT_MS });
      return true;
    } catch (error) {
      // Most often two members tell it at once, and it is writing already.
      this.#parts.env.logger.debug({ peer, err: error }, 'telling a node about the cluster failed; it is told again');
      return false;
    }
  }

  /** A member tells a node that was added. True: it belongs to the cluster now. */
  async welcome(peer: string, call: JoinCall): Promise<boolean> {
    try {
      await this.#parts.peers.call(peer, 'birth', encodeCall(call), { timeoutMs: CALL_TIMEOUT_MS });
      return true;
    } catch (error) {
      this.#parts.env.logger.debug({ peer, err: error }, 'telling a node that it was added failed; it is told again');
      return false;
    }
  }

  /** Nothing but the cluster's id is written: the catalog comes from its leader, from the first entry on. */
  async #onAdded({ join, diskUuid }: JoinCall): Promise<boolean> {
    const { directory, nodeId, env } = this.#parts;
    if (directory.clusterId === join) return false;
    if (directory.clusterId !== undefined || this.#writing !== undefined || diskUuid !== directory.diskUuid) {
      throw new LogError('INVALID', `Node ${nodeId} with this disk cannot join cluster ${join}.`);
    }
    await this.#alone(async () => {
      await directory.removeLog(CATALOG_GROUP);
      await directory.setClusterId(join);
    });
    env.logger.info({ clusterId: join }, 'joins a cluster');
    return true;
  }

  /** A peer asks whether it may found a cluster, or tells of one. */
  async onAsked(body: Uint8Array): Promise<{ readonly answer: object; readonly isNewMember: boolean }> {
    const { head } = decodeCall<BirthCall | AskCall | JoinCall>(body);
    if ('join' in head) return { answer: {}, isNewMember: await this.#onAdded(head) };
    if ('founder' in head) return { answer: this.#agree(head), isNewMember: false };
    return { answer: {}, isNewMember: await this.#onTold(head) };
  }

  #agree({ founder, nodeIds }: AskCall): AskAnswer {
    const { nodeId, nodeIds: own, directory } = this.#parts;
    if (directory.clusterId !== undefined || this.#writing !== undefined) {
      const where = directory.clusterId === undefined ? 'is joining a cluster' : `belongs to ${directory.clusterId}`;
      throw new LogError('INVALID', `Node ${nodeId} ${where}.`);
    }
    const isSameSet = nodeIds.length === own.length && nodeIds.every((id) => own.includes(id));
    if (own[0] !== founder || !isSameSet) {
      const order = `${own.join(', ')} here, ${nodeIds.join(', ')} at ${founder}`;
      throw new LogError('INVALID', `The nodes of --peers differ: ${order}. All nodes need the same, in one order.`);
    }
    return { diskUuid: directory.diskUuid };
  }

  /** @returns true when this node has become a member by it. */
  async #onTold(call: BirthCall): Promise<boolean> {
    const { nodeId, directory } = this.#parts;
    const { clusterId, nodes } = call.birth;
    if (directory.clusterId === clusterId) return false;
    if (directory.clusterId !== undefined) {
      throw new LogError('INVALID', `Node ${nodeId} belongs to cluster ${directory.clusterId}, not ${clusterId}.`);
    }
    const self = nodes.find(({ id }) => id === nodeId);
    if (self?.diskUuid !== directory.diskUuid) {
      throw new LogError('INVALID', `Node ${nodeId} with this disk is not a founding member of cluster ${clusterId}.`);
    }
    await this.#write(call);
    return true;
  }

  /**
   * Entry 1 first, the cluster id after it: with the id in the directory the catalog is opened, and then entry 1 must
   * be there. A crash in between leaves a log without an id, which the next birth removes.
   */
  async #write(call: BirthCall): Promise<void> {
    const { directory, env, segmentBytes } = this.#parts;
    if (this.#writing !== undefined || directory.clusterId !== undefined) {
      throw new LogError('NOT_YET', 'A first entry is being written, or has been.');
    }
    await this.#alone(async () => {
      await directory.removeLog(CATALOG_GROUP);
      const { birth, bornAtMs } = call;
      const voters = birth.nodes.map(({ id }) => id);
      const log = await directory.openLog(CATALOG_GROUP, {
        segmentBytes,
        clusterId: birth.clusterId,
        timers: env.timers,
        onFlushed: () => undefined,
      });
      try {
        await log.saveHardState({ term: 1, votedFor: undefined });
        const membership = { voters, votersOutgoing: [], learners: [] };
        log.append([encodeFirstEntry({ groupId: CATALOG_GROUP, appendTimeMs: bornAtMs, membership, birth })]);
        log.setCommitHint(1);
        await log.flush();
      } finally {
        await log.close();
      }
      await directory.setClusterId(birth.clusterId);
    });
  }

  /** The caller saw to it that nothing is being written. */
  async #alone(write: () => Promise<void>): Promise<void> {
    if (this.#isStopped) throw new LogError('NOT_YET', `Node ${this.#parts.nodeId} is stopping.`);
    this.#writing = write();
    try {
      await this.#writing;
    } finally {
      this.#writing = undefined;
    }
  }

  #complain(what: string): void {
    if (this.#complained === what) return;
    this.#complained = what;
    this.#parts.env.logger.info({}, what);
  }
}
