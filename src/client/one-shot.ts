/**
 * append() and appendBatch(): one batch each, sent at once, safe to be sent again. For that each carries a producer
 * tuple of a small pool of hidden producers, one lane each with one batch in flight, so that calls neither wait for
 * each other nor fail each other; order among calls that overlap is not promised. Pooled, not fresh for each call:
 * every id costs a row in the partition's replicated table, and a flood of new ones would push out the rows of real
 * producers.
 */
import { type AckMessage, encodeRecordBatch, LogError } from '../protocol/index.ts';
import { Fifo } from './fifo.ts';
import { Lane, type LaneHost } from './lane.ts';
import { abortedError, closedError } from './operation.ts';
import { randomProducerId } from './producer-options.ts';
import type { RecordScratch } from './record.ts';
import type { SealedBatch } from './send-queue.ts';
import type { PartitionRef } from './topic-directory.ts';

/** Hidden producers, and so one-shot appends under way, per partition. */
const SLOTS_MAX = 64;
/** Partitions whose hidden producers are remembered: above that, those not used for longest are forgotten, of deleted
 *  topics too. Well above the partitions of one topic: producers made anew cost a row each. */
const POOLS_MAX = 1_000;
/** Bytes of one-shot appends that wait for a slot. */
const WAITING_BYTES_MAX = 32 * 1024 * 1024;

interface Call {
  readonly bytes: Uint8Array;
  readonly recordCount: number;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (ack: AckMessage) => void;
  readonly reject: (error: LogError) => void;
  /** Its signal aborted while it waited for a slot. */
  readonly onAbort: () => void;
}

export class OneShotAppends {
  readonly #host: LaneHost;
  /** By topic id and partition, in the order of last use. */
  readonly #pools = new Map<string, SlotPool>();

  constructor(host: LaneHost) {
    this.#host = host;
  }

  append(ref: PartitionRef, records: readonly RecordScratch[], signal: AbortSignal | undefined): Promise<AckMessage> {
    const { clock, crc32c } = this.#host.platform;
    const bytes = encodeRecordBatch(records, { nowMs: clock.nowMs(), crc32c });
    const limitBytes = this.#host.pool.limits?.batchBytesMax ?? Number.POSITIVE_INFINITY;
    if (bytes.length > limitBytes) {
      throw new LogError('TOO_LARGE', `A record batch of ${bytes.length} bytes is over ${limitBytes}.`, {
        details: { limitBytes, actualBytes: bytes.length },
      });
    }
    const key = `${ref.topicId}/${ref.partition}`;
    const pool = this.#pools.get(key) ?? new SlotPool(this.#host, ref);
    this.#pools.delete(key);
    this.#pools.set(key, pool);
    if (this.#pools.size > POOLS_MAX) this.#forgetOne();
    return pool.append(bytes, records.length, signal);
  }

  #forgetOne(): void {
    for (const [key, pool] of this.#pools) {
      if (!pool.isIdle) continue;
      this.#pools.delete(key);
      pool.close();
      return;
    }
  }

  close(): void {
    for (const pool of this.#pools.values()) pool.close();
    this.#pools.clear();
  }
}

class SlotPool {
  readonly #host: LaneHost;
  readonly #ref: PartitionRef;
  readonly #free: Lane[] = [];
  readonly #lanes: Lane[] = [];
  readonly #waiting = new Fifo<Call>();
  #waitingBytes = 0;

  constructor(host: LaneHost, ref: PartitionRef) {
    this.#host = host;
    this.#ref = ref;
  }

  /** Nothing is under way; a new one is not idle, or it would be forgotten before its first append. */
  get isIdle(): boolean {
    return this.#lanes.length > 0 && this.#free.length === this.#lanes.length;
  }

  append(bytes: Uint8Array, recordCount: number, signal: AbortSignal | undefined): Promise<AckMessage> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => reject(abortedError('none'));
      const call = { bytes, recordCount, signal, resolve, reject, onAbort };
      const lane = this.#free.pop() ?? this.#newLane();
      if (lane === undefined) this.#wait(call);
      else if (!this.#start(lane, call)) this.#free.push(lane);
    });
  }

  close(): void {
    const error = closedError('client');
    for (const { signal, reject, onAbort } of this.#waiting.takeAll()) {
      signal?.removeEventListener('abort', onAbort);
      reject(new LogError(error.code, error.message, { outcome: 'none' }));
    }
    for (const lane of this.#lanes) lane.close(error);
  }

  #newLane(): Lane | undefined {
    if (this.#lanes.length >= SLOTS_MAX) return undefined;
    const identity = { producerId: randomProducerId(this.#host.platform), epoch: 0 };
    const lane = new Lane(this.#host, this.#ref, identity, 1, () => {});
    this.#lanes.push(lane);
    return lane;
  }

  #wait(call: Call): void {
    const actualBytes = this.#waitingBytes + call.bytes.length;
    if (actualBytes > WAITING_BYTES_MAX) {
      call.reject(
        new LogError('OVERLOADED', `${this.#waitingBytes} bytes of appends wait for their turn.`, {
          details: { limitBytes: WAITING_BYTES_MAX, actualBytes },
        }),
      );
      return;
    }
    this.#waitingBytes = actualBytes;
    this.#waiting.push(call);
    call.signal?.addEventListener('abort', call.onAbort, { once: true });
  }

  /** False: its caller gave up before it began. */
  #start(lane: Lane, call: Call): boolean {
    if (call.signal?.aborted === true) {
      call.reject(abortedError('none'));
      return false;
    }
    const onAbort = (): void => lane.abandon(batch);
    const end = (): void => {
      call.signal?.removeEventListener('abort', onAbort);
      // A fate that stays unknown is for the caller of that append to judge; the next call is another matter.
      if (lane.halt !== undefined) lane.resume();
      this.#next(lane);
    };
    const batch: SealedBatch = {
      bytes: call.bytes,
      recordCount: call.recordCount,
      onAck: (ack) => {
        call.resolve(ack);
        end();
      },
      onFailure: (error) => {
        call.reject(error);
        end();
      },
    };
    call.signal?.addEventListener('abort', onAbort, { once: true });
    lane.submit(batch);
    return true;
  }

  #next(lane: Lane): void {
    for (let call = this.#waiting.shift(); call !== undefined; call = this.#waiting.shift()) {
      this.#waitingBytes -= call.bytes.length;
      call.signal?.removeEventListener('abort', call.onAbort);
      if (this.#start(lane, call)) return;
    }
    this.#free.push(lane);
  }
}
