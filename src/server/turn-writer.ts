/**
 * Collects what is written to one socket during a turn of the event loop and hands it over at its end in one writev:
 * a hundred acks become one packet, and 4 MiB of batches are never copied. Used by the WebSocket door and by the peer
 * links. It has no cap of its own: `queuedBytes` is what its users hold against theirs.
 */
import type { Socket } from 'node:net';
import type { Timers } from '../env.ts';

/** Runs of chunks smaller than this are copied together: an entry in the writev list costs more than the copy. */
const COPY_BELOW_BYTES = 2 * 1024;

export class TurnWriter {
  readonly #socket: Pick<Socket, 'write' | 'cork' | 'uncork' | 'destroyed' | 'writableLength'>;
  readonly #timers: Timers;
  #chunks: Uint8Array[] = [];
  /** Bytes in #chunks. */
  #collectedBytes = 0;
  #isFlushDue = false;

  constructor(socket: Pick<Socket, 'write' | 'cork' | 'uncork' | 'destroyed' | 'writableLength'>, timers: Timers) {
    this.#socket = socket;
    this.#timers = timers;
  }

  /** Bytes accepted here and not yet taken by the operating system. */
  get queuedBytes(): number {
    return this.#collectedBytes + this.#socket.writableLength;
  }

  /** Queues chunks in order. They are frozen from here on: nobody may write to them until they left. */
  push(...chunks: readonly Uint8Array[]): void {
    for (const chunk of chunks) {
      if (chunk.byteLength === 0) continue;
      this.#chunks.push(chunk);
      this.#collectedBytes += chunk.byteLength;
    }
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    this.#timers.soon(() => this.flush());
  }

  /** Hands everything over now: at the end of the turn, and before a socket is ended. */
  flush(): void {
    this.#isFlushDue = false;
    const chunks = this.#chunks;
    if (chunks.length === 0) return;
    this.#chunks = [];
    this.#collectedBytes = 0;
    if (this.#socket.destroyed) return;
    this.#socket.cork();
    let run: Uint8Array[] = [];
    for (const chunk of chunks) {
      if (chunk.byteLength < COPY_BELOW_BYTES) {
        run.push(chunk);
        continue;
      }
      this.#writeRun(run);
      run = [];
      this.#socket.write(chunk);
    }
    this.#writeRun(run);
    this.#socket.uncork();
  }

  #writeRun(run: readonly Uint8Array[]): void {
    if (run.length === 1) this.#socket.write(run[0] as Uint8Array);
    else if (run.length > 1) this.#socket.write(Buffer.concat(run));
  }
}
