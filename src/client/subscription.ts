/** The subscription as an application sees it; topic-subscription.ts is the one there is. */
import type { RecordBatch } from './decode.ts';
import type { ReadLevel } from './read-level.ts';
import type { LogRecord } from './record.ts';
import type { StartAt } from './start-at.ts';

export interface SubscribeOptions {
  /** Default 'earliest'. */
  readonly from?: StartAt;
  /** Ends the iteration there: at an offset, or at the leader's tail as it is when the subscription starts. */
  readonly to?: 'tail' | { readonly offset: number };
  /**
   * Of the beginning; default 'any', or 'atLeast' with tokens. What follows is what the replica knows to be committed.
   */
  readonly level?: ReadLevel;
  /** With level atLeast: one a partition; a partition without one is read at 'any'. */
  readonly tokens?: readonly string[];
  /** Default: all. */
  readonly partitions?: readonly number[];
  /** Bytes received and not yet handed to the application, over all partitions. */
  readonly maxBufferedBytes?: number;
  /** What to do when retention removed the next record before it was read. */
  readonly onTrimmed?: 'error' | 'earliest';
  /** Aborting it closes the subscription; the iteration throws ABORTED. */
  readonly signal?: AbortSignal;
}

export const SUBSCRIBE_DEFAULTS: Required<Pick<SubscribeOptions, 'from' | 'maxBufferedBytes' | 'onTrimmed'>> = {
  from: 'earliest',
  maxBufferedBytes: 4 * 1024 * 1024,
  onTrimmed: 'error',
};

/** Offsets by partition. */
export type Position = ReadonlyMap<number, number>;

export interface Subscription<V, K = Uint8Array> extends AsyncIterable<LogRecord<V, K>>, AsyncDisposable {
  /** Whole batches: the fastest way to read. Leaving the loop closes the subscription. */
  batches(): AsyncIterable<RecordBatch<V, K>>;
  /** Records as a web stream; cancelling it closes the subscription. */
  readonly readable: ReadableStream<LogRecord<V, K>>;
  /** Resolves when the application has been handed everything that was committed when a node last spoke. */
  caughtUp(): Promise<Position>;
  /** The next offset the application will be handed, by partition; without those whose start is not resolved yet. */
  readonly position: Position;
  /** By partition, of the last record the application was handed: for reads elsewhere at level atLeast. */
  readonly tokens: ReadonlyMap<number, string>;
  /** One past the last committed record as far as is known, by partition. */
  readonly tail: Position;
  /** Records from position to tail, over all partitions. */
  readonly lag: number;
  /** Goes on elsewhere, in one partition or all; also after the iteration threw. */
  seek(at: StartAt, partition?: number): void;
  /** Hands out nothing until resume(); what is on its way fills the buffer, then the nodes stop sending. */
  pause(): void;
  resume(): void;
  close(): Promise<void>;
}
