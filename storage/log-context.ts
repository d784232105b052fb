/**
 * What the parts of one log share: where it lies, whose it is, and the resources all logs of a data directory share.
 */
import type { Disk } from './disk.ts';
import type { FlushScheduler } from './flush-scheduler.ts';
import type { HandleCache } from './handle-cache.ts';
import type { LogIdentity } from './segment-header.ts';
import type { SpaceReserve } from './space-reserve.ts';

export interface LogContext {
  readonly disk: Disk;
  /** The log's directory. */
  readonly directory: string;
  readonly own: LogIdentity;
  readonly handles: HandleCache;
  readonly scheduler: FlushScheduler;
  readonly reserve: SpaceReserve;
}
