/**
 * What a replica may still do when its disk is full or its log damaged (design decision 7, R19, W23): take entries,
 * vote and ack, campaign. The Raft core is told each time something of it changes.
 */
import type { Log } from '../../storage/index.ts';
import type { Raft } from '../raft/index.ts';

export class Rights {
  readonly #log: Log;
  readonly #raft: Raft;
  /** The node is short of space, by its own measure. */
  #isNodeFull = false;
  /** It is, and nobody with room is there to lead: one that refuses appends is better than none. */
  #leadsWhenFull = false;
  /** A write failed for want of space; the log refuses entries, of whatever kind, until it finds some. */
  #isLogFull = false;
  /** This log and the leader's disagree although their terms and indexes agree: damage that no checksum caught. */
  #isDivergent = false;
  /** The node is about to go. */
  #isResigned = false;
  /** The log had damage when it was last looked at. */
  #sawDamage = false;

  constructor(log: Log, raft: Raft) {
    this.#log = log;
    this.#raft = raft;
    this.refresh();
  }

  get isDivergent(): boolean {
    return this.#isDivergent;
  }

  /** Whether the core goes by damage that is gone: not only mending ends it, also a trim or a cut. */
  get isStale(): boolean {
    return this.#sawDamage && this.#log.damage.length === 0;
  }

  /** Entries are taken unless there is no room. Those that make room, or are tiny and not a producer's, are taken as
   *  long as the log itself can write: the node's floor is kept for them. */
  mayTake(isSmall: boolean): boolean {
    return !this.#isLogFull && (isSmall || !this.#isNodeFull);
  }

  setNodeFull(isFull: boolean, mayCampaign: boolean): void {
    this.#isNodeFull = isFull;
    this.#leadsWhenFull = mayCampaign;
    this.refresh();
  }

  setLogFull(isFull: boolean): void {
    this.#isLogFull = isFull;
    this.refresh();
  }

  resign(): void {
    this.#isResigned = true;
    this.refresh();
  }

  setDivergent(isDivergent: boolean): void {
    this.#isDivergent = isDivergent;
    this.refresh();
  }

  /** Looks at the log's damage anew. */
  refresh(): void {
    const { damage } = this.#log;
    this.#sawDamage = damage.length > 0;
    const isTailSound = !this.#isDivergent && !damage.some(({ where }) => where === 'tail');
    this.#raft.setMayVote(isTailSound);
    const isWhole = isTailSound && damage.length === 0;
    // Before anything the core may want to append: an entry that the log refuses ends the process.
    this.#raft.setMayAppend(!this.#isLogFull);
    const hasRoom = !this.#isNodeFull || this.#leadsWhenFull;
    this.#raft.setMayCampaign(isWhole && hasRoom && !this.#isResigned);
  }
}
