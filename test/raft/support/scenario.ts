/**
 * Scenario files: a little command language, and the full trace of what the cluster did in answer.
 *
 *   # A comment.
 *   > tick n1 30
 *     n1: status pre-candidate term=0 leader=none
 *
 * Lines that begin with '> ' are commands, indented lines their output. Nothing happens by itself, except that reads
 * for followers are served at once. Every election timeout is 30 ticks; 20 ticks after its leader's last message a
 * follower no longer sticks to it; a leader sends heartbeats every 4 and steps down after 40 ticks of silence.
 */
import { describeMessage, describeRaft, type NodeId, type RaftOptions } from '../../../src/raft/index.ts';
import { Cluster } from './cluster.ts';
import type { SimNode } from './sim-node.ts';

/** Rewrites the output of every command of `text`. */
export function runScenario(text: string): string {
  const runner = new ScenarioRunner();
  const lines: string[] = [];
  for (const line of text.split('\n')) {
    if (/^ {2}/.test(line)) continue;
    lines.push(line);
    if (!line.startsWith('> ')) continue;
    for (const output of runner.run(line.slice(2).trim())) lines.push(`  ${output}`);
  }
  return lines.join('\n');
}

type Command = (words: readonly string[]) => void;

class ScenarioRunner {
  #cluster: Cluster | undefined;
  #output: string[] = [];
  #isQuiet = false;
  readonly #commands: Readonly<Record<string, Command>> = {
    nodes: (words) => this.#create(words),
    log: ([id, ...terms]) => this.#presetLog(this.#node(id), terms.map(Number)),
    start: (ids) => this.#each(ids, (node) => node.start()),
    tick: (words) => this.#tick(words),
    campaign: ([id]) => this.#node(id).turn((raft) => raft.campaign()),
    members: ([id, ...target]) => this.#changeMembers(this.#node(id), target),
    propose: ([id, ...payloads]) => this.#propose(this.#node(id), payloads),
    deliver: (words) => this.#deliver(words),
    drop: (words) => this.#take(words, () => {}),
    cut: (words) => this.#cut(words),
    'cut-one-way': ([from, to]) => this.#world.cutOneWay(from!, to!),
    heal: () => this.#world.heal(),
    flush: (ids) => this.#each(ids, (node) => node.flush()),
    'flush-votes': (ids) => this.#each(ids, (node) => node.flushHardStates()),
    crash: (ids) => this.#each(ids, (node) => node.crash()),
    lose: ([id, count]) => this.#node(id).disk.entries.splice(-Number(count)),
    trim: ([id, index]) => this.#node(id).trim(Number(index)),
    transfer: ([id, to]) => this.#say(`${this.#node(id).turn((raft) => raft.transferTo(to!))}`),
    'peer-down': ([id, peer]) => this.#node(id).turn((raft) => raft.peerDown(peer!)),
    'may-vote': ([id, answer]) => this.#node(id).turn((raft) => raft.setMayVote(answer === 'yes')),
    stall: ([id, ticks]) => this.#node(id).turn((raft) => raft.stalled(Number(ticks))),
    rejoin: ([id]) => this.#node(id).turn((raft) => raft.beginRejoining()),
    pledge: ([id]) => this.#node(id).turn((raft) => raft.pledgeToLeader()),
    rejoined: ([id]) => this.#node(id).turn((raft) => raft.endRejoining()),
    settle: ([how]) => this.#settle(how),
    state: (ids) => this.#each(ids, (node) => this.#say(describeRaft(node.raft))),
    logs: (ids) => this.#each(ids, (node) => this.#say(describeLog(node))),
    elect: ([id]) => this.#quietly(() => this.#world.elect(id!)),
    wire: () => this.#say(this.#world.wire.map(({ message }) => describeMessage(message)).join('\n')),
  };

  run(line: string): readonly string[] {
    const [name, ...words] = line.split(/ +/);
    const command = this.#commands[name!];
    if (command === undefined) throw new Error(`unknown command: ${line}`);
    this.#output = [];
    command(words);
    for (const node of this.#world.up) while (node.pendingReads > 0) node.serveRead();
    return this.#output;
  }

  get #world(): Cluster {
    if (this.#cluster === undefined) throw new Error('a scenario begins with: nodes');
    return this.#cluster;
  }

  #say(text: string): void {
    if (this.#isQuiet || text === '') return;
    this.#output.push(...text.split('\n'));
  }

  #node(id: NodeId | undefined): SimNode {
    return this.#world.node(id ?? '');
  }

  #each(ids: readonly NodeId[], act: (node: SimNode) => void): void {
    const all = ids.length > 0 ? ids : [...this.#world.nodes.keys()];
    for (const id of all) act(this.#node(id));
  }

  /** tick n1 n2 20 */
  #tick(words: readonly string[]): void {
    const count = Number(words.at(-1));
    this.#each(words.slice(0, -1), (node) => {
      for (let i = 0; i < count; i += 1) node.tick();
    });
  }

  /** nodes n1 n2 n3 [+n4 ...] [option=number ...]; those with a plus are there and no members. */
  #create(words: readonly string[]): void {
    const ids = words.filter((word) => !word.includes('=') && !word.startsWith('+'));
    const spares = words.filter((word) => word.startsWith('+')).map((word) => word.slice(1));
    const options = words.filter((word) => word.includes('=')).map((word) => word.split('='));
    const raft: Partial<RaftOptions> = Object.fromEntries(options.map(([key, value]) => [key, Number(value)]));
    this.#cluster = new Cluster({
      ids,
      spares,
      raft: { random: () => 0.5, ...raft },
      trace: (node, text) => this.#say(text.replace(/^/gm, `${node}: `)),
    });
  }

  /** Before start: durable entries of these terms, from index 1 on. */
  #presetLog({ disk }: SimNode, terms: readonly number[]): void {
    disk.entries = terms.map((term, i) => ({ term, index: i + 1, bytes: 100, payload: `${i + 1} of term ${term}` }));
    disk.hardState = { term: terms.at(-1) ?? 0, votedFor: undefined };
  }

  /** members n1 n1 n2 n3 +n4: n1 is to make these voters, and those with a plus learners. */
  #changeMembers(node: SimNode, target: readonly string[]): void {
    const result = node.proposeMembership({
      voters: target.filter((word) => !word.startsWith('+')),
      learners: target.filter((word) => word.startsWith('+')).map((word) => word.slice(1)),
    });
    if (result.kind !== 'refused') return;
    this.#say(`refused: ${result.reason}${result.reason === 'learner-behind' ? ` ${result.node}` : ''}`);
  }

  #propose(node: SimNode, payloads: readonly string[]): void {
    const result = node.propose(payloads);
    if (result.kind === 'refused') this.#say(`refused: ${result.reason}`);
  }

  /** deliver [from>to] [kind] [first | newest | copy]: what was on the wire when it began; all by default. */
  #deliver(words: readonly string[]): void {
    this.#take(words, (parcel, position, isCopy) => {
      const { from, to } = parcel.message;
      const isLost = this.#world.isCut(from, to) || !this.#node(to).isUp;
      this.#say(`-- ${describeMessage(parcel.message)}${isLost ? ' (lost)' : ''}`);
      if (isCopy) this.#world.wire.splice(position, 0, parcel);
      if (!isLost) this.#node(to).deliver(parcel);
    });
  }

  #take(words: readonly string[], act: (parcel: Cluster['wire'][number], at: number, isCopy: boolean) => void): void {
    const { wire } = this.#world;
    const which = words.find((word) => ['first', 'newest', 'copy'].includes(word));
    const link = words.find((word) => word.includes('>'));
    const kind = words.find((word) => word !== which && word !== link);
    const [from = '', to = ''] = link?.split('>') ?? [];
    const isMeant = ({ message }: Cluster['wire'][number]): boolean =>
      (from === '' || message.from === from) &&
      (to === '' || message.to === to) &&
      (kind === undefined || message.kind === kind);
    let chosen = wire.filter(isMeant);
    if (which === 'newest') chosen = chosen.slice(-1);
    else if (which !== undefined) chosen = chosen.slice(0, 1);
    if (chosen.length === 0) this.#say('(nothing on the wire)');
    for (const parcel of chosen) {
      const position = wire.indexOf(parcel);
      wire.splice(position, 1);
      act(parcel, position, which === 'copy');
    }
  }

  /** cut n1 n2 | n3 n4 n5 */
  #cut(words: readonly string[]): void {
    const bar = words.indexOf('|');
    this.#world.cut(words.slice(0, bar), words.slice(bar + 1));
  }

  /** settle [quiet]: everything pending happens; quiet leaves the trace out. */
  #settle(how: string | undefined): void {
    if (how === 'quiet') this.#quietly(() => this.#world.settle());
    else this.#world.settle();
  }

  #quietly(act: () => void): void {
    this.#isQuiet = true;
    act();
    this.#isQuiet = false;
  }
}

/** The log as the paper's figures draw it: the term of each entry. */
function describeLog(node: SimNode): string {
  const base = node.base.index > 0 ? `(${node.base.index}@${node.base.term}) ` : '';
  const terms = node.log.map((entry) => entry.term).join(' ');
  return `${node.id} ${base}${terms}${node.isUp ? ` commit=${node.raft.commit}` : ' down'}`;
}
