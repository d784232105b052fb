/**
 * Damage found in one log, at open or by a read: which bytes, which entries, and what is known around them. Nothing
 * here changes a file; repair.ts does, and takes a fault off the list when its bytes are sound again.
 */
import type { Fault } from './segment-scan.ts';
import type { StoredSegment } from './stored-segment.ts';
import type { Damage, LogIndex } from './types.ts';

export interface FoundFault {
  readonly segmentId: number;
  readonly path: string;
  readonly where: Damage['where'];
  readonly fault: Fault;
}

export class DamageList {
  #found: FoundFault[] = [];

  get all(): readonly FoundFault[] {
    return this.#found;
  }

  /** The public list, in index order. */
  list(): Damage[] {
    return this.#found
      .map(({ path, where, fault }) => ({
        file: path,
        position: fault.position,
        firstIndex: fault.before.index + 1,
        lastIndex: fault.after.index,
        where,
      }))
      .sort((a, b) => a.firstIndex - b.firstIndex);
  }

  /** What a scan of one segment found replaces what was known of it. */
  note(segment: Pick<StoredSegment, 'segmentId' | 'path' | 'isSealed'>, faults: readonly Fault[]): void {
    const { segmentId, path, isSealed } = segment;
    const known = this.#found.find((found) => found.segmentId === segmentId);
    // Once damage was found in the tail it counts as such until it is repaired, also when the segment is sealed since.
    const where = known?.where ?? (isSealed ? 'sealed' : 'tail');
    this.#found = this.#found.filter((found) => found.segmentId !== segmentId);
    for (const fault of faults) this.#found.push({ segmentId, path, where, fault });
  }

  /** The fault that hides an entry. */
  covering(index: LogIndex): FoundFault | undefined {
    return this.#found.find(({ fault }) => index > fault.before.index && index <= fault.after.index);
  }

  hasIn(segmentId: number): boolean {
    return this.countIn(segmentId) > 0;
  }

  /** Damaged regions of one segment. */
  countIn(segmentId: number): number {
    return this.#found.filter((found) => found.segmentId === segmentId).length;
  }

  /** Forgets faults of entries behind `index`, which were cut off, and faults of files that are gone. */
  keepUpTo(index: LogIndex): void {
    this.#found = this.#found.filter(({ fault }) => fault.before.index < index);
  }

  keepFrom(index: LogIndex): void {
    this.#found = this.#found.filter(({ fault }) => fault.after.index >= index);
  }
}
