/**
 * The open logs that found no room for a write and have found none since; each is told of once as it comes and goes.
 */
import type { Logger } from '../env.ts';

export class FullLogs {
  readonly #logger: Logger;
  readonly #groups = new Set<number>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  get isAny(): boolean {
    return this.#groups.size > 0;
  }

  changed(groupId: number, isFull: boolean, err: Error | undefined): void {
    if (isFull) {
      this.#groups.add(groupId);
      this.#logger.warn({ group: groupId, err }, 'nothing can be written: it is tried again until that works');
    } else {
      this.#groups.delete(groupId);
      this.#logger.info({ group: groupId }, 'a log that could not be written goes on');
    }
  }

  /** It is open no more. */
  closed(groupId: number): void {
    this.#groups.delete(groupId);
  }
}
