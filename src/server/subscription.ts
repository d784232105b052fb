/**
 * One SUBSCRIBE of a session: a loop that reads from the broker only while the client has paid (credit) and its socket
 * has room, so that a slow consumer costs one reader and no memory. Its buffer is the log itself.
 *
 * Order of what it says: POSITION with the resolved start, DATA as paid for, POSITION when it catches up or, while it
 * waits for credit, when the tail moves, END last and once.
 */
import type { BrokerVerbs, Reader, ReadResult, SubscribeRequest } from '../broker/index.ts';
import {
  BATCH_BYTES_MAX,
  CREDIT_BYTES_MAX,
  failureOf,
  LogError,
  type Message,
  readBatchHeader,
} from '../protocol/index.ts';

/** One DATA frame, about: large enough to amortize a frame, small enough that acks behind it do not wait long. */
const DATA_BYTES = 1024 * 1024;

/** What a subscription needs of its session. */
export interface SubscriptionHost {
  readonly broker: BrokerVerbs;
  send(channel: number, message: Message, payload?: readonly Uint8Array[]): void;
  /** False while the client does not take what is queued and being read for it. */
  hasRoom(): boolean;
  /** A read of about so many bytes begins: they take room until it has ended. */
  onReadBegun(bytes: number): void;
  /** It has ended, and what it gave was sent; or it waits for something to read. */
  onReadEnded(channel: number, bytes: number): void;
  onRead(bytes: number): void;
  /** The channel is free again; called before END is sent. */
  onEnded(channel: number): void;
  toldError(error: unknown): LogError;
}

export class Subscription {
  readonly #host: SubscriptionHost;
  readonly #channel: number;
  /** Payload bytes the client still allows. May go below 0 by one record batch, never further. */
  #credit: number;
  #reader: Reader | undefined;
  /** Set once the client or the session wants it to end. */
  #ending: 'asked' | 'silent' | undefined;
  /** Wakes the loop from waiting for credit or room. */
  #wake: (() => void) | undefined;
  #isCaughtUp = false;
  #toldTail = 0;

  constructor(host: SubscriptionHost, channel: number, creditBytes: number) {
    this.#host = host;
    this.#channel = channel;
    this.#credit = creditBytes;
  }

  /** Runs until it ended; never rejects but for a broken invariant. */
  async run(request: SubscribeRequest): Promise<void> {
    let failure: LogError | undefined;
    try {
      this.#reader = await this.#host.broker.subscribe(request);
      if (this.#ending === undefined) await this.#deliver(this.#reader);
    } catch (error) {
      failure = this.#host.toldError(error);
    }
    this.#reader?.close();
    this.#host.onEnded(this.#channel);
    if (this.#ending === 'silent') return;
    // A reader closed by UNSUBSCRIBE fails with CLOSED: that is what was asked for.
    const told = this.#ending === undefined ? failure : undefined;
    const nextOffset = this.#reader?.position ?? 0;
    this.#host.send(this.#channel, { kind: 'end', failure: told && failureOf(told), nextOffset });
  }

  /** @throws LogError INVALID when the client piles up more than it may. */
  addCredit(bytes: number): void {
    if (this.#credit + bytes > CREDIT_BYTES_MAX) {
      throw new LogError('INVALID', `credit of a subscription is at most ${CREDIT_BYTES_MAX} bytes`);
    }
    this.#credit += bytes;
    this.wake();
  }

  /** Room in the socket, or credit, may have come. */
  wake(): void {
    this.#wake?.();
  }

  /** @param how 'asked': END is sent; 'silent': the connection is gone or about to be. */
  end(how: 'asked' | 'silent'): void {
    if (this.#ending !== 'silent') this.#ending = how;
    this.#reader?.close();
    this.wake();
  }

  /** Called about every heartbeat: a consumer at rest learns how far behind it is. */
  onBeat(): void {
    const reader = this.#reader;
    if (reader !== undefined && this.#wake !== undefined && reader.tail !== this.#toldTail) this.#sendPosition(reader);
  }

  async #deliver(reader: Reader): Promise<void> {
    this.#sendPosition(reader);
    for (;;) {
      while (this.#ending === undefined && (this.#credit <= 0 || !this.#host.hasRoom())) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
      if (this.#ending !== undefined) return;
      const bytes = Math.min(this.#credit, DATA_BYTES);
      // One that waits has nothing to take room for yet, and must not keep others from reading.
      let begunBytes = reader.position < reader.tail ? bytes : 0;
      const onReadEnded = (): void => {
        this.#host.onReadEnded(this.#channel, begunBytes);
        begunBytes = 0;
      };
      this.#host.onReadBegun(begunBytes);
      let result: ReadResult;
      try {
        result = await reader.next(bytes, onReadEnded);
        if (this.#ending !== undefined) return;
        this.#sendData(result);
      } finally {
        onReadEnded();
      }
      const isAtTail = result.nextOffset >= result.tail;
      if (isAtTail && !this.#isCaughtUp) this.#sendPosition(reader);
      this.#isCaughtUp = isAtTail;
      // Those that were woken because this read has ended come first.
      await Promise.resolve();
    }
  }

  #sendPosition(reader: Reader): void {
    const { position, tail, earliest, topicId } = reader;
    this.#toldTail = tail;
    this.#isCaughtUp = position >= tail;
    this.#host.send(this.#channel, {
      kind: 'position',
      offset: position,
      tail,
      earliest,
      caughtUp: this.#isCaughtUp,
      topicId,
      ...reader.stamp(),
    });
  }

  #sendData(result: ReadResult): void {
    for (const part of partsOf(result)) {
      this.#credit -= part.bytes;
      this.#host.onRead(part.bytes);
      const { fromOffset, nextOffset } = part;
      this.#host.send(
        this.#channel,
        { kind: 'data', fromOffset, nextOffset, tail: result.tail, compacted: result.compacted, filtered: false },
        part.batches,
      );
    }
    this.#toldTail = result.tail;
  }
}

interface Part {
  readonly batches: Uint8Array[];
  readonly bytes: number;
  readonly fromOffset: number;
  readonly nextOffset: number;
}

/** The batches of a read cut into frames: the cap of a read is soft by one batch, that of a frame is not. */
function partsOf(result: ReadResult): readonly Part[] {
  const bytes = result.batches.reduce((sum, batch) => sum + batch.byteLength, 0);
  if (bytes === 0) return [];
  const { fromOffset, nextOffset } = result;
  if (bytes <= BATCH_BYTES_MAX) return [{ batches: [...result.batches], bytes, fromOffset, nextOffset }];
  let next = fromOffset;
  return result.batches.map((batch, at) => {
    // Holes go with the batch in front of them, so that parts follow each other without one.
    const following = result.batches[at + 1];
    const end = following === undefined ? nextOffset : readBatchHeader(following).baseOffset;
    const part = { batches: [batch], bytes: batch.byteLength, fromOffset: next, nextOffset: end };
    next = end;
    return part;
  });
}
