/**
 * Appends batches that exist already, byte for byte and in order, to one partition: for tools that move records without
 * unpacking them. A lane of its own under a hidden producer, so that each batch is in the log once whatever is sent
 * again.
 */
import { type AckMessage, LogError } from '../protocol/index.ts';
import { Lane, type LaneHost } from './lane.ts';
import { closedError } from './operation.ts';
import { randomProducerId } from './producer-options.ts';
import type { PartitionRef } from './topic-directory.ts';

/** Batches on their way at once: enough that the next flush of the leader is never waited for. */
const IN_FLIGHT_MAX = 32;

export class BatchAppender {
  readonly #lane: Lane;

  constructor(host: LaneHost, ref: PartitionRef) {
    this.#lane = new Lane(
      host,
      ref,
      { producerId: randomProducerId(host.platform), epoch: 0 },
      IN_FLIGHT_MAX,
      () => {},
    );
  }

  /** Batches handed over and not answered: the caller bounds them. */
  get pendingCount(): number {
    return this.#lane.pendingCount;
  }

  /**
   * Resolves with the offset of the batch's first record. Batches handed over one after the other lie in that order.
   * One that fails leaves no gap: the next ones move up, which their offsets tell.
   * @param bytes One record batch, lent until the answer.
   */
  append(bytes: Uint8Array, recordCount: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#lane.submit({ bytes, recordCount, onAck: (ack) => settle(ack, resolve, reject), onFailure: reject });
    });
  }

  close(): void {
    this.#lane.close(closedError('producer'));
  }
}

function settle(ack: AckMessage, resolve: (offset: number) => void, reject: (error: LogError) => void): void {
  if (ack.baseOffset !== undefined) resolve(ack.baseOffset);
  else reject(new LogError('INTERNAL', 'A batch was appended, at an offset that is no longer known.'));
}
