/**
 * A cluster in memory for paper tests and scenarios: nothing happens unless told. Messages wait on the wire, writes
 * wait in the disks, time stands still.
 */
import { type NodeId, type RaftOptions, votersOnly } from '../../../src/raft/index.ts';
import { Oracle } from './oracle.ts';
import { Prng } from './prng.ts';
import { type Parcel, SimNode } from './sim-node.ts';

export interface ClusterOptions {
  readonly ids: readonly NodeId[];
  /** Nodes that are there and no members: they begin with an empty log, knowing nobody. */
  readonly spares?: readonly NodeId[];
  readonly raft?: Partial<RaftOptions>;
  readonly seed?: number;
  trace?(node: NodeId, text: string): void;
}

/** Small numbers, so that traces are short: elections after 20 to 40 ticks, a heartbeat every 4. */
export function optionsFor(id: NodeId, ids: readonly NodeId[], changes: Partial<RaftOptions> = {}): RaftOptions {
  return {
    id,
    membership: votersOnly(ids),
    electionTicksMin: 20,
    electionTicksMax: 40,
    heartbeatTicks: 4,
    appendBytesMax: 1000,
    inflightBytesMax: 4000,
    inflightMessagesMax: 8,
    uncommittedBytesMax: 100_000,
    learnerLagMax: 5,
    noopBytes: 50,
    promiseMs: 0,
    random: () => 0.5,
    ...changes,
  };
}

export class Cluster {
  readonly nodes: Map<NodeId, SimNode> = new Map();
  /** Messages on their way, oldest first. */
  readonly wire: Parcel[] = [];
  readonly oracle: Oracle;
  /** 'a>b' for links that lose everything in that direction. */
  readonly #cut = new Set<string>();

  constructor({ ids, spares = [], raft = {}, seed = 1, trace = () => {} }: ClusterOptions) {
    const prng = new Prng(seed);
    this.oracle = new Oracle(() => [...this.nodes.values()]);
    const send = (parcel: Parcel): boolean => {
      this.wire.push(parcel);
      return true;
    };
    for (const id of [...ids, ...spares]) {
      const founders = ids.includes(id) ? ids : [];
      const options = optionsFor(id, founders, { random: () => prng.next(), ...raft });
      this.nodes.set(id, new SimNode(options, { oracle: this.oracle, send, trace }));
    }
  }

  start(): this {
    for (const node of this.nodes.values()) node.start();
    return this;
  }

  node(id: NodeId): SimNode {
    const node = this.nodes.get(id);
    if (node === undefined) throw new Error(`no node ${id}`);
    return node;
  }

  get up(): SimNode[] {
    return [...this.nodes.values()].filter((node) => node.isUp);
  }

  /** Links between the two sides lose everything, both ways. */
  cut(side: readonly NodeId[], other: readonly NodeId[]): void {
    for (const a of side) for (const b of other) this.#cut.add(`${a}>${b}`).add(`${b}>${a}`);
  }

  cutOneWay(from: NodeId, to: NodeId): void {
    this.#cut.add(`${from}>${to}`);
  }

  heal(): void {
    this.#cut.clear();
  }

  isCut(from: NodeId, to: NodeId): boolean {
    return this.#cut.has(`${from}>${to}`);
  }

  /** Takes the n-th message off the wire and gives it to its receiver, unless the link is cut or the receiver down. */
  deliverAt(position: number): Parcel | undefined {
    const [parcel] = this.wire.splice(position, 1);
    if (parcel === undefined) return undefined;
    const { from, to } = parcel.message;
    const receiver = this.nodes.get(to);
    if (receiver?.isUp === true && !this.isCut(from, to)) receiver.deliver(parcel);
    return parcel;
  }

  /** Serves reads, flushes disks and delivers messages until nothing is left to do. */
  settle(stepsMax = 10_000): void {
    for (let step = 0; step < stepsMax; step += 1) {
      let isBusy = false;
      for (const node of this.up) {
        if (node.pendingReads > 0) node.serveRead();
        else if (node.disk.pendingHardStates + node.disk.pendingWrites > 0) node.flush();
        else continue;
        isBusy = true;
      }
      if (this.wire.length > 0) this.deliverAt(0);
      else if (!isBusy) return;
    }
    throw new Error(`the cluster does not settle in ${stepsMax} steps`);
  }

  /** One tick everywhere, then settles. */
  tick(count = 1): void {
    for (let i = 0; i < count; i += 1) {
      for (const node of this.up) node.tick();
      this.settle();
    }
  }

  /** Makes `id` leader of the reachable nodes. */
  elect(id: NodeId): SimNode {
    const node = this.node(id);
    const leads = (): boolean => node.raft.role === 'leader';
    for (let i = 0; i < 100 && !leads(); i += 1) {
      node.turn((raft) => raft.campaign());
      this.settle();
      if (!leads()) this.tick();
    }
    if (!leads()) throw new Error(`${id} is not elected`);
    return node;
  }

  leader(): SimNode | undefined {
    const leaders = this.up.filter((node) => node.raft.role === 'leader');
    return leaders.sort((a, b) => b.raft.term - a.raft.term)[0];
  }
}
