/**
 * A cluster under chaos, all of it from one seed: loss, delay, duplication, reordering, refused sends, one-way and
 * two-way cuts, crashes that lose any suffix of what was not flushed, late flushes, trims, transfers, votes withdrawn.
 * Which faults happen, and how often, is drawn per seed too: some bugs only show when others are quiet.
 *
 * Two phases: safety under chaos (the oracle watches every step), then everything heals and progress is required.
 */
import type { NodeId } from '../../../src/raft/index.ts';
import { optionsFor } from './cluster.ts';
import { Oracle } from './oracle.ts';
import { Prng } from './prng.ts';
import { type Parcel, SimNode } from './sim-node.ts';

export interface ChaosReport {
  readonly seed: number;
  readonly committed: number;
  readonly leaders: number;
  readonly crashes: number;
  readonly installs: number;
  /** Membership entries that were committed. */
  readonly changes: number;
  /** Of every Ready of every node, in order: equal runs, equal hashes. */
  readonly traceHash: number;
}

/** Chance per step, or per message, of each fault; 0 for faults this seed does without. */
interface Faults {
  readonly loss: number;
  readonly duplication: number;
  readonly reordering: number;
  readonly refusal: number;
  readonly crash: number;
  readonly cut: number;
  readonly linkDown: number;
  readonly transfer: number;
  readonly campaign: number;
  readonly trim: number;
  readonly withdrawVote: number;
  readonly members: number;
  /** Chance that a step makes hard states durable, and entries: low values keep much unflushed. */
  readonly save: number;
  readonly flush: number;
}

/** Leaders come and go quickly: most of what can go wrong goes wrong when they change. */
const HURRIED = { electionTicksMin: 10, electionTicksMax: 20, heartbeatTicks: 2 };
/** Messages on the wire; more are lost, as a full queue would. */
const WIRE_MAX = 400;

export class Chaos {
  readonly #seed: number;
  readonly #prng: Prng;
  readonly #ids: readonly NodeId[];
  readonly #nodes = new Map<NodeId, SimNode>();
  readonly #oracle: Oracle;
  readonly #cut = new Set<string>();
  #wire: Parcel[] = [];
  #faults: Faults;
  #proposals = 0;
  #crashes = 0;
  #installs = 0;
  #traceHash = 0;

  /** @param spareCount Nodes that are no members at first. */
  constructor(seed: number, nodeCount: number, spareCount: number) {
    this.#seed = seed;
    this.#prng = new Prng(seed);
    this.#ids = Array.from({ length: nodeCount + spareCount }, (_, i) => `n${i + 1}`);
    const founders = this.#ids.slice(0, nodeCount);
    this.#oracle = new Oracle(() => [...this.#nodes.values()]);
    this.#faults = this.#drawFaults();
    const random = (): number => this.#prng.next();
    const shape = this.#prng.chance(0.5)
      ? { appendBytesMax: 300, inflightBytesMax: 900, inflightMessagesMax: 3 }
      : { appendBytesMax: 1000, inflightBytesMax: 8000, inflightMessagesMax: 16 };
    for (const id of this.#ids) {
      const world = {
        oracle: this.#oracle,
        send: (parcel: Parcel) => this.#send(parcel),
        trace: (node: NodeId, text: string) => this.#trace(node, text),
      };
      const node = new SimNode(
        optionsFor(id, founders.includes(id) ? founders : [], { random, ...HURRIED, ...shape }),
        world,
      );
      this.#nodes.set(id, node);
      node.start();
    }
  }

  /** `steps` of chaos, then healing. Throws at the first breach of safety, or when progress does not come back. */
  run(steps: number): ChaosReport {
    for (let step = 0; step < steps; step += 1) this.#step();
    this.#heal();
    return {
      seed: this.#seed,
      committed: this.#oracle.committedIndex,
      leaders: this.#oracle.terms,
      crashes: this.#crashes,
      installs: this.#installs,
      changes: this.#oracle.changes,
      traceHash: this.#traceHash,
    };
  }

  #drawFaults(): Faults {
    const prng = this.#prng;
    const maybe = (most: number): number => (prng.chance(0.5) ? prng.next() * most : 0);
    return {
      loss: maybe(0.2),
      duplication: maybe(0.2),
      reordering: maybe(1),
      refusal: maybe(0.1),
      crash: maybe(0.03),
      cut: maybe(0.02),
      linkDown: maybe(0.01),
      transfer: maybe(0.01),
      campaign: maybe(0.01),
      trim: maybe(0.02),
      withdrawVote: maybe(0.003),
      members: maybe(0.03),
      save: 0.1 + prng.next() * 0.5,
      flush: 0.03 + prng.next() * prng.next() * 0.6,
    };
  }

  get #up(): SimNode[] {
    return [...this.#nodes.values()].filter((node) => node.isUp);
  }

  #trace(node: NodeId, text: string): void {
    if (text.includes('install ')) this.#installs += 1;
    let hash = this.#traceHash;
    const line = `${node}: ${text}`;
    for (let i = 0; i < line.length; i += 1) hash = (Math.imul(hash, 31) + line.charCodeAt(i)) | 0;
    this.#traceHash = hash;
  }

  #send(parcel: Parcel): boolean {
    const prng = this.#prng;
    if (prng.chance(this.#faults.refusal)) return false;
    if (prng.chance(this.#faults.loss) || this.#wire.length >= WIRE_MAX) return true;
    this.#wire.push(parcel);
    if (prng.chance(this.#faults.duplication)) this.#wire.push(parcel);
    return true;
  }

  #step(): void {
    const prng = this.#prng;
    if (prng.chance(0.35)) for (const node of this.#up) if (prng.chance(0.9)) node.tick();
    for (let i = prng.below(8); i > 0; i -= 1) this.#deliverOne();
    for (const node of this.#up) {
      if (prng.chance(0.7)) node.serveRead();
      if (prng.chance(this.#faults.save)) node.flushHardStates();
      if (prng.chance(this.#faults.flush)) node.flushWrites(prng.below(node.disk.pendingWrites + 1));
    }
    if (prng.chance(0.3)) this.#proposeSomewhere();
    if (prng.chance(this.#faults.members)) this.#changeMembers();
    this.#misbehave();
  }

  #deliverOne(): void {
    if (this.#wire.length === 0) return;
    const position = this.#prng.chance(this.#faults.reordering) ? this.#prng.below(this.#wire.length) : 0;
    const [parcel] = this.#wire.splice(position, 1);
    const { from, to } = parcel!.message;
    const receiver = this.#nodes.get(to)!;
    if (receiver.isUp && !this.#cut.has(`${from}>${to}`)) receiver.deliver(parcel!);
  }

  #proposeSomewhere(): void {
    const leaders = this.#up.filter((node) => node.raft.role === 'leader');
    if (leaders.length === 0) return;
    const count = 1 + this.#prng.below(4);
    const payloads = Array.from({ length: count }, () => `p${this.#proposals++}`);
    this.#prng.pick(leaders).propose(payloads, 1 + this.#prng.below(200));
  }

  /** Any leader is asked for any change; whoever is to vote and is not in step is made a learner first, most often. */
  #changeMembers(): void {
    const prng = this.#prng;
    const leaders = this.#up.filter((node) => node.raft.role === 'leader');
    if (leaders.length === 0) return;
    const leader = prng.pick(leaders);
    const { voters } = leader.raft.membership;
    const chosen = this.#ids.filter((id) => prng.chance(voters.includes(id) ? 0.7 : 0.4));
    const isReady = (id: NodeId): boolean =>
      voters.includes(id) || leader.raft.progressOf(id)?.state === 'replicate' || prng.chance(0.1);
    leader.proposeMembership({
      voters: chosen.filter(isReady),
      learners: chosen.filter((id) => !isReady(id)),
    });
  }

  #misbehave(): void {
    const prng = this.#prng;
    const faults = this.#faults;
    const node = this.#victim();
    const peer = prng.pick(this.#ids);
    if (!node.isUp) {
      if (prng.chance(0.05)) node.start();
      return;
    }
    // Just before a flush is when a crash hurts most.
    const isBadMoment = node.disk.pendingHardStates > 0;
    if (prng.chance(isBadMoment ? faults.crash * 5 : faults.crash)) {
      this.#crashes += 1;
      node.crash(prng.below(node.disk.pendingHardStates + 1), prng.below(node.disk.pendingWrites + 1));
      return;
    }
    if (prng.chance(faults.cut)) this.#cutSomething();
    if (prng.chance(0.01)) this.#cut.clear();
    if (prng.chance(faults.linkDown)) node.turn((raft) => raft.peerDown(peer));
    if (prng.chance(faults.transfer)) node.turn((raft) => raft.transferTo(peer));
    if (prng.chance(faults.campaign)) node.turn((raft) => raft.campaign());
    if (prng.chance(faults.trim)) node.trim(node.raft.commit - prng.below(5));
    if (prng.chance(faults.withdrawVote)) node.turn((raft) => raft.setMayVote(false));
    if (prng.chance(0.01)) node.turn((raft) => raft.setMayVote(true));
  }

  /** Anybody, leaders first: most rules are about what becomes of their entries. */
  #victim(): SimNode {
    const leaders = this.#up.filter((node) => node.raft.role === 'leader');
    if (leaders.length > 0 && this.#prng.chance(0.3)) return this.#prng.pick(leaders);
    return this.#nodes.get(this.#prng.pick(this.#ids))!;
  }

  #cutSomething(): void {
    const prng = this.#prng;
    const victim = this.#victim().id;
    const side = prng.chance(0.5) ? [victim] : this.#ids.filter(() => prng.chance(0.5));
    const isOneWay = prng.chance(0.3);
    for (const a of side) {
      for (const b of this.#ids) {
        if (side.includes(b)) continue;
        this.#cut.add(`${a}>${b}`);
        if (!isOneWay) this.#cut.add(`${b}>${a}`);
      }
    }
  }

  /** Everything works from now on: one leader must come, and everything must reach everybody. */
  #heal(): void {
    this.#cut.clear();
    this.#faults = { ...this.#faults, loss: 0, duplication: 0, reordering: 0, refusal: 0 };
    for (const node of this.#nodes.values()) {
      if (!node.isUp) node.start();
      node.turn((raft) => raft.setMayVote(true));
    }
    // Long enough for a leader nobody follows to give up, a few split votes, and one lost snapshot to be sent again.
    for (let tick = 0; tick < 600; tick += 1) this.#calmTick();
    const leader = this.#up.find((node) => node.raft.role === 'leader');
    if (leader === undefined) throw new Error('liveness: no leader after healing');
    const { term } = leader.raft;
    const { voters, votersOutgoing, learners } = leader.raft.membership;
    if (votersOutgoing.length > 0) throw new Error('liveness: a change of membership was not finished');
    if (leader.propose(['after healing']).kind !== 'accepted') throw new Error('liveness: the leader refuses');
    for (let tick = 0; tick < 100; tick += 1) this.#calmTick();
    for (const node of [...voters, ...learners].map((id) => this.#nodes.get(id)!)) {
      const { commit, lastIndex, flushed } = node.raft;
      const isDone =
        node.raft.term === term && commit === leader.raft.lastIndex && lastIndex === commit && flushed.index === commit;
      if (!isDone) throw new Error(`liveness: ${node.id} is at ${commit} of ${leader.raft.lastIndex}, term ${term}`);
      if (node.log.at(-1)?.payload !== 'after healing') throw new Error(`liveness: ${node.id} ends elsewhere`);
    }
  }

  #calmTick(): void {
    for (const node of this.#up) node.tick();
    for (let round = 0; round < 50; round += 1) {
      if (!this.#calmRound()) return;
    }
  }

  /** Everything that waits moves on by one. False when nothing waited. */
  #calmRound(): boolean {
    let isBusy = this.#wire.length > 0;
    for (let left = this.#wire.length; left > 0; left -= 1) this.#deliverOne();
    for (const node of this.#up) {
      isBusy ||= node.pendingReads + node.disk.pendingHardStates + node.disk.pendingWrites > 0;
      while (node.pendingReads > 0) node.serveRead();
      node.flush();
    }
    return isBusy;
  }
}
