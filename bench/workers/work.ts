/** What a worker thread of the scenario `workers` is given to do. */
import type { WriterOptions } from '../journal/small-appends.ts';

export type Assignment =
  /** Frames come and go as messages; transferred, or copied as they are by themselves. */
  | { readonly kind: 'echo'; readonly isTransferred: boolean }
  /** Frames come and go through shared memory: requests, answers. */
  | { readonly kind: 'ring'; readonly rings: readonly [SharedArrayBuffer, SharedArrayBuffer] }
  /** Three Raft cores. */
  | { readonly kind: 'raft' }
  /** Durable appends to logs of its own. */
  | { readonly kind: 'logs'; readonly options: WriterOptions };
