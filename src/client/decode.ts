/** From checked batches to the application's records. */
import { type DecodedRecord, decodeRecords, formatReadToken, LogError } from '../protocol/index.ts';
import type { Codec } from './codec.ts';
import type { ReceivedBatch } from './received-data.ts';
import type { LogRecord } from './record.ts';

/** Records that were appended together. */
export interface RecordBatch<V, K = Uint8Array> {
  readonly topic: string;
  readonly partition: number;
  /** Of the first record here. */
  readonly offset: number;
  /** One past the last. */
  readonly nextOffset: number;
  readonly records: readonly LogRecord<V, K>[];
  /** For reads at level atLeast that must have the last record here; undefined without records. */
  readonly token: string | undefined;
}

interface Place {
  readonly topicId: number;
  readonly partition: number;
  /** Records at or past it are left out. */
  readonly endOffset: number | undefined;
}

/** Its records that are new to the consumer and before its end. @throws LogError INVALID */
export function decodeNew(batch: ReceivedBatch, place: Pick<Place, 'endOffset'>): DecodedRecord[] {
  const { fromOffset, nextOffset } = batch;
  const records = decodeRecords(batch.bytes);
  const { endOffset = nextOffset } = place;
  if (records[0]!.offset >= fromOffset && nextOffset <= endOffset) return records;
  return records.filter(({ offset }) => offset >= fromOffset && offset < endOffset);
}

export function decodeBatch<V, K>(
  batch: ReceivedBatch,
  place: Place,
  topic: string,
  codec: Codec<V, K>,
): RecordBatch<V, K> {
  const { topicId, partition, endOffset = batch.nextOffset } = place;
  const records = decodeNew(batch, place).map((record) => decodeRecord(record, topic, partition, codec));
  const last = records.at(-1);
  return {
    topic,
    partition,
    offset: batch.fromOffset,
    nextOffset: Math.min(batch.nextOffset, Math.max(endOffset, batch.fromOffset)),
    records,
    token:
      last === undefined ? undefined : formatReadToken({ topicId, partition, offset: last.offset, term: batch.term }),
  };
}

/** @throws LogError INVALID that says which record the codec could not read, with the codec's own error as cause. */
export function decodeRecord<V, K>(
  record: DecodedRecord,
  topic: string,
  partition: number,
  codec: Codec<V, K>,
): LogRecord<V, K> {
  const { offset, timestampMs: timestamp, headers } = record;
  try {
    const key = record.key === undefined ? undefined : (codec.decodeKey?.(record.key) ?? (record.key as unknown as K));
    const value = codec.decodeValue(record.value, { topic, partition, offset, timestamp, headers });
    return { topic, partition, offset, timestamp, key, value, headers };
  } catch (cause) {
    throw new LogError(
      'INVALID',
      `The codec (${codec.contentType}) could not read ${topic}/${partition} at ${offset}.`,
      {
        details: { topic, partition, offset },
        cause,
      },
    );
  }
}
