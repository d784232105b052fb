/**
 * What nodes say in their logs about damage, lost logs and stopped partitions: each is news only the world can have
 * made, and a violation where it did not. An operator who reads it starts a node again whose disk failed for a while.
 */
import { isStorageError } from '../../storage/index.ts';
import type { Harm } from './faults/harm.ts';
import { type View, Violation } from './invariants/view.ts';
import type { SimCluster } from './world/cluster.ts';
import type { LogLine } from './world/process.ts';

/** From word of a stopped partition to an operator's hand. */
const OPERATOR_MS = 400;
const LOST = 'a log is lost: its replica takes no part until it has rejoined';
const DAMAGED = 'stored bytes are damaged: they are kept, and mended from a peer';
const STOPPED = 'a partition is stopped on this node; the others go on';

interface AlarmFields {
  readonly group: number;
  readonly err: Error;
}

export interface AlarmsParts {
  readonly cluster: SimCluster;
  readonly harm: Harm;
  readonly view: View;
  fail(violation: Violation): void;
}

export class Alarms {
  readonly #parts: AlarmsParts;
  /** Partitions that the unlucky machine has stopped by name, for damage that no recovery can know the extent of. */
  readonly #stopped = new Set<string>();

  constructor(parts: AlarmsParts) {
    this.#parts = parts;
  }

  /** Groups that the unlucky machine cannot serve: stopped by name. */
  lost(): readonly number[] {
    const { view, harm } = this.#parts;
    return [...view.groups.keys()].filter((id) => this.#stopped.has(`${harm.unlucky}/${id}`));
  }

  hear(node: string, { message, fields }: LogLine): void {
    if (message === STOPPED) this.#partitionStopped(node, fields as AlarmFields);
    if (message === DAMAGED) this.#damageFound(node, fields);
    if (message === LOST) this.#logLost(node, fields as AlarmFields);
  }

  /** What a crash leaves is a torn end at most, and never looks like damage: only a disk of ours may have done that. */
  #damageFound(node: string, found: object): void {
    const { cluster, fail } = this.#parts;
    const { isDamaged, lostByLying } = cluster.node(node).weather;
    if (!isDamaged && !lostByLying)
      fail(new Violation(`${node} finds damage that no disk of ours did: ${JSON.stringify(found)}`));
  }

  /** A replica begins anew, without a vote: what was durable on it is void, which only a disk of ours may do to it, or
   *  an entry that was forged on its way. */
  #logLost(node: string, { group, err }: AlarmFields): void {
    const { cluster, view, fail } = this.#parts;
    const { isDamaged, lostByLying } = cluster.node(node).weather;
    const wasDeceived = view.wasDeceived(node, group);
    if (wasDeceived) view.deceits.begunAnew += 1;
    if (isDamaged || lostByLying || wasDeceived) view.lose(node, group);
    else fail(new Violation(`${node} lost the log of group ${group} for no reason of ours: ${err}`));
  }

  /** A node goes on without one of its partitions, and says so: for an operator to see. */
  #partitionStopped(node: string, { group, err }: AlarmFields): void {
    const { cluster, fail } = this.#parts;
    const { weather } = cluster.node(node);
    if (isStorageError(err, 'IO') && weather.mayFail) {
      // The disk failed while the log was opened. What an operator does then is to start the node again.
      cluster.scheduler.in(OPERATOR_MS, 'world', undefined, () => void cluster.bounce(node, 'kill', 10));
    } else if (isStorageError(err, 'CORRUPT') && (weather.isDamaged || weather.lostByLying)) {
      this.#stopped.add(`${node}/${group}`);
    } else fail(new Violation(`${node} stopped group ${group} for no reason of ours: ${err}`));
  }
}
