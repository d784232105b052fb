/**
 * Three Raft cores in one thread, with a disk that is always done and a network that delivers at once: what the rules
 * alone cost an entry, from propose() until all three hold it and the leader has committed it.
 */
import { type Membership, type Message, type NodeId, Raft } from '../../src/raft/index.ts';
import { figureOf } from '../result.ts';
import { defineScenario, nameOfRepeat, type Scenario } from '../scenario.ts';

const IDS: readonly NodeId[] = ['n1', 'n2', 'n3'];
const MEMBERSHIP: Membership = { voters: IDS, votersOutgoing: [], learners: [] };
const ENTRY_BYTES = 64 * 1024;

export const raftCore: Scenario = defineScenario({
  name: 'raft-core',
  sentence: 'Three Raft cores in memory: entries committed a second.',
  options: {
    entries: { default: 50_000, least: 1, sentence: 'entries proposed a repeat' },
    burst: { default: 8, least: 1, sentence: 'entries proposed in one turn' },
    repeats: { default: 5, least: 1, sentence: 'repeats, after one that is not counted' },
  },
  async run(context, { entries, burst, repeats }) {
    const samples: number[] = [];
    for (let repeat = 0; repeat <= repeats; repeat++) {
      const speed = commitSpeed(entries, burst);
      context.say(`${nameOfRepeat(repeat)}: ${Math.round(speed)} entries/s`);
      if (repeat > 0) samples.push(speed);
    }
    return {
      durability: 'none: nothing is stored',
      figures: [figureOf({ name: 'entries committed', unit: 'entries/s', better: 'higher' }, samples)],
    };
  },
});

/** Entries a second, of a group that is made for it. */
export function commitSpeed(entries: number, burst: number): number {
  const group = new Group();
  group.elect();
  const sizes = Array.from({ length: burst }, () => ENTRY_BYTES);
  const begunMs = performance.now();
  for (let done = 0; done < entries; done += burst) {
    const proposed = group.leader.propose(sizes);
    if (proposed.kind !== 'accepted') throw new Error(`a proposal was refused: ${proposed.reason}`);
    group.settle();
  }
  const elapsedMs = performance.now() - begunMs;
  const { commit, lastIndex } = group.leader;
  if (commit !== lastIndex) throw new Error(`committed up to ${commit}, proposed up to ${lastIndex}`);
  return (Math.ceil(entries / burst) * burst * 1_000) / elapsedMs;
}

class Group {
  readonly #cores: ReadonlyMap<NodeId, Raft>;
  readonly #inbox: Message[] = [];

  constructor() {
    this.#cores = new Map(IDS.map((id, at) => [id, coreOf(id, at)]));
  }

  get leader(): Raft {
    return this.#cores.get(IDS[0]!)!;
  }

  elect(): void {
    this.leader.campaign();
    this.settle();
    if (this.leader.role !== 'leader') throw new Error(`${this.leader.id} became ${this.leader.role}, not leader`);
  }

  /** Turns until no core wants anything and no message is on its way. */
  settle(): void {
    let isBusy = true;
    while (isBusy) {
      isBusy = false;
      for (const core of this.#cores.values()) while (this.#turn(core)) isBusy = true;
      for (const message of this.#inbox.splice(0)) {
        this.#cores.get(message.to)!.step(message);
        isBusy = true;
      }
    }
  }

  #turn(core: Raft): boolean {
    const ready = core.ready();
    if (ready === undefined) return false;
    if (ready.hardState !== undefined) core.hardStatePersisted(ready.hardState);
    this.#inbox.push(...ready.messages, ...ready.messagesAfterHardState);
    if (ready.append !== undefined) core.persisted(ready.append.last);
    for (const { peer, from } of ready.sends) {
      const last = core.lastIndex;
      const message = core.appendFor(peer, from, last);
      if (message === undefined) {
        core.sendFailed(peer);
        continue;
      }
      this.#inbox.push(message);
      core.sent(peer, last, (last - from + 1) * ENTRY_BYTES);
    }
    return true;
  }
}

function coreOf(id: NodeId, at: number): Raft {
  return new Raft(
    {
      id,
      membership: MEMBERSHIP,
      electionTicksMin: 20,
      electionTicksMax: 40,
      heartbeatTicks: 4,
      appendBytesMax: 1024 * 1024,
      inflightBytesMax: 8 * 1024 * 1024,
      inflightMessagesMax: 256,
      uncommittedBytesMax: 32 * 1024 * 1024,
      learnerLagMax: 128,
      noopBytes: 128,
      promiseMs: 0,
      random: () => at / IDS.length,
    },
    {
      hardState: { term: 0, votedFor: undefined },
      base: { term: 0, index: 0 },
      termRuns: [],
      commit: 0,
      memberships: [],
    },
  );
}
