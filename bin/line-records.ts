/**
 * Turns lines of bytes into records for a producer: splits the key off, adds the headers, checks the limit, and waits
 * whenever the producer asks for it. Knows nothing about sockets, so that it is tested and timed with a plain function
 * at its end.
 *
 * A line over the limit is reported and left out; all lines before and after it are appended, in order.
 */
import { LogError } from '../src/client/index.ts';
import { LineSplitter } from './line-splitter.ts';

export interface LineRecord {
  readonly key?: Uint8Array;
  readonly value: Uint8Array;
  readonly headers?: readonly { readonly key: string; readonly value: Uint8Array }[];
  readonly partition?: number;
}

/** The part of the SDK's producer that is used here. */
export interface RecordSink {
  /** Copies the record's bytes before it returns. False: wait for drained(). @throws LogError TOO_LARGE: not taken. */
  enqueue(record: LineRecord): boolean;
  drained(): Promise<void>;
}

export interface LineRecordsOptions {
  /** Splits the key off at its first occurrence in a line; a line without it is a value without a key. */
  readonly keySeparator: Uint8Array | undefined;
  readonly headers: readonly { readonly key: string; readonly value: Uint8Array }[];
  readonly partition: number | undefined;
  /** Key, value and headers of one record. */
  readonly recordBytesMax: number;
  /** @param bytes Of the record, or of the line when it was too long to be looked at. */
  readonly onOversized: (lineNumber: number, bytes: number) => void;
}

/** What went by so far. */
export interface LineCounts {
  /** Handed to the producer. */
  records: number;
  /** Keys and values of those. */
  recordBytes: number;
  oversized: number;
  /** Taken from the input. */
  inputBytes: number;
}

export class LineRecords {
  readonly counts: LineCounts = { records: 0, recordBytes: 0, oversized: 0, inputBytes: 0 };
  readonly #sink: RecordSink;
  readonly #options: LineRecordsOptions;
  readonly #splitter: LineSplitter;
  /** Of the headers, which are the same for every record. */
  readonly #headerBytes: number;
  /** The producer has enough for now. */
  #isFull = false;

  constructor(sink: RecordSink, options: LineRecordsOptions) {
    this.#sink = sink;
    this.#options = options;
    this.#headerBytes = options.headers.reduce((sum, { key, value }) => sum + Buffer.byteLength(key) + value.length, 0);
    this.#splitter = new LineSplitter(
      {
        onLine: (line, lineNumber) => this.#onLine(line, lineNumber),
        onOversized: (at, bytes) => this.#refuse(at, bytes),
      },
      // The separator is no part of the record.
      { lineBytesMax: options.recordBytesMax + (options.keySeparator?.length ?? 0) },
    );
  }

  /** Takes the next bytes of the input; waits while the producer is full, which bounds memory to one chunk more. */
  async push(chunk: Buffer): Promise<void> {
    this.counts.inputBytes += chunk.length;
    this.#splitter.push(chunk);
    if (!this.#isFull) return;
    this.#isFull = false;
    await this.#sink.drained();
  }

  /** The input ended: a last line without \n is a record too. */
  end(): void {
    this.#splitter.end();
  }

  #onLine(line: Uint8Array, lineNumber: number): void {
    const { keySeparator, headers, partition, recordBytesMax } = this.#options;
    const at = keySeparator === undefined ? -1 : (line as Buffer).indexOf(keySeparator);
    const key = at === -1 ? undefined : line.subarray(0, at);
    const value = at === -1 ? line : line.subarray(at + keySeparator!.length);
    const bytes = value.length + (key?.length ?? 0);
    if (bytes + this.#headerBytes > recordBytesMax) {
      this.#refuse(lineNumber, bytes + this.#headerBytes);
      return;
    }
    const record = {
      value,
      ...(key !== undefined && { key }),
      ...(headers.length > 0 && { headers }),
      ...(partition !== undefined && { partition }),
    };
    try {
      if (!this.#sink.enqueue(record)) this.#isFull = true;
    } catch (error) {
      // A node may have a lower limit than the one known here: that is this line's fault, not the others'.
      if (!LogError.is(error) || error.code !== 'TOO_LARGE') throw error;
      this.#refuse(lineNumber, bytes + this.#headerBytes);
      return;
    }
    this.counts.records++;
    this.counts.recordBytes += bytes;
  }

  #refuse(lineNumber: number, bytes: number): void {
    this.counts.oversized++;
    this.#options.onOversized(lineNumber, bytes);
  }
}
