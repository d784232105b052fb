/**
 * Somebody who changes memberships past the catalog: one change behind the other without waiting, and one at the very
 * moment a leader is elected. Most of it is refused. At the end everything is put back as the catalog has it.
 */
import type { MembershipTarget } from '../../../src/partition/index.ts';
import { type Inside, type InsideTopic, keepOn, leadersAmong, type Place, placesOf, tally, within } from './inside.ts';

const RESTORE_MS = 100;
const LOOK_MS = 6;

export class RawChanges {
  readonly #inside: Inside;
  /** False while a good copy may be on one machine alone: nobody is voted out then. */
  readonly #mayVoteOut: () => boolean;
  /** By group: whoever was seen to hold a replica. */
  readonly #hosts = new Map<number, Set<string>>();

  constructor(inside: Inside, mayVoteOut: () => boolean) {
    this.#inside = inside;
    this.#mayVoteOut = mayVoteOut;
  }

  start(paceMs: number): void {
    const { random, topics, world } = this.#inside;
    let dueMs = 0;
    keepOn(this.#inside, () => {
      for (const topic of topics) {
        // What it begins can only be cut.
        const deposed = leadersAmong(placesOf(this.#inside, topic))[1];
        if (deposed !== undefined && random.chance(0.3)) this.#change(topic, deposed, 1);
      }
      const { nowMs } = world.cluster.scheduler;
      if (nowMs < dueMs) return LOOK_MS;
      dueMs = nowMs + random.below(2 * paceMs);
      const topic = random.pick(topics);
      const leader = leadersAmong(placesOf(this.#inside, topic))[0];
      if (leader !== undefined) this.#change(topic, leader, random.chance(0.5) ? 2 : 1);
      return LOOK_MS;
    });
    const restore = (): void => {
      world.cluster.scheduler.in(RESTORE_MS, 'world', undefined, () => {
        if (world.isHealed) for (const topic of topics) this.#restore(topic);
        restore();
      });
    };
    restore();
  }

  /** One change, of any topic that has a leader; it may be refused. */
  change(): void {
    const topic = this.#inside.random.pick(this.#inside.topics);
    const leader = leadersAmong(placesOf(this.#inside, topic))[0];
    if (leader !== undefined) this.#change(topic, leader, 1);
  }

  /** It knows that it leads, and no entry of its term is committed. */
  elected(node: string, group: number): void {
    const topic = this.#inside.topics.find((one) => one.group === group);
    if (topic === undefined || this.#inside.world.isHealed) return;
    const place = placesOf(this.#inside, topic).find((one) => one.node.id === node);
    if (place !== undefined) this.#change(topic, place, 1);
  }

  #change(topic: InsideTopic, place: Place, changes: number): void {
    const hosts = this.#hostsOf(topic);
    if (hosts === undefined) return;
    const targets = Array.from({ length: changes }, () => this.#target(hosts));
    within(place, () => {
      for (const target of targets) {
        if (place.partition.changeMembership(target).kind === 'begun') tally(this.#inside, 'raw change');
        else tally(this.#inside, 'raw change refused');
      }
    });
  }

  #target(hosts: readonly string[]): MembershipTarget {
    const { random } = this.#inside;
    if (!this.#mayVoteOut() || random.chance(0.4)) return { voters: hosts, learners: [] };
    const first = random.pick(hosts);
    const voters = hosts.filter((host) => host === first || random.chance(0.5));
    const learners = hosts.filter((host) => !voters.includes(host) && random.chance(0.5));
    return { voters, learners };
  }

  /** Learner first, then voter, as the mover does it. */
  #restore(topic: InsideTopic): void {
    const hosts = this.#hostsOf(topic);
    const place = leadersAmong(placesOf(this.#inside, topic))[0];
    if (hosts === undefined || place?.partition.isReadyLeader !== true) return;
    within(place, () => {
      const { voters, votersOutgoing, learners } = place.partition.membership;
      if (votersOutgoing.length > 0 || (voters.length === hosts.length && learners.length === 0)) return;
      const missing = hosts.filter((host) => !voters.includes(host) && !learners.includes(host));
      const target =
        missing.length > 0 ? { voters, learners: [...learners, ...missing] } : { voters: hosts, learners: [] };
      place.partition.changeMembership(target);
    });
  }

  /** Undefined until all were seen. */
  #hostsOf(topic: InsideTopic): readonly string[] | undefined {
    const hosts = this.#hosts.get(topic.group) ?? new Set();
    this.#hosts.set(topic.group, hosts);
    for (const { node } of placesOf(this.#inside, topic)) hosts.add(node.id);
    return hosts.size === topic.replicas ? [...hosts].sort() : undefined;
  }
}
