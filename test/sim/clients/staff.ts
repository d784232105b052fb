/**
 * A client that changes who belongs to the cluster: a machine is added, another one leaves or is replaced, some are
 * drained for a while. Each change is brought to its end, however long that takes: a cluster that cannot finish one is
 * stuck, and the run says so.
 */
import type { Harm } from '../faults/harm.ts';
import type { SimCluster } from '../world/cluster.ts';
import { failure, type SimClient } from './client-world.ts';

/** The place where the machines are. */
export interface Hall {
  /** Puts a new machine in, with an empty disk, and starts it; its id. */
  hire(): string;
  /** A machine is lost for good, disk and all, while it is a member. */
  lose(id: string): void;
  /** Takes a machine that has left away for good, unless it is lost already. */
  dismiss(id: string): void;
  /** Machines that may be removed. */
  dispensable(): readonly string[];
  /** Whether it could be lost right now, without a word. */
  canBeLost(id: string): boolean;
  /** What running nodes say of the members, by node: as of what each has applied. */
  states(): readonly ReadonlyMap<string, string>[];
  /** A change is under way. */
  isChanging: boolean;
}

export function hallOf(cluster: SimCluster, harm: Harm, mayLose: boolean): Hall {
  return {
    isChanging: false,
    hire: () => cluster.hire(),
    lose: (id) => cluster.lose(id),
    dismiss: (id) => cluster.dismiss(id),
    // The rotten disk stays: which one it is does not change in a run.
    dispensable: () => [...cluster.nodes.keys()].filter((id) => id !== harm.unlucky),
    // What the unlucky machine has acknowledged may be on it no more, known or not: its copy counts for nothing then.
    // Nor is one lost while others are kept away.
    canBeLost: (id) =>
      mayLose &&
      [...cluster.nodes.values()].every(({ isRetired }) => !isRetired) &&
      !cluster.node(harm.unlucky).weather.isHurt &&
      harm.isRedundant(id),
    states: () =>
      [...cluster.running()].map(({ broker }) => new Map(broker.cluster().nodes.map(({ id, state }) => [id, state]))),
  };
}

const MEMBER_STATES = ['member', 'drained'];

export async function manageStaff(it: SimClient, hall: Hall): Promise<void> {
  const { world, random, sdk } = it;
  for (;;) {
    await it.sleep(100 + random.below(1_500));
    if (world.isHealed) return;
    hall.isChanging = true;
    const newcomer = hall.hire();
    const isMember = (states: ReadonlyMap<string, string>): boolean =>
      MEMBER_STATES.includes(states.get(newcomer) ?? '');
    await ask(
      it,
      () => sdk.admin.addNode(newcomer, `${newcomer}:1`),
      () => hall.states().some(isMember),
    );
    tally(it, 'member added');
    const leaver = random.pick(hall.dispensable().filter((id) => id !== newcomer));
    // Whoever knows the newcomer and not the leaver has seen it leave.
    const isGone = (states: ReadonlyMap<string, string>): boolean =>
      isMember(states) && (states.get(leaver) ?? 'unknown') === 'unknown';
    const hasLeft = (): boolean => hall.states().some(isGone);
    if (random.chance(0.3)) await drain(it, leaver);
    if (random.chance(0.5)) {
      const isLost = hall.canBeLost(leaver);
      if (isLost) hall.lose(leaver);
      await ask(it, () => sdk.admin.replaceNode(leaver, newcomer), hasLeft);
      tally(it, isLost ? 'lost member replaced' : 'member replaced');
    } else {
      await ask(it, () => sdk.admin.removeNode(leaver), hasLeft);
      tally(it, 'member removed');
    }
    hall.dismiss(leaver);
    hall.isChanging = false;
  }
}

/** Once, and perhaps not: nothing rests on it. */
async function drain(it: SimClient, id: string): Promise<void> {
  it.operates();
  try {
    await it.sdk.admin.drainNode(id, true);
    tally(it, 'drain');
  } catch (error) {
    failure(error);
  }
}

/** Asks until it is seen to be so; refusals and unknown outcomes are for whoever asks again. */
async function ask(it: SimClient, act: () => Promise<void>, isSo: () => boolean): Promise<void> {
  while (!isSo()) {
    it.operates();
    try {
      await act();
    } catch (error) {
      failure(error);
    }
    await it.sleep(20 + it.random.below(200));
  }
}

function tally({ world }: SimClient, what: string): void {
  world.done[what] = (world.done[what] ?? 0) + 1;
}
