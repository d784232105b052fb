/** A log by itself on a disk of memory, with a clock that stands still. */
import { DataDirectory, type Disk, type EntryId, type Log, MemoryDisk } from '../../../storage/index.ts';
import { SimTime } from '../../broker/support/sim-env.ts';

export interface OpenLog {
  readonly log: Log;
  readonly disk: Disk;
  readonly time: SimTime;
  /** Ends of the segments sealed so far. */
  readonly sealed: EntryId[];
  close(): Promise<void>;
}

export async function openLog(
  options: { readonly disk?: Disk; readonly segmentBytes?: number; onSealed?(last: EntryId): void } = {},
): Promise<OpenLog> {
  const { disk = new MemoryDisk(), segmentBytes = 8 * 1024 } = options;
  const time = new SimTime();
  const directory = await DataDirectory.open(disk, '/data', {
    nodeId: 'n1',
    randomBytes: (count) => new Uint8Array(count).fill(7),
    onFatal: (error) => {
      throw error;
    },
  });
  const sealed: EntryId[] = [];
  const log = await directory.openLog(1, {
    segmentBytes,
    clusterId: 'c'.repeat(32),
    timers: { after: (delayMs, fn) => time.add(delayMs, undefined, fn) },
    onFlushed: () => undefined,
    onSealed: (last) => {
      sealed.push(last);
      options.onSealed?.(last);
    },
  });
  return { log, disk, time, sealed, close: () => directory.close() };
}
