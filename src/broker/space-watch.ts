/**
 * Watches how much room the disk has, and takes the node down a ladder as it fills up (W23, F38):
 *
 *   roomy   as ever
 *   low     a line in the log and a metric: somebody should make room
 *   full    appends are refused (STORAGE_FULL) while reads, votes and trims live on, and leaderships go to nodes with
 *           room (hand-over.ts). Below this rung lies what hard states, trims and manifests still need.
 *
 * A log whose write failed for want of room makes its node full too, whatever the free space says: a quota does not
 * show in it. Room that returns is seen at the next look, a second later; the way back up takes a little more room than
 * the way down, so that a node does not go to and fro over one rung.
 */
import type { DataDirectory } from '../partition/index.ts';
import type { BrokerOptions, BrokerWorld } from './options.ts';

export type SpaceLevel = 'roomy' | 'low' | 'full';

/** What is watched besides the disk. */
export interface Filling {
  /** Whether a log of this node found no room for a write, and has found none since. */
  readonly hasFullLog: boolean;
}

const PERIOD_MS = 1_000;
/** Share of a rung's free bytes that must be there on top before the rung is left upwards. */
const WAY_BACK_SHARE = 0.1;
const LEVELS: Readonly<Record<SpaceLevel, number>> = { roomy: 0, low: 1, full: 2 };

export class SpaceWatch {
  readonly #options: BrokerOptions['space'];
  readonly #world: Pick<BrokerWorld, 'env' | 'metrics'> & { readonly directory: Pick<DataDirectory, 'space'> };
  readonly #filling: Filling;
  /** Called when the node becomes full, or has room again. */
  readonly #onFull: (isFull: boolean) => void;
  #level: SpaceLevel = 'roomy';
  #dueMs = 0;
  #isMeasuring = false;

  constructor(
    { space }: Pick<BrokerOptions, 'space'>,
    world: Pick<BrokerWorld, 'env' | 'metrics'> & { readonly directory: Pick<DataDirectory, 'space'> },
    filling: Filling,
    onFull: (isFull: boolean) => void,
  ) {
    this.#options = space;
    this.#world = world;
    this.#filling = filling;
    this.#onFull = onFull;
  }

  get isFull(): boolean {
    return this.#level === 'full';
  }

  /** For the page that says whether the node is well. */
  get detail(): string {
    if (this.#level === 'roomy') return 'has room';
    return this.isFull ? 'no room for appends; reads go on' : 'has room, and little of it';
  }

  /** True when it was time to look. */
  tick(): boolean {
    const { env } = this.#world;
    const nowMs = env.clock.monotonicMs();
    if (nowMs < this.#dueMs || this.#isMeasuring) return false;
    this.#dueMs = nowMs + PERIOD_MS;
    this.measure().catch((error: unknown) => env.logger.error({ err: error }, 'cannot tell how full the disk is'));
    return true;
  }

  /** Looks at the disk now. */
  async measure(): Promise<void> {
    const { metrics, directory } = this.#world;
    this.#isMeasuring = true;
    try {
      const { freeBytes, totalBytes } = await directory.space();
      metrics.set('logdrive_disk_free_bytes', freeBytes);
      metrics.set('logdrive_disk_total_bytes', totalBytes);
      this.#becomes(this.#levelAt(freeBytes, totalBytes), freeBytes);
    } finally {
      this.#isMeasuring = false;
    }
  }

  #levelAt(freeBytes: number, totalBytes: number): SpaceLevel {
    const { rejectBelowBytes, rejectBelowPercent, warnBelowBytes, warnBelowPercent } = this.#options;
    const isBelow = (level: SpaceLevel, bytes: number, percent: number): boolean => {
      const wayBack = LEVELS[this.#level] >= LEVELS[level] ? 1 + WAY_BACK_SHARE : 1;
      return freeBytes < Math.min(bytes, (totalBytes * percent) / 100) * wayBack;
    };
    if (this.#filling.hasFullLog || isBelow('full', rejectBelowBytes, rejectBelowPercent)) return 'full';
    return isBelow('low', warnBelowBytes, warnBelowPercent) ? 'low' : 'roomy';
  }

  #becomes(level: SpaceLevel, freeBytes: number): void {
    const before = this.#level;
    if (level === before) return;
    const { env, metrics } = this.#world;
    this.#level = level;
    metrics.set('logdrive_disk_space_level', LEVELS[level]);
    const fields = { freeBytes };
    if (level === 'full') {
      env.logger.error(fields, 'the disk is full: appends are refused, reads go on; free space and appends resume');
    } else if (before === 'full') env.logger.info(fields, 'the disk has room again');
    else if (level === 'low') env.logger.warn(fields, 'the disk is filling up: appends will be refused; make room');
    if ((level === 'full') !== (before === 'full')) this.#onFull(level === 'full');
  }
}
