/**
 * Logs of deleted groups that this node does not host. A node that was away when a topic was deleted starts from a
 * catalog that may not know the topic yet, and then learns its birth and its end in one step: nothing was ever opened,
 * and the log from before lies there. So they are looked for whenever groups were deleted, not once at the start.
 */
import type { Logger } from '../env.ts';
import type { DataDirectory } from '../partition/index.ts';
import type { Catalog } from './catalog.ts';

export interface StraysParts {
  readonly directory: Pick<DataDirectory, 'groups'>;
  readonly logger: Logger;
  catalog(): Pick<Catalog, 'deletedGroups' | 'isDeleted'>;
  remove(groupId: number): Promise<void>;
  isStopping(): boolean;
}

export class Strays {
  readonly #parts: StraysParts;
  /** Catalog.deletedGroups when they were last looked for. */
  #sweptGroups = 0;
  #sweep: Promise<void> = Promise.resolve();

  constructor(parts: StraysParts) {
    this.#parts = parts;
  }

  /** To be called whenever the catalog has changed. */
  look(): void {
    const { directory, logger, catalog, remove, isStopping } = this.#parts;
    const { deletedGroups } = catalog();
    if (deletedGroups === this.#sweptGroups) return;
    this.#sweptGroups = deletedGroups;
    this.#sweep = this.#sweep
      .then(async () => {
        if (isStopping()) return;
        const strays = (await directory.groups()).filter((groupId) => catalog().isDeleted(groupId));
        for (const groupId of strays) await remove(groupId);
      })
      .catch((error: unknown) => {
        // Once more when the catalog changes next.
        this.#sweptGroups = 0;
        logger.error({ err: error }, 'logs of deleted topics could not be looked for');
      });
  }

  /** Resolves when nothing is being looked for. */
  settled(): Promise<void> {
    return this.#sweep;
  }
}
