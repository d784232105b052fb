/** Entries of a log as a leader would make them: indexes, offsets and the chain follow from one to the next. */
import { crc32cPortable, encodeRecordBatch } from '../../../src/protocol/index.ts';
import {
  type ChainSum,
  EMPTY_CHAIN,
  type EntryKind,
  encodeEntry,
  type LogEntry,
  type ProducerTuple,
} from '../../../storage/index.ts';

export interface EntryFields {
  readonly kind?: EntryKind;
  readonly term?: number;
  /** Of a batch. */
  readonly values?: readonly string[];
  readonly payload?: Uint8Array;
  readonly producer?: ProducerTuple;
  readonly appendTimeMs?: number;
}

export interface EntriesAfter {
  readonly groupId?: number;
  readonly index?: number;
  readonly nextOffset?: number;
  readonly chain?: ChainSum;
}

export function batchOf(values: readonly string[]): Uint8Array {
  return encodeRecordBatch(
    values.map((value) => ({ value: Buffer.from(value) })),
    { nowMs: 1, crc32c: crc32cPortable },
  );
}

export function entriesAfter(after: EntriesAfter, ...rows: readonly EntryFields[]): LogEntry[] {
  let { index = 0, nextOffset = 0, chain = EMPTY_CHAIN } = after;
  return rows.map(({ kind = 'batch', term = 1, values = ['v'], payload, producer, appendTimeMs = 1 }) => {
    index += 1;
    const recordCount = kind === 'batch' ? values.length : 0;
    const entry = encodeEntry(
      {
        kind,
        groupId: after.groupId ?? 1,
        index,
        term,
        baseOffset: nextOffset,
        recordCount,
        appendTimeMs,
        producer,
        payload: payload ?? (kind === 'batch' ? batchOf(values) : new Uint8Array(0)),
      },
      chain,
    );
    nextOffset += recordCount;
    chain = entry.header.chain;
    return entry;
  });
}

/** From the start of a log. */
export function entries(...rows: readonly EntryFields[]): LogEntry[] {
  return entriesAfter({}, ...rows);
}

export function follow(last: LogEntry | undefined): EntriesAfter {
  if (last === undefined) return {};
  const { groupId, index, baseOffset, recordCount, chain } = last.header;
  return { groupId, index, nextOffset: baseOffset + recordCount, chain };
}
