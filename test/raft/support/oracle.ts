/**
 * Sees the whole cluster and checks what no single core can: the five properties of the paper's Figure 3, and that
 * what is committed is durable on a majority. Throws at the first breach.
 */
import type { EntryId, LogIndex, NodeId, Term } from '../../../src/raft/index.ts';
import type { StoredEntry } from './sim-disk.ts';
import type { SimNode } from './sim-node.ts';

interface Committed {
  readonly entry: StoredEntry;
  /** Term of the node that first said so. */
  readonly inTerm: Term;
}

export class Oracle {
  /** Everybody, member or not; for counting durable copies. */
  readonly #nodes: () => readonly SimNode[];
  readonly #leaders = new Map<Term, NodeId>();
  /** index@term -> its payload and the term of the entry before: equal keys, equal logs up to there. */
  readonly #entries = new Map<string, { payload: string; previousTerm: Term }>();
  /** By index; [0] is never used. */
  readonly #committed: Committed[] = [];
  readonly #applied = new Map<NodeId, LogIndex>();

  constructor(nodes: () => readonly SimNode[]) {
    this.#nodes = nodes;
  }

  get committedIndex(): LogIndex {
    return Math.max(0, this.#committed.length - 1);
  }

  /** Committed membership entries. */
  get changes(): number {
    return this.#committed.filter((committed) => committed?.entry.membership !== undefined).length;
  }

  get terms(): number {
    return this.#leaders.size;
  }

  /** Election Safety: at most one leader in a term. Leader Completeness: it holds all that was committed before. */
  leads(node: SimNode, term: Term): void {
    const known = this.#leaders.get(term);
    check(known === undefined || known === node.id, `election safety: ${known} and ${node.id} lead term ${term}`);
    this.#leaders.set(term, node.id);
    for (let index = node.base.index + 1; index <= this.committedIndex; index += 1) {
      const committed = this.#committed[index]!;
      if (committed.inTerm >= term) continue;
      const held = node.log[index - node.base.index - 1];
      check(
        held !== undefined && held.term === committed.entry.term && held.payload === committed.entry.payload,
        `leader completeness: ${node.id} leads term ${term} without committed entry ${index}`,
      );
    }
  }

  /** Log Matching: entries of equal index and term are the same entry, and so are all before them. */
  appends(node: NodeId, entry: StoredEntry, previous: EntryId): void {
    const key = `${entry.index}@${entry.term}`;
    const known = this.#entries.get(key);
    check(
      known === undefined || (known.payload === entry.payload && known.previousTerm === previous.term),
      `log matching: ${node} appends another ${key}: ${entry.payload} after term ${previous.term}`,
    );
    this.#entries.set(key, { payload: entry.payload, previousTerm: previous.term });
  }

  /** State Machine Safety: every node applies the same entry at an index. And a quorum's disks hold it by then. */
  commits(node: SimNode, to: LogIndex): void {
    const from = Math.max(node.base.index, this.#applied.get(node.id) ?? 0) + 1;
    for (let index = from; index <= to; index += 1) {
      const entry = node.log[index - node.base.index - 1];
      check(entry !== undefined, `${node.id} commits ${index}, which it does not hold`);
      const known = this.#committed[index];
      if (known === undefined) {
        this.#checkDurable(entry, node);
        this.#committed[index] = { entry, inTerm: node.raft.term };
      } else {
        check(
          known.entry.payload === entry.payload && known.entry.term === entry.term,
          `state machine safety: ${node.id} applies ${entry.payload} at ${index}, not ${known.entry.payload}`,
        );
      }
    }
    this.#applied.set(node.id, Math.max(to, this.#applied.get(node.id) ?? 0));
  }

  /** The first to say so is the leader, and the quorum is that of the membership at the end of its log. */
  #checkDurable(entry: StoredEntry, { membership }: SimNode): void {
    const nodes = this.#nodes();
    const holders = nodes.filter((node) => node.disk.holds(entry)).map((node) => node.id);
    const isMajority = (voters: readonly NodeId[]): boolean =>
      voters.filter((voter) => holders.includes(voter)).length * 2 > voters.length;
    const { voters, votersOutgoing } = membership;
    check(
      isMajority(voters) && (votersOutgoing.length === 0 || isMajority(votersOutgoing)),
      `durability: entry ${entry.index} commits while only the disks of ${holders.join(', ') || 'none'} hold it`,
    );
  }
}

function check(holds: boolean, breach: string): asserts holds {
  if (!holds) throw new Error(breach);
}
