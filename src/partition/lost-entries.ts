/**
 * The entries of one log that are damaged here and that no peer supplied when it was last asked. What is the matter
 * with the partition is said by the gravest of them: one that every replica has lost stops it, one that may be sound on
 * a replica that cannot be heard is waited for. None of this is final: an entry that turns up again is put back.
 */
import type { LogIndex } from '../../storage/index.ts';

export interface LostEntry {
  readonly index: LogIndex;
  /** Where its bytes should be on this node. */
  readonly file: string;
  readonly position: number;
  /** Replicas that could not be asked. None: it is damaged or missing on all of them. */
  readonly unheard: readonly string[];
}

export class LostEntries {
  readonly #byIndex = new Map<LogIndex, LostEntry>();
  readonly #onChange: (gravest: LostEntry | undefined) => void;
  #gravest: LostEntry | undefined;

  constructor(onChange: (gravest: LostEntry | undefined) => void) {
    this.#onChange = onChange;
  }

  /** The first that is lost everywhere, else the first. */
  get gravest(): LostEntry | undefined {
    return this.#gravest;
  }

  add(lost: LostEntry): void {
    this.#byIndex.set(lost.index, lost);
    this.#weigh();
  }

  keep(isLost: (index: LogIndex) => boolean): void {
    for (const index of this.#byIndex.keys()) if (!isLost(index)) this.#byIndex.delete(index);
    this.#weigh();
  }

  #weigh(): void {
    const inOrder = [...this.#byIndex.values()].sort((a, b) => a.index - b.index);
    const gravest = inOrder.find(({ unheard }) => unheard.length === 0) ?? inOrder[0];
    if (isSame(gravest, this.#gravest)) return;
    this.#gravest = gravest;
    this.#onChange(gravest);
  }
}

function isSame(a: LostEntry | undefined, b: LostEntry | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.index === b.index && a.position === b.position && a.unheard.join() === b.unheard.join();
}
