/**
 * Which partition a record goes to: the one it names, else the one its key hashes to, else the current partition of a
 * round-robin that moves on from batch to batch (a batch full of records beats many with one).
 */

/** Murmur2, the 32-bit variant Kafka's clients use, so that both put a key into the same partition. */
export function murmur2(bytes: Uint8Array): number {
  const multiplier = 0x5bd1e995;
  const length = bytes.length;
  let hash = 0x9747b28c ^ length;
  const blocksEnd = length & ~3;
  for (let at = 0; at < blocksEnd; at += 4) {
    let block = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    block = Math.imul(block, multiplier);
    block ^= block >>> 24;
    block = Math.imul(block, multiplier);
    hash = Math.imul(hash, multiplier) ^ block;
  }
  const rest = length & 3;
  if (rest === 3) hash ^= bytes[blocksEnd + 2]! << 16;
  if (rest >= 2) hash ^= bytes[blocksEnd + 1]! << 8;
  if (rest >= 1) hash = Math.imul(hash ^ bytes[blocksEnd]!, multiplier);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, multiplier);
  return hash ^ (hash >>> 15);
}

/** The partition of a key among `partitions` >= 1. */
export function partitionOfKey(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fff_ffff) % partitions;
}

/** Records without a key: stays on one partition until told that its batch was closed. */
export class StickyPartition {
  #current: number;
  readonly #partitions: number;

  /** @param start Where to begin, so that many short-lived producers do not all fill partition 0. */
  constructor(partitions: number, start: number) {
    this.#partitions = partitions;
    this.#current = start % partitions;
  }

  get current(): number {
    return this.#current;
  }

  /** The batch of `partition` was closed; moves on when that is the current one. */
  onBatchClosed(partition: number): void {
    if (partition === this.#current) this.#current = (this.#current + 1) % this.#partitions;
  }
}
