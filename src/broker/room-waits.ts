/**
 * Work on logs that found no room on the disk: making, opening and removing them. It is done again until there is room,
 * so that a full disk needs nobody to start the node again (F38). Trying is the only proof, since neither a quota nor
 * a read-only file system shows in the free space.
 */
import type { TimerHandle, Timers } from '../env.ts';
import { isOutOfRoom } from '../partition/index.ts';

const AGAIN_MS = 500;

export interface RoomWaitEvents {
  onWaiting(groupId: number, error: Error): void;
  onGoneOn(groupId: number): void;
}

interface Wait {
  /** Undefined while an attempt is under way. */
  pause: { readonly timer: TimerHandle; end(): void } | undefined;
}

export class RoomWaits {
  readonly #timers: Pick<Timers, 'after'>;
  readonly #events: RoomWaitEvents;
  /** By group: work of one group runs one after the other. */
  readonly #waits = new Map<number, Wait>();

  constructor(timers: Pick<Timers, 'after'>, events: RoomWaitEvents) {
    this.#timers = timers;
    this.#events = events;
  }

  /** Whether any work found no room and is not done yet. */
  get isAny(): boolean {
    return this.#waits.size > 0;
  }

  /** Resolves once `work` is done or given up; rejects as it does, if not for want of room. */
  async run(groupId: number, work: () => Promise<void>, isGivenUp: () => boolean): Promise<void> {
    const wait: Wait = { pause: undefined };
    try {
      for (;;) {
        const error = await outOfRoom(work);
        if (error === undefined || isGivenUp()) break;
        if (!this.#waits.has(groupId)) this.#events.onWaiting(groupId, error);
        this.#waits.set(groupId, wait);
        await this.#pause(wait);
      }
    } finally {
      if (this.#waits.delete(groupId)) this.#events.onGoneOn(groupId);
    }
  }

  /** What waits for room tries again at once, or finds that it was given up. */
  wake(groupId: number): void {
    const pause = this.#waits.get(groupId)?.pause;
    pause?.timer.cancel();
    pause?.end();
  }

  wakeAll(): void {
    for (const groupId of this.#waits.keys()) this.wake(groupId);
  }

  #pause(wait: Wait): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        wait.pause = undefined;
        resolve();
      };
      wait.pause = { timer: this.#timers.after(AGAIN_MS, end), end };
    });
  }
}

async function outOfRoom(work: () => Promise<void>): Promise<Error | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (isOutOfRoom(error)) return error;
    throw error;
  }
}
