/** What the parts of one log share: where it lies, whose it is, and the data directory's two common resources. */
import type { Disk } from './disk.ts';
import type { FlushScheduler } from './flush-scheduler.ts';
import type { HandleCache } from './handle-cache.ts';
import type { LogIdentity } from './segment-header.ts';

export interface LogContext {
  readonly disk: Disk;
  /** The log's directory. */
  readonly directory: string;
  readonly own: LogIdentity;
  readonly handles: HandleCache;
  readonly scheduler: FlushScheduler;
}
