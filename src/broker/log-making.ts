/**
 * When this node may make a log that is not on its disk (R18, decision 0015).
 *
 * What a replica promised goes with its log when its group is deleted or moves away. A node that starts goes through
 * its catalog once more, from some earlier point, where the group may still be placed on it; a log made then would vote
 * and ack as if it had promised nothing, beside peers that have not heard of the move. So until the catalog is as new
 * as anything this node can have gone by before, only what lies on the disk is opened: until it has applied whatever
 * its leader, asked after the start, had committed.
 */
import type { Env } from '../env.ts';
import type { DataDirectory } from '../partition/index.ts';
import { LogError } from '../protocol/index.ts';
import { CATALOG_GROUP } from './catalog.ts';
import type { Host } from './host.ts';
import type { ReadLevels } from './read-levels.ts';
import { waitApplied } from './waits.ts';

export interface LogMakingParts {
  readonly env: Env;
  readonly directory: Pick<DataDirectory, 'groups'>;
  readonly host: Pick<Host, 'get'>;
  readonly levels: Pick<ReadLevels, 'askLeader'>;
  isStopping(): boolean;
}

/** One wait: for a leader to ask, or for the catalog to come as far as the leader was. */
const WAIT_MS = 1_000;
const ASK_AGAIN_MS = 50;

export class LogMaking {
  readonly #parts: LogMakingParts;
  /** Groups of which anything was on the disk at the start. */
  #found: ReadonlySet<number> = new Set();
  #isCurrent = false;

  constructor(parts: LogMakingParts) {
    this.#parts = parts;
  }

  /** Looks at what is on the disk; before any log is opened. */
  async look(): Promise<void> {
    this.#found = new Set(await this.#parts.directory.groups());
  }

  /** The catalog is as new as anything this node ever went by. */
  get isCurrent(): boolean {
    return this.#isCurrent;
  }

  get detail(): string {
    return this.#isCurrent ? 'the catalog is current' : 'those that are new here wait for the catalog to be current';
  }

  mayOpen(groupId: number): boolean {
    return this.#isCurrent || this.#found.has(groupId);
  }

  /** Resolves once the catalog is current, or the node stops. The catalog is open. */
  async untilCurrent(): Promise<void> {
    const { env, host, levels, isStopping } = this.#parts;
    let index: number | undefined;
    while (!this.#isCurrent && !isStopping()) {
      try {
        index ??= (await levels.askLeader(CATALOG_GROUP, WAIT_MS)).index;
        const partition = host.get(CATALOG_GROUP);
        if (partition !== undefined) await waitApplied(env.timers, partition, index, WAIT_MS);
        const appliedIndex = partition?.appliedIndex ?? 0;
        if (appliedIndex < index) throw new LogError('NOT_YET', `The catalog is at ${appliedIndex}, below ${index}.`);
        this.#isCurrent = true;
      } catch (error) {
        if (LogError.is(error)) env.logger.debug({ err: error }, 'the catalog cannot be brought up to date yet');
        else env.logger.error({ err: error }, 'bringing the catalog up to date failed; it is tried again');
        await new Promise<void>((resolve) => env.timers.after(ASK_AGAIN_MS, resolve));
      }
    }
  }
}
