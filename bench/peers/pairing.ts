/**
 * logdrive and one peer side by side: opens their clients, gives each work to all of them in turn, the order turned
 * round at every repeat, and keeps the samples in pairs. A work that fails for a client is told of and taken from it;
 * its other works go on.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { useOf } from '../bench-cluster.ts';
import { type Figure, figureOf, type ProcessUse, type Ratio } from '../result.ts';
import type { BenchContext } from '../scenario.ts';
import { ClientProcess } from './client-process.ts';
import type { ClientSpec, NamedSample, RatioName, RunningPeer } from './peer.ts';
import type { PeersDir } from './peers-dir.ts';
import { ratioOf } from './ratios.ts';
import { type Contestant, type Numbers, SPECS, WORKS, type Work } from './rounds.ts';

const FAILOVER = { lanes: 16, size: 100, settleMs: 500, watchMs: 2_000, timeoutMs: 60_000 };
const LEADER_MS_MAX = 30_000;
const POLL_MS = 100;

export interface PairingOptions {
  readonly seconds: number;
  readonly repeats: number;
  readonly connections: number;
  readonly kills: number;
}

export class Pairing {
  /** Works that could not be measured, as sentences. */
  readonly failures: string[] = [];
  /** What servers and clients of both sides used during the counted repeats. */
  processes: readonly ProcessUse[] = [];
  readonly #context: BenchContext;
  readonly #ours: Contestant;
  readonly #theirs: readonly Contestant[];

  private constructor(context: BenchContext, ours: Contestant, theirs: readonly Contestant[]) {
    this.#context = context;
    this.#ours = ours;
    this.#theirs = theirs;
  }

  static async open(context: BenchContext, tools: PeersDir, ours: RunningPeer, theirs: RunningPeer): Promise<Pairing> {
    // Each in a process of its own, its library warmed up and its garbage collected by itself alone.
    const enter = async (system: RunningPeer, spec: ClientSpec, id: string): Promise<Contestant> => {
      const process = new ClientProcess(context.cleanup, `${spec.driver} (${spec.label})`);
      const { driver, settings } = spec;
      const offer = await process.call('open', { driver, settings, peersDir: tools.path });
      return { system, spec, process, offer, id, samples: new Map(), failed: new Set() };
    };
    const us = await enter(ours, ours.clients[0]!, 'us');
    const them: Contestant[] = [];
    for (const [at, spec] of theirs.clients.entries()) them.push(await enter(theirs, spec, `them${at}`));
    return new Pairing(context, us, them);
  }

  async run({ seconds, repeats, connections, kills }: PairingOptions): Promise<void> {
    // The first round is not counted: code is cold on both sides, which is a matter of seconds for Java.
    let before: readonly NamedSample[] = [];
    for (let repeat = 0; repeat <= repeats; repeat++) {
      if (repeat === 1) before = await this.#look();
      const round = { repeat, seconds, connections };
      for (const work of WORKS) {
        const opponents = this.#theirs.filter((each) => work.offers(each.offer) && !each.failed.has(work.name));
        if (opponents.length === 0) continue;
        const order = repeat % 2 === 0 ? [this.#ours, ...opponents] : [...opponents, this.#ours];
        for (const contestant of order) {
          const numbers = await this.#attempt(contestant, work, () => work.measure(contestant, round));
          if (repeat > 0) keep(contestant, numbers);
        }
      }
    }
    const after = await this.#look();
    this.processes = after.map(({ name, sample }, at) => useOf(name, before[at]!.sample, sample));
    const opponent = this.#theirs.find(canFailOver);
    if (opponent === undefined) return;
    for (const contestant of [this.#ours, opponent]) {
      await this.#attempt(contestant, { name: 'failover' }, async () => {
        await this.#failovers(contestant, kills);
        return {};
      });
    }
  }

  /** Those of the peer's clients, and of logdrive beside them. */
  figures(): Figure[] {
    return [this.#ours, ...this.#theirs].flatMap(({ system, spec, samples }) =>
      [...samples].map(([name, values]) =>
        figureOf({ name: `${name}: ${system.label}; ${spec.label}${this.#beside(system)}`, ...SPECS[name] }, values),
      ),
    );
  }

  ratios(): Ratio[] {
    return this.#theirs.flatMap(({ system, spec, samples }) =>
      [...samples].flatMap(([name, theirs]) => {
        const logdrive = this.#ours.samples.get(name);
        // A repeat that failed on one side has no partner on the other.
        if (logdrive?.length !== theirs.length) return [];
        const target = spec.targets?.[name];
        const figure = { name, ...SPECS[name], ...(target !== undefined && { target }) };
        return [ratioOf({ spec: figure, peer: system.label, client: spec.label, logdrive, theirs })];
      }),
    );
  }

  async #look(): Promise<readonly NamedSample[]> {
    const contestants = [this.#ours, ...this.#theirs];
    const ours = (await this.#ours.system.look()).map((each) => ({ ...each, name: `logdrive ${each.name}` }));
    const theirs = await this.#theirs[0]!.system.look();
    return [...ours, ...theirs, ...(await Promise.all(contestants.map(({ process }) => process.look())))];
  }

  /** logdrive is measured beside each peer again: its figures are told apart by that. */
  #beside(system: RunningPeer): string {
    return system === this.#ours.system ? `, beside ${this.#theirs[0]!.system.label}` : '';
  }

  async #attempt(contestant: Contestant, work: Pick<Work, 'name'>, measure: () => Promise<Numbers>): Promise<Numbers> {
    const who = `${contestant.system.label}; ${contestant.spec.label}`;
    try {
      const numbers = await measure();
      const shown = Object.entries(numbers).map(([name, value]) => `${name} ${value.toFixed(value < 100 ? 2 : 0)}`);
      if (shown.length > 0) this.#context.say(`${who}: ${shown.join(', ')}`);
      return numbers;
    } catch (error) {
      // Without logdrive there is no pair left to make, so that goes to the caller.
      if (contestant === this.#ours) throw error;
      contestant.failed.add(work.name);
      const sentence = `${work.name} FAILED for ${who}: ${(error as Error).message.split('\n')[0]}`;
      this.#context.say(sentence);
      this.failures.push(sentence);
      return {};
    }
  }

  async #failovers({ system, process, samples }: Contestant, kills: number): Promise<void> {
    if (kills === 0) return;
    const topic = 'failover';
    const gaps: number[] = [];
    await process.call('createTopic', { topic });
    await process.call('startLoad', { topic, size: FAILOVER.size, lanes: FAILOVER.lanes });
    for (let kill = 0; kill < kills; kill++) {
      await delay(FAILOVER.settleMs);
      const leader = await leaderOf(process, topic);
      const { watchMs, timeoutMs } = FAILOVER;
      const measured = process.call('gap', { watchMs, timeoutMs });
      // A rejection before the kill is done is told of when it is awaited.
      measured.catch(() => undefined);
      await system.killNode!(leader);
      gaps.push(await measured);
      await system.restartNode!(leader);
      this.#context.say(`${system.label}: failover gap ${gaps.at(-1)!.toFixed(0)} ms`);
    }
    await process.call('stopLoad', {});
    samples.set('failover gap', gaps);
  }
}

function canFailOver({ system, offer }: Contestant): boolean {
  return system.killNode !== undefined && system.restartNode !== undefined && !!offer.leader && !!offer.sender;
}

function keep({ samples }: Contestant, numbers: Numbers): void {
  for (const [name, value] of Object.entries(numbers) as [RatioName, number][]) {
    samples.set(name, [...(samples.get(name) ?? []), value]);
  }
}

async function leaderOf(process: ClientProcess, topic: string): Promise<number> {
  const deadlineMs = performance.now() + LEADER_MS_MAX;
  for (;;) {
    const leader = await process.call('leader', { topic });
    if (leader !== null) return leader;
    if (performance.now() > deadlineMs) throw new Error(`nobody led ${topic} within ${LEADER_MS_MAX} ms`);
    await delay(POLL_MS);
  }
}
