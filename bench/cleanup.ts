/**
 * What a bench leaves behind when it ends, in whatever way: nothing. Whoever starts a process or makes a directory
 * defers its end here at once; the last deferred goes first. Run once by the runner: after the scenario, after its
 * failure, or when a signal came.
 */
import { rmSync } from 'node:fs';

const REMOVALS_MAX = 10;

export class Cleanup {
  readonly #steps: { readonly what: string; readonly undo: () => Promise<void> | void }[] = [];
  #run: Promise<void> | undefined;

  /** Whoever goes on after failures has to stop then. */
  get hasBegun(): boolean {
    return this.#run !== undefined;
  }

  /** @throws when the clean-up has begun: what is made now would stay behind. */
  defer(what: string, undo: () => Promise<void> | void): void {
    if (this.#run !== undefined) throw new Error(`too late for ${what}: the bench is cleaning up`);
    this.#steps.push({ what, undo });
  }

  /** Goes through all steps, whatever becomes of one; rejects at the end when some failed. */
  run(): Promise<void> {
    this.#run ??= this.#undoAll();
    return this.#run;
  }

  async #undoAll(): Promise<void> {
    const failures: unknown[] = [];
    for (const { what, undo } of this.#steps.reverse()) {
      try {
        await undo();
      } catch (error) {
        failures.push(new Error(`${what} could not be cleaned up: ${String(error)}`, { cause: error }));
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, failures.map(String).join('; '));
  }
}

/**
 * Removes a directory with all that is in it. Synchronously, for what was interrupted may still be running in this
 * process and would go on making files between the turns of an asynchronous removal, and after it. What the thread pool
 * was just doing can come in between even so: hence more than one attempt.
 */
export function removeDir(dir: string): void {
  for (let attempt = 1; ; attempt++) {
    try {
      rmSync(dir, { recursive: true, force: true });
      return;
    } catch (error) {
      if (attempt === REMOVALS_MAX) throw error;
    }
  }
}
