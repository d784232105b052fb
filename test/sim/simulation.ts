/**
 * One run: a seed in, a report out, or the first broken promise. Two phases (docs/simulation.md): clients at work while
 * faults strike, with every invariant checked at every step; then a random quorum is healed and has to make progress
 * and agree, then everybody is. What clients saw is judged by the oracle at the end, and the disks are read by
 * themselves.
 */
import { CATALOG_GROUP } from '../../src/broker/catalog.ts';
import { Prng } from '../raft/support/prng.ts';
import { Alarms } from './alarms.ts';
import { type ClientWorld, SimClient } from './clients/client-world.ts';
import { moveIn } from './clients/lodging.ts';
import { garden, OPERATIONS, operate } from './clients/operators.ts';
import type { RawChanges } from './clients/raw-changes.ts';
import { follow, visit } from './clients/readers.ts';
import { type Hall, hallOf, manageStaff } from './clients/staff.ts';
import { appendBatches, produce } from './clients/writers.ts';
import { compareReplicas } from './end/compare-replicas.ts';
import { cutInTwo, hasMajorities, isFinished } from './end/cut-in-two.ts';
import { effectsOf, effectsOn } from './end/effects.ts';
import { type CompactedGroup, cleanRecords, isCompacted } from './end/is-compacted.ts';
import { isConverged } from './end/is-converged.ts';
import { lastWords, lineText } from './end/last-words.ts';
import type { Fault } from './faults/fault.ts';
import { Harm } from './faults/harm.ts';
import { isForgetful } from './habits.ts';
import { allInvariants } from './invariants/all.ts';
import { type GroupView, View, Violation } from './invariants/view.ts';
import { type Counts, describeAnomalies, judge, Recorder } from './oracle/index.ts';
import { Plan, type PlanOptions } from './plan.ts';
import { SimCluster, type SimNode } from './world/cluster.ts';
import { guarded } from './world/guard.ts';
import { observed } from './world/observer.ts';
import type { LogLine, SimProcess } from './world/process.ts';
import { Scheduler } from './world/scheduler.ts';
import { quietProcess } from './world/unhandled.ts';

export interface SimulationOptions extends PlanOptions {
  /** One line of the trace. */
  readonly onTrace?: (line: string) => void;
}

/** A promise was broken: of safety, or of liveness. Anything else that is thrown is a crash. */
export class LivenessFailure extends Error {
  override readonly name = 'LivenessFailure';
}

export interface Report {
  readonly seed: number;
  readonly traceHash: number;
  readonly events: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly simulatedMs: number;
  readonly nodes: number;
  readonly acked: number;
  readonly refused: number;
  readonly unknown: number;
  readonly reads: number;
  readonly trimmed: number;
  readonly checks: number;
  /** Faults and operations that took effect. */
  readonly effects: Readonly<Record<string, number>>;
}

const BORN_WITHIN_MS = 10_000;
const HEALED_WITHIN_MS = 40_000;
const STEP_MS = 20;
const LEADS = 'leads a partition';

/** Runs a seed to its end. Synchronous: to be called on a fresh turn (scheduler.ts). */
export function simulate(options: SimulationOptions): Report {
  const simulation = new Simulation(options);
  return quietProcess(simulation.scheduler, () =>
    guarded(() =>
      observed(
        simulation.view,
        () => simulation.scheduler.current?.name,
        () => simulation.run(),
      ),
    ),
  );
}

class Simulation {
  readonly scheduler = new Scheduler();
  readonly view = new View(allInvariants(), (error) => this.#failed(error));
  readonly #options: SimulationOptions;
  readonly #plan: Plan;
  readonly #cluster: SimCluster;
  readonly #harm: Harm;
  readonly #world: ClientWorld;
  readonly #effects: Record<string, number> = {};
  readonly #clientNames: string[] = [];
  readonly #alarms: Alarms;
  readonly #hall: Hall;
  /** Topics in the order of their ids, which is that of their groups. */
  readonly #made: { readonly name: string; readonly id: number }[] = [];
  #rawChanges: RawChanges | undefined;
  #clientsAtWork = 0;
  #isChaos = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(options: SimulationOptions) {
    this.#options = options;
    const plan = new Plan(options);
    this.#plan = plan;
    this.#cluster = new SimCluster(this.scheduler, plan.clusterSeed, plan.cluster, {
      onLine: (process, line) => this.#line(process, line),
      onUnexpectedEnd: (node, error) => this.#endedByItself(node, error),
      onGone: ({ id }) => this.view.forget(id),
    });
    this.view.onPartition = (node, partition) => this.#cluster.node(node).partitions.set(partition.groupId, partition);
    this.view.onDeceived = (node) => {
      this.#cluster.node(node).weather.isDeceived = true;
    };
    this.#harm = new Harm(plan.unlucky, this.view, (node) => this.#cluster.nodes.has(node));
    this.#cluster.mayLosePower = (node) => !node.weather.hasLied || this.#harm.isRedundant(node.id);
    // Of a group with fewer replicas than three the loss of one is the loss of the group.
    this.#hall = hallOf(this.#cluster, this.#harm, !plan.operations.includes('garden'));
    const fail = (violation: Violation): void => this.#failed(violation);
    this.#alarms = new Alarms({ cluster: this.#cluster, harm: this.#harm, view: this.view, fail });
    const recorder = new Recorder();
    const done = {};
    this.#world = { cluster: this.#cluster, recorder, isHealed: false, isOver: false, acked: new Map(), done };
    this.scheduler.onCrash = (error, process) => this.#crashed(error, process);
  }

  run(): Report {
    const { scheduler } = this;
    const ids = [...this.#cluster.nodes.keys()];
    this.#trace(
      () =>
        `seed ${this.#options.seed}: ${ids.length} nodes, faults ${this.#plan.faults.map(({ fault }) => fault.name)}`,
    );
    for (const id of ids) this.#cluster.boot(id);
    this.#until(() => this.#isReady(ids), 'the cluster is born', BORN_WITHIN_MS);
    this.#createTopics();
    this.#employ();
    this.#isChaos = true;
    for (const { fault, number } of this.#plan.faults) this.#unleash(fault, new Prng(this.#options.seed * 64 + number));
    this.#runFor(this.#plan.chaosMs);
    this.#isChaos = false;
    this.#trace(() => 'the chaos is over');
    this.#healQuorum();
    this.#healAll();
    this.#judge();
    const { compacted, forgotten, ...verdict } = this.#judgeClients();
    return {
      seed: this.#options.seed,
      traceHash: scheduler.traceHash,
      events: scheduler.events,
      counts: scheduler.counts,
      simulatedMs: scheduler.nowMs,
      nodes: ids.length,
      ...verdict,
      checks: this.view.checks,
      effects: this.#allEffects({ compacted, forgotten }),
    };
  }

  // What happens.

  #createTopics(): void {
    const client = new SimClient(this.#world, 'founder', this.#plan.random.below(2 ** 31));
    let left = this.#plan.topics.length;
    client.process.in(0, 'client', () => {
      for (const { name, replicas, compaction } of this.#plan.topics) {
        const { recorder } = this.#world;
        if (compaction !== undefined)
          recorder.note({ kind: 'compacted', partition: name, isForgetful: isForgetful(compaction) });
        const op = recorder.begin({ kind: 'create', client: 'founder', partition: name });
        const policy = compaction && { tombstoneRetentionMs: compaction.tombstoneRetentionMs };
        const created = client.sdk.admin.ensureTopic({ name, replicas, ...(policy && { compaction: policy }) });
        created.then(
          ({ id }) => {
            recorder.end(op, { kind: 'done' });
            // The answers come as leaders are found, in any order.
            this.#made.push({ name, id: Number(id) });
            this.#made.sort((a, b) => a.id - b.id);
            left -= 1;
          },
          (error: unknown) => this.#failed(error),
        );
      }
    });
    this.#until(() => left === 0, 'the topics are there', BORN_WITHIN_MS);
    client.process.end();
  }

  #employ(): void {
    const paceMs = this.#plan.paceMs;
    const operations = OPERATIONS.filter((name) => this.#plan.operations.includes(name));
    for (const simTopic of this.#plan.topics) {
      const { name: topic } = simTopic;
      this.#hire(`p-${topic}`, (it) => produce(it, simTopic, paceMs));
      this.#hire(`b-${topic}`, (it) => appendBatches(it, simTopic, paceMs));
      this.#hire(`f-${topic}`, (it) => follow(it, topic));
      this.#hire(`v-${topic}`, (it) => visit(it, topic, 4 * paceMs));
      this.#hire(`o-${topic}`, (it) => operate(it, topic, operations));
    }
    if (this.#plan.habits.includes('members')) this.#hire('staff', (it) => manageStaff(it, this.#hall));
    if (this.#plan.operations.includes('garden')) this.#hire('gardener', garden);
    this.#rawChanges = moveIn({
      lodgers: this.#plan.lodgers,
      world: this.#world,
      topics: this.#plan.topics.map((topic) => ({ ...topic, group: this.#groupOf(topic.name)!.id })),
      seed: this.#options.seed,
      paceMs,
      hasLeases: this.#plan.habits.includes('leases'),
      mayVoteOut: () => !this.#cluster.node(this.#harm.unlucky).weather.isHurt,
    });
  }

  #hire(name: string, work: (it: SimClient) => Promise<void>): void {
    const client = new SimClient(this.#world, name, this.#plan.random.below(2 ** 31));
    this.#clientNames.push(name);
    this.#clientsAtWork += 1;
    client.process.in(0, 'client', () => {
      work(client)
        .then(() => client.sdk.close())
        .then(
          () => {
            this.#clientsAtWork -= 1;
          },
          (error: unknown) => this.#failed(error),
        );
    });
  }

  #unleash(fault: Fault, random: Prng): void {
    const { scheduler } = this;
    const cluster = this.#cluster;
    const world = {
      cluster,
      harm: this.#harm,
      get nodeIds(): readonly string[] {
        return [...cluster.nodes.keys()];
      },
      clientNames: this.#clientNames,
      later: (ms: number, act: () => void) => {
        scheduler.in(ms, 'world', undefined, () => {
          if (this.#isChaos) act();
        });
      },
    };
    const next = (): void => {
      world.later(fault.everyMs * (0.3 + 1.4 * random.next()), () => {
        const hasStruck = fault.strike(world, random);
        this.#trace(() => `${hasStruck ? 'FAULT' : 'fault without effect'} ${fault.name}`);
        if (hasStruck) this.#effects[fault.name] = (this.#effects[fault.name] ?? 0) + 1;
        next();
      });
    };
    next();
  }

  // Healing.

  #healQuorum(): void {
    const ids = this.#cutInTwo() ?? this.#healSome();
    this.#world.isHealed = true;
    const before = new Map(this.#world.acked);
    // Asked anew each time: what a log holds of a change is known only once its node has opened it again.
    const waiting = (): readonly string[] =>
      this.#plan.topics
        .map(({ name }) => name)
        .filter((name) => (this.#world.acked.get(name) ?? 0) <= (before.get(name) ?? 0) + 3)
        .filter((name) => this.#hasMajority(name, ids));
    this.#until(
      () => waiting().length === 0,
      () => `appends to ${waiting()} are acknowledged by ${ids}`,
      HEALED_WITHIN_MS,
    );
  }

  /** A quorum that is able to elect, by chance not everybody: the rest stays as far away as it is. */
  #healSome(): readonly string[] {
    const ids = [...this.#cluster.nodes.keys()];
    const majority = Math.floor(ids.length / 2) + 1;
    const { unlucky } = this.#harm;
    // Good copies of what is bad on a damaged disk may lie on any other: that one is not needed for a majority.
    const isSpared = this.#cluster.node(unlucky).weather.isUnreliable;
    const healed = ids
      .map((id) => ({ id, draw: isSpared && id === unlucky ? 1 : this.#plan.random.next() }))
      .sort((a, b) => a.draw - b.draw)
      // In the middle of a change a majority of the machines is not one of the voters.
      .slice(0, this.#plan.random.chance(0.5) && !this.#hall.isChanging ? majority : ids.length)
      .map(({ id }) => id);
    this.#trace(() => `healing ${healed}`);
    this.#healNodes(healed);
    for (const id of ids) if (!healed.includes(id)) this.#cluster.retire(id);
    return healed;
  }

  /** See cutInTwo(). Undefined when no change comes about, or not in this run. */
  #cutInTwo(): readonly string[] | undefined {
    const { cutting: random, topics } = this.#plan;
    if (random === undefined || (this.#rawChanges === undefined && !this.#hall.isChanging)) return undefined;
    this.#healNodes([...this.#cluster.nodes.keys()]);
    const catalog = this.view.groups.get(CATALOG_GROUP)!;
    const cut = cutInTwo({
      ...{ cluster: this.#cluster, unlucky: this.#harm.unlucky, random, catalog },
      groups: [catalog, ...topics.flatMap(({ name }) => this.#groupOf(name) ?? [])],
      begin: () => {
        this.#rawChanges?.change();
        return this.#rawChanges !== undefined || this.#hall.isChanging;
      },
      runUntil: (isSo) => this.#runUntil(isSo, STEP_MS),
    });
    if (cut === undefined) return undefined;
    const { group, left } = cut;
    this.#trace(() => `a change of group ${group.id} is cut in two: ${left} are left`);
    // What was begun behind it may need others.
    this.#until(
      () => isFinished(group, left) || !hasMajorities([group], left),
      () => `the change of group ${group.id} is finished by ${left}`,
      HEALED_WITHIN_MS,
    );
    this.#world.done['change cut in two'] = 1;
    return left;
  }

  #healNodes(ids: readonly string[]): void {
    this.#cluster.wires.heal();
    this.#cluster.forge = undefined;
    for (const id of ids) this.#cluster.heal(id);
    this.#until(
      () => ids.every((id) => !this.#cluster.node(id).isStopping),
      'nobody is stopping any more',
      HEALED_WITHIN_MS,
    );
    for (const id of ids) {
      this.#cluster.boot(id);
      this.#cluster.introduce(id);
    }
  }

  #healAll(): void {
    const ids = [...this.#cluster.nodes.keys()];
    for (const id of ids) this.#cluster.node(id).isRetired = false;
    this.#healNodes(ids);
    // Some of them may leave, and others come, until a change of the members is at its end.
    this.#until(
      () => this.#isReady([...this.#cluster.nodes.keys()]),
      'every node is ready after healing',
      HEALED_WITHIN_MS,
    );
    this.#world.recorder.note({ kind: 'healed' });
    const before = new Map(this.#world.acked);
    this.#until(
      () => this.#plan.topics.every(({ name }) => (this.#world.acked.get(name) ?? 0) > (before.get(name) ?? 0) + 3),
      'appends to every topic are acknowledged after healing',
      HEALED_WITHIN_MS,
    );
    this.#world.isOver = true;
    this.#until(() => this.#clientsAtWork === 0, 'every client has had its answers', HEALED_WITHIN_MS);
    this.#until(() => this.#isConverged(), 'all replicas are at the same end', HEALED_WITHIN_MS);
    this.#untilCompacted();
  }

  #hasMajority(topic: string, ids: readonly string[]): boolean {
    const group = this.#groupOf(topic);
    return group === undefined || hasMajorities([group], ids);
  }

  #groupOf(topic: string): GroupView | undefined {
    const groups = [...this.view.groups.values()].filter(({ id }) => id > 0);
    // These topics are made before any other: their groups are the first ones.
    return groups.sort((a, b) => a.id - b.id)[this.#made.findIndex(({ name }) => name === topic)];
  }

  #isReady(ids: readonly string[]): boolean {
    return ids.every((id) => {
      const { broker } = this.#cluster.node(id);
      const mayWait = id === this.#harm.unlucky && this.#alarms.lost().length > 0;
      return broker?.readiness().every(({ isOk, name }) => isOk || (name === 'logs' && mayWait)) === true;
    });
  }

  #isConverged(): boolean {
    const lost = this.#alarms.lost();
    return isConverged(this.view.groups.values(), {
      isThere: (node) => this.#cluster.nodes.has(node),
      mayDiffer: (node, group) => node === this.#harm.unlucky && lost.includes(group),
    });
  }

  /** With a small table and a slow pace that takes many passes: as long as they go on, they are waited for. */
  #untilCompacted(): void {
    const groups = this.#plan.topics.flatMap(({ name, compaction }): CompactedGroup[] => {
      const group = this.#groupOf(name)?.id;
      if (compaction === undefined || group === undefined) return [];
      const mayBeStuck = (id: string, isDamaged: boolean): boolean =>
        id === this.#harm.unlucky && (isDamaged || this.#alarms.lost().includes(group));
      return [{ group, compaction, mayBeStuck }];
    });
    const isDone = (): boolean => groups.every((group) => isCompacted(this.#cluster, group));
    while (!isDone()) {
      const clean = cleanRecords(this.#cluster, groups);
      const isOn = (): boolean => isDone() || cleanRecords(this.#cluster, groups) > clean;
      this.#until(isOn, 'no log is left to be compacted', HEALED_WITHIN_MS);
    }
  }

  // Judging.

  #judge(): void {
    let isDone = false;
    const isLost = (node: string): boolean => node === this.#harm.unlucky && this.#alarms.lost().length > 0;
    const isDamaged = (node: string): boolean => this.#cluster.node(node).weather.isDamaged;
    compareReplicas(this.#cluster, this.#plan.topics, this.#world.recorder, isLost, isDamaged).then(
      () => {
        isDone = true;
      },
      (error: unknown) => this.#failed(error),
    );
    this.#until(() => isDone, 'every replica can be read', HEALED_WITHIN_MS);
  }

  #judgeClients(): Omit<Counts, 'seen'> {
    const { anomalies, counts } = judge(this.#world.recorder.events);
    if (anomalies.length > 0) throw new Violation(`what clients saw breaks promises:\n${describeAnomalies(anomalies)}`);
    const { seen: _, ...told } = counts;
    return told;
  }

  #allEffects({ compacted, forgotten }: Pick<Counts, 'compacted' | 'forgotten'>): Record<string, number> {
    return {
      ...{ ...this.#effects, ...this.#world.done, ...effectsOf(this.view), ...effectsOn(this.#cluster) },
      ...{ 'record compacted away': compacted, 'deletion forgotten': forgotten },
    };
  }

  // Running.

  #runFor(ms: number): void {
    const endMs = this.scheduler.nowMs + ms;
    this.scheduler.run(endMs, () => this.#failure !== undefined);
    this.#throwFailure();
  }

  /** To the very event that makes it so; false: none did within that time. */
  #runUntil(isSo: () => boolean, ms: number): boolean {
    let hasCome = false;
    this.scheduler.run(this.scheduler.nowMs + ms, () => {
      hasCome = isSo();
      return hasCome || this.#failure !== undefined;
    });
    this.#throwFailure();
    return hasCome;
  }

  #until(condition: () => boolean, what: string | (() => string), withinMs: number): void {
    const endMs = this.scheduler.nowMs + withinMs;
    while (!condition()) {
      if (this.scheduler.nowMs >= endMs) {
        const missed = typeof what === 'string' ? what : what();
        throw new LivenessFailure(`not within ${withinMs} ms: ${missed}\n${lastWords(this.#cluster, this.view)}`);
      }
      this.#runFor(STEP_MS);
    }
  }

  #failed(error: unknown): void {
    this.#failure ??= { error };
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Code of a process threw, or left a rejection: in production that ends the process at once. */
  #crashed(error: unknown, process: SimProcess | undefined): void {
    // What a dead process would have done with the wreckage of its storage is nobody's business.
    if (process?.isOver === true) return;
    this.#failed(error);
  }

  #endedByItself(node: SimNode, error: unknown): void {
    this.#failed(new Error(`${node.id} ended by itself: ${error}`, { cause: error }));
  }

  #line(process: SimProcess, line: LogLine): void {
    this.#trace(() => `${process.name} ${lineText(line)}`);
    // The last words of one that was just ended by its disk, in the same turn.
    if (process.isOver) return;
    if (line.message === LEADS)
      this.#rawChanges?.elected(process.name, (line.fields as { readonly group: number }).group);
    this.#alarms.hear(process.name, line);
  }

  #trace(line: () => string): void {
    this.#options.onTrace?.(`${this.scheduler.nowMs.toFixed(3).padStart(10)} ${line()}`);
  }
}
