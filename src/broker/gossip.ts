/**
 * What nodes tell each other of themselves, unasked: which groups they lead, so that nodes without a replica know whom
 * to ask, whether they want leaderships at all, and who was added to the cluster: a node that slept meanwhile may have
 * to hear of it from the very one that it does not know yet, if that leads the catalog. What changed is said at once,
 * and everything again every few seconds in case some was lost: with the whole list at each change, a thousand groups
 * that get their leaders one after the other would be told of a million times. Leaderships are but hints: a wrong
 * address answers NOT_LEADER.
 */
import type { Env } from '../env.ts';
import { LogError } from '../protocol/index.ts';
import type { Leaders, Leadership } from './leaders.ts';
import { decodeCall, encodeCall, type NodeAddress, type StatusAnswer, type StatusCall } from './peer-calls.ts';
import type { Peers } from './peers.ts';

export interface GossipParts {
  readonly nodeId: string;
  readonly env: Env;
  readonly peers: Peers;
  readonly leaders: Leaders;
  /** False while this node wants no leadership: it drains, or its disk is full. */
  mayLead(): boolean;
  added(): readonly NodeAddress[];
  /** A peer's catalog has these. */
  onAdded(nodes: readonly NodeAddress[]): void;
  isDeleted(groupId: number): boolean;
}

const PERIOD_MS = 5_000;
const CALL_TIMEOUT_MS = 2_000;

export class Gossip {
  readonly #parts: GossipParts;
  /** Peers that want no leadership for now, as they say. */
  readonly #unwilling = new Set<string>();
  #dueMs = 0;
  /** There is something to tell, at the next tick: that, and the groups it leads since it last told. */
  #hasNews = false;
  #newlyLed = new Set<number>();

  constructor(parts: GossipParts) {
    this.#parts = parts;
  }

  /** This node leads a group, or changed its mind about leading. Told at the next tick. */
  hasNews(groupId?: number): void {
    this.#hasNews = true;
    if (groupId !== undefined) this.#newlyLed.add(groupId);
  }

  isWilling(peer: string): boolean {
    return !this.#unwilling.has(peer);
  }

  peerDown(peer: string): void {
    this.#unwilling.delete(peer);
  }

  tick(): void {
    const nowMs = this.#parts.env.clock.monotonicMs();
    const isDue = nowMs >= this.#dueMs;
    if (!isDue && !this.#hasNews) return;
    const news = isDue ? undefined : this.news();
    this.#hasNews = false;
    this.#newlyLed = new Set();
    if (isDue) this.#dueMs = nowMs + PERIOD_MS;
    void this.tellAll(news);
  }

  /** What this node leads since it last told, and whether it wants more. */
  news(): StatusCall {
    const { leaders, nodeId, mayLead } = this.#parts;
    const leads = [...this.#newlyLed].flatMap((groupId) => {
      const known = leaders.get(groupId);
      return known?.leader === nodeId ? [{ groupId, term: known.term }] : [];
    });
    return { leads, mayLead: mayLead(), groups: [], isNews: true };
  }

  /** Resolves when every peer that is up has heard, or did not answer in time. */
  async tellAll(call: StatusCall = this.call([])): Promise<void> {
    const up = this.#parts.peers.list.filter(({ isUp }) => isUp);
    await Promise.all(up.map(({ id }) => this.exchange(id, call)));
  }

  /** Tells one peer, and learns the same from it; of news, only whether it wants leaderships. */
  async exchange(peer: string, call: StatusCall = this.call([])): Promise<void> {
    const { peers, env } = this.#parts;
    try {
      const answer = await peers.call(peer, 'status', encodeCall(call), { timeoutMs: CALL_TIMEOUT_MS });
      this.learnFrom(peer, decodeCall<StatusAnswer>(answer).head);
    } catch (error) {
      if (!LogError.is(error)) throw error;
      env.logger.debug({ peer, err: error }, 'asking a peer what it leads failed; it is asked again');
    }
  }

  /** What this node tells of itself when it asks for the offsets of `groups`. */
  call(groups: readonly number[]): StatusCall {
    const { leaders, nodeId, mayLead, added } = this.#parts;
    return { leads: leaders.ledBy(nodeId), mayLead: mayLead(), groups, added: added() };
  }

  learnFrom(peer: string, { leads, mayLead, added }: Pick<StatusCall, 'leads' | 'mayLead' | 'added'>): void {
    if (added !== undefined) this.#parts.onAdded(added);
    if (mayLead) this.#unwilling.delete(peer);
    else this.#unwilling.add(peer);
    for (const { groupId, term } of leads) this.learn(groupId, { term, leader: peer });
  }

  /** Word of a deleted group may still be on its way. */
  learn(groupId: number, news: Leadership): void {
    if (!this.#parts.isDeleted(groupId)) this.#parts.leaders.learn(groupId, news);
  }
}
