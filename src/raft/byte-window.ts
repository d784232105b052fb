/**
 * A queue of (last index, bytes) that adds up bytes: what a follower was sent and has not answered, what a leader
 * proposed and has not committed. One item per message or proposal, never one per entry.
 */
import { strict as assert } from 'node:assert';
import type { ByteCount, LogIndex } from './types.ts';

/** Released items at the head are cut off once there are this many, so that release stays cheap on average. */
const COMPACT_AT = 64;

export class ByteWindow {
  /** Parallel arrays; items before #head were released. Invariant: #lasts rises strictly. */
  readonly #lasts: LogIndex[] = [];
  readonly #sizes: ByteCount[] = [];
  #head = 0;
  #bytes: ByteCount = 0;

  get bytes(): ByteCount {
    return this.#bytes;
  }

  get count(): number {
    return this.#lasts.length - this.#head;
  }

  get isEmpty(): boolean {
    return this.#head === this.#lasts.length;
  }

  add(last: LogIndex, bytes: ByteCount): void {
    const previous = this.#lasts.at(-1);
    if (!this.isEmpty && last <= previous!) assert.fail(`window item ${last} does not follow ${previous}`);
    this.#lasts.push(last);
    this.#sizes.push(bytes);
    this.#bytes += bytes;
  }

  /** Releases every item that ends at or before `index`. */
  releaseTo(index: LogIndex): void {
    while (this.#head < this.#lasts.length && this.#lasts[this.#head]! <= index) {
      this.#bytes -= this.#sizes[this.#head]!;
      this.#head += 1;
    }
    if (this.isEmpty) this.clear();
    else if (this.#head >= COMPACT_AT) {
      this.#lasts.splice(0, this.#head);
      this.#sizes.splice(0, this.#head);
      this.#head = 0;
    }
  }

  clear(): void {
    this.#lasts.length = 0;
    this.#sizes.length = 0;
    this.#head = 0;
    this.#bytes = 0;
  }
}
