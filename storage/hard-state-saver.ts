/**
 * Saves the hard state of one log: one save after the other, past the queue of entries, before all other flushes. Where
 * nothing can be written for now it is tried again until that works: term and vote are promises that leave later then,
 * and nothing is lost by that (F38, F39). Both slots are written anew each time, so that no flush is retried without
 * its data (W4). Any other failure is final.
 */
import assert from 'node:assert/strict';
import { isStorageError, type StorageError } from './errors.ts';
import type { FlushScheduler } from './flush-scheduler.ts';
import type { Timers } from './group-commit.ts';
import type { HardStateFile } from './hard-state.ts';
import type { HardState } from './types.ts';

const AGAIN_MS = 500;

export interface HardStateSaverParts {
  readonly file: HardStateFile;
  readonly scheduler: FlushScheduler;
  readonly timers: Timers;
  /** Nothing can be written for now. */
  onFull(cause: StorageError): void;
  /** What waited for that is written. */
  onSpace(): void;
}

export class HardStateSaver {
  readonly #parts: HardStateSaverParts;
  #state: HardState;
  #saving: Promise<void> | undefined;
  /** Ends the pause before the next attempt. */
  #goOn: (() => void) | undefined;
  #isAbandoned = false;

  constructor(parts: HardStateSaverParts) {
    this.#parts = parts;
    this.#state = parts.file.state;
  }

  /** Resolves when everything given so far is durable; undefined when it is. */
  get pending(): Promise<void> | undefined {
    return this.#saving;
  }

  /** As recovered or as last given; durable when its save() resolves. */
  get state(): HardState {
    return this.#state;
  }

  /** Durable in both slots when it resolves. Throws at once for a state that takes a promise back (R1). */
  save(state: HardState): Promise<void> {
    const { term, votedFor } = this.#state;
    if (state.term < term) assert.fail(`term ${state.term} after ${term}`);
    const keepsVote = state.term > term || votedFor === undefined || state.votedFor === votedFor;
    if (!keepsVote) assert.fail(`vote for ${state.votedFor} in term ${term}, after one for ${votedFor}`);
    this.#state = state;
    return this.#inTurn(state);
  }

  async #inTurn(state: HardState): Promise<void> {
    const previous = this.#saving ?? Promise.resolve();
    const saving = previous.then(() => this.#write(state));
    this.#saving = saving;
    try {
      await saving;
    } finally {
      if (this.#saving === saving) this.#saving = undefined;
    }
  }

  /** Waits for what is under way; what waits for room is given up. */
  async close(): Promise<void> {
    this.#isAbandoned = true;
    this.#goOn?.();
    // A failed save has been told to its caller, and to the owner of the log.
    await this.#saving?.catch(() => undefined);
    await this.#parts.file.close();
  }

  async #write(state: HardState): Promise<void> {
    const { file, scheduler, onFull, onSpace } = this.#parts;
    for (let wasFull = false; ; wasFull = true) {
      try {
        await scheduler.run('hard-state', () => file.save(state));
        if (wasFull) onSpace();
        return;
      } catch (error) {
        if (!isStorageError(error, 'FULL') || this.#isAbandoned) throw error;
        if (!wasFull) onFull(error);
        await this.#pause();
        if (this.#isAbandoned) throw error;
      }
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#parts.timers.after(AGAIN_MS, () => this.#goOn?.());
      this.#goOn = () => {
        timer.cancel();
        this.#goOn = undefined;
        resolve();
      };
    });
  }
}
