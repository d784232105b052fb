/**
 * Readers that stay, pull-driven: one on this node's replica, woken by commits, and one that asks another node question
 * by question. What they read and how it is refused is in fetch.ts.
 */

import type { Partition } from '../partition/index.ts';
import { LogError } from '../protocol/index.ts';
import type { Route } from './routes.ts';
import type { Reader, ReadLevel, ReadResult, ReadStamp } from './verbs.ts';

/** What a read is served from. */
export interface Window {
  readonly route: Route;
  readonly partition: Partition;
}

/** What a reader on this node's replica needs of fetch.ts. */
export interface WindowReads {
  readHere(window: Window, offset: number, bytesMax: number, level: ReadLevel): Promise<ReadResult>;
  /** The partition as it is now: opened again after trouble, or gone with its topic. */
  refresh(window: Window): Window;
  stamp(partition: Partition, level: ReadLevel): ReadStamp;
}

/** Reads this node's replica. */
export class LocalReader implements Reader {
  readonly #fetch: WindowReads;
  #window: Window;
  #position: number;
  /** Of the last answer. What follows the beginning promises no more than 'any'. */
  #level: ReadLevel;
  #isClosed = false;
  #wake: (() => void) | undefined;

  constructor(fetch: WindowReads, window: Window, position: number, level: ReadLevel) {
    this.#fetch = fetch;
    this.#window = window;
    this.#position = position;
    this.#level = level;
  }

  get topicId(): number {
    return this.#window.route.topic.id;
  }

  get position(): number {
    return this.#position;
  }

  get earliest(): number {
    return this.#window.partition.earliest;
  }

  get tail(): number {
    return this.#window.partition.tail;
  }

  stamp(): ReadStamp {
    return this.#fetch.stamp(this.#window.partition, this.#level);
  }

  async next(bytesMax: number, onWaiting?: () => void): Promise<ReadResult> {
    for (;;) {
      if (this.#isClosed) throw closedReader();
      this.#window = this.#fetch.refresh(this.#window);
      const result = await this.#fetch.readHere(this.#window, this.#position, bytesMax, 'any');
      if (result.batches.length > 0) {
        this.#level = result.level;
        this.#position = result.nextOffset;
        return result;
      }
      onWaiting?.();
      await this.#advance(result.nextOffset);
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#wake?.();
  }

  /** Resolves when something lies at `offset`: the position, or the end of a hole that reaches to the tail. */
  #advance(offset: number): Promise<void> {
    const { partition } = this.#window;
    if (this.#isClosed || partition.tail > offset) return Promise.resolve();
    return new Promise((resolve) => {
      const waiter = partition.watch(offset, () => resolve());
      this.#wake = () => {
        waiter.cancel();
        resolve();
      };
    });
  }
}

/** Reads another node's replica, question by question. */
export class RemoteReader implements Reader {
  readonly #ask: (offset: number, bytesMax: number) => Promise<ReadResult>;
  #last: ReadResult;
  #position: number;
  #isClosed = false;
  #close: (() => void) | undefined;

  constructor(ask: (offset: number, bytesMax: number) => Promise<ReadResult>, first: ReadResult) {
    this.#ask = ask;
    this.#last = first;
    this.#position = first.fromOffset;
  }

  get topicId(): number {
    return this.#last.topicId;
  }

  get position(): number {
    return this.#position;
  }

  get earliest(): number {
    return this.#last.earliest;
  }

  get tail(): number {
    return this.#last.tail;
  }

  stamp(): ReadStamp {
    const { level, node, appliedOffset, term } = this.#last;
    return { level, node, appliedOffset, term };
  }

  async next(bytesMax: number, onWaiting?: () => void): Promise<ReadResult> {
    for (;;) {
      if (this.#isClosed) throw closedReader();
      this.#last = await this.#unlessClosed(this.#ask(this.#position, bytesMax));
      if (this.#last.batches.length > 0) {
        this.#position = this.#last.nextOffset;
        return this.#last;
      }
      onWaiting?.();
    }
  }

  #unlessClosed(asked: Promise<ReadResult>): Promise<ReadResult> {
    return new Promise((resolve, reject) => {
      this.#close = () => reject(closedReader());
      asked.then(resolve, reject);
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#close?.();
  }
}

function closedReader(): LogError {
  return new LogError('CLOSED', 'The reader was closed.', { outcome: 'none' });
}
