/**
 * Who leads which group, as far as this node knows: from its own replicas, and for groups it does not host from what
 * the other nodes say they lead. The highest term wins; word of a leader that is gone is corrected by the next one.
 */
import type { NodeId } from '../partition/index.ts';

export interface Leadership {
  readonly term: number;
  /** undefined: known to have none at the moment. */
  readonly leader: NodeId | undefined;
}

interface Waiting {
  /** Woken by any leader but this one. */
  readonly not: NodeId | undefined;
  readonly wake: () => void;
}

export class Leaders {
  readonly #known = new Map<number, Leadership>();
  /** By group: news of one group must not cost a walk over everybody who waits for another. Bounded by admission, since
   *  who waits here has an append or a verb in flight. */
  readonly #waiting = new Map<number, Set<Waiting>>();

  get(groupId: number): Leadership | undefined {
    return this.#known.get(groupId);
  }

  /** Groups `node` leads. */
  ledBy(node: NodeId): { readonly groupId: number; readonly term: number }[] {
    const led: { groupId: number; term: number }[] = [];
    for (const [groupId, { term, leader }] of this.#known) if (leader === node) led.push({ groupId, term });
    return led;
  }

  /** News of a group. Older terms are ignored, and so is "nobody" from a node that merely has not heard. */
  learn(groupId: number, news: Leadership): void {
    const known = this.#known.get(groupId);
    if (
      known !== undefined &&
      (news.term < known.term || (news.term === known.term && news.leader === undefined && known.leader !== undefined))
    )
      return;
    this.#known.set(groupId, news);
    if (news.leader !== undefined) this.#wake(groupId, news.leader);
  }

  /** `node` is gone or no longer leads in that term: nobody is known to lead until news comes. */
  lost(groupId: number, node: NodeId): void {
    const known = this.#known.get(groupId);
    if (known?.leader === node) this.#known.set(groupId, { term: known.term, leader: undefined });
  }

  /** Forgets groups that are gone for good; ids are never given out again. */
  forgetIf(isGone: (groupId: number) => boolean): void {
    for (const groupId of this.#known.keys()) if (isGone(groupId)) this.#known.delete(groupId);
  }

  /** Calls `wake` once a leader of the group is learnt that is not `not`; the returned function stops waiting. */
  whenLedByOther(groupId: number, not: NodeId | undefined, wake: () => void): () => void {
    const waiting: Waiting = { not, wake };
    const others = this.#waiting.get(groupId) ?? new Set();
    this.#waiting.set(groupId, others);
    others.add(waiting);
    return () => this.#stopWaiting(groupId, waiting);
  }

  #stopWaiting(groupId: number, waiting: Waiting): void {
    const others = this.#waiting.get(groupId);
    if (others?.delete(waiting) === true && others.size === 0) this.#waiting.delete(groupId);
  }

  #wake(groupId: number, leader: NodeId): void {
    for (const waiting of this.#waiting.get(groupId) ?? []) {
      if (waiting.not === leader) continue;
      this.#stopWaiting(groupId, waiting);
      waiting.wake();
    }
  }
}
