/** A log at work whose user notes what it is promised, in the order in which a crash would have to respect it. */
import type { HardState, Snapshot } from '../../../storage/index.ts';
import type { ModelDisk } from '../../support/model-disk.ts';
import { type EntrySpec, nextEntries, type Opened, openLog } from '../../support/storage-fixture.ts';
import type { Promises } from './promises.ts';

export class PromisedLog {
  readonly #opened: Opened;
  readonly #promises: Promises;

  private constructor(opened: Opened, promises: Promises) {
    this.#opened = opened;
    this.#promises = promises;
  }

  static async open(disk: ModelDisk, promises: Promises, segmentBytes: number): Promise<PromisedLog> {
    const onFlushed = (at: { readonly index: number; readonly term: number }): void =>
      promises.flushed(at.index, at.term);
    return new PromisedLog(await openLog(disk, { segmentBytes, onFlushed }), promises);
  }

  get log(): Opened['log'] {
    return this.#opened.log;
  }

  append(specs: readonly EntrySpec[]): void {
    const entries = nextEntries(this.log, specs);
    this.#promises.accepted(entries);
    this.log.append(entries);
  }

  truncate(from: number): void {
    this.#promises.truncated(from);
    this.log.truncateSuffix(from);
  }

  async vote(state: HardState): Promise<void> {
    const { hardStates } = this.#promises;
    hardStates.push(state);
    const number = hardStates.length - 1;
    await this.log.saveHardState(state);
    this.#promises.hardStateMin = Math.max(this.#promises.hardStateMin, number);
  }

  /** Of everything up to the last entry. @returns its index. */
  async snapshot(): Promise<number> {
    const { log } = this;
    const { index } = await log.roll();
    const term = log.termAt(index)!;
    const chain = await log.chainBefore(index + 1);
    const state = new Uint8Array(200).fill(index);
    const { nextOffset } = log;
    await log.saveSnapshot({ index, term, nextOffset, appendTimeMs: log.lastAppendTimeMs, chain, state });
    this.#promises.snapshotMin = index;
    return index;
  }

  async trim(from: number): Promise<void> {
    this.#promises.firstIndexMax = from;
    this.#promises.firstIndexMin = await this.log.trimPrefix(from);
  }

  async install(point: Omit<Snapshot, 'state'>): Promise<void> {
    this.#promises.installing(point.index);
    await this.log.installSnapshot({ ...point, state: new Uint8Array(300).fill(7) });
    this.#promises.installed(point.index);
  }

  /** The flush that was put off happens now. */
  fireTimers(): void {
    this.#opened.timers.fire();
  }

  async close(): Promise<void> {
    await this.#opened.directory.close();
  }
}
