/**
 * POST /v1/topics/{t}/records: one JSON body is one record batch, all or nothing; NDJSON is a record a line, appended
 * in as many batches as it takes while the body still arrives; anything else is one raw record.
 */
import type { AppendRequest, AppendResult, BrokerVerbs, ClientHandle } from '../broker/index.ts';
import {
  BATCH_RECORDS_MAX,
  type Crc32c,
  encodeRecordBatch,
  formatReadToken,
  LogError,
  type NewRecord,
  type ProducerTuple,
  RecordBatchBuilder,
} from '../protocol/index.ts';
import { recordOfJson } from './http-json.ts';
import { objectOf, parseJson } from './http-values.ts';
import { splitLines } from './lines.ts';

/**
 * Size at which a batch of NDJSON lines is closed: large enough for a good flush, small enough to overlap with input.
 */
const NDJSON_BATCH_BYTES = 1024 * 1024;

export interface AppendTarget {
  readonly topic: string;
  readonly partition: number;
  readonly producer: ProducerTuple | undefined;
  readonly redirect: boolean;
  readonly client: ClientHandle;
}

export interface AppendWorld {
  readonly broker: BrokerVerbs;
  readonly crc32c: Crc32c;
  readonly nowMs: () => number;
  readonly recordBytesMax: number;
  readonly batchBytesMax: number;
  /** Called for each record batch that was acknowledged. */
  readonly onAppended: (result: AppendResult, batchBytes: number) => void;
}

/** The answer of every form (design 6.1). */
export interface Appended {
  readonly topic: string;
  readonly partition: number;
  /** null: a duplicate so old that its offset is not remembered. */
  readonly offset: number | null;
  readonly lastOffset: number | null;
  readonly count: number;
  readonly timestamp: number;
  readonly term: number;
  readonly duplicate: boolean;
  /** For reads at level atLeast that must have the last record; null with an offset that is not remembered. */
  readonly token: string | null;
}

export async function appendRaw(world: AppendWorld, target: AppendTarget, value: Uint8Array): Promise<Appended> {
  return appended([await appendRecords(world, target, [{ value }])]);
}

export async function appendJson(world: AppendWorld, target: AppendTarget, body: Uint8Array): Promise<Appended> {
  const { records } = objectOf(parseJson(body), ['records'], 'the body');
  if (!Array.isArray(records) || records.length === 0 || records.length > BATCH_RECORDS_MAX) {
    throw new LogError('INVALID', `records must be a list of 1 to ${BATCH_RECORDS_MAX} records`);
  }
  return appended([await appendRecords(world, target, records.map(recordOfJson))]);
}

/** @throws LogError with `appended`, the number of leading records that are in the log, and `line` of the bad one. */
export async function appendNdjson(
  world: AppendWorld,
  target: AppendTarget,
  body: AsyncIterable<Uint8Array>,
): Promise<Appended> {
  const results: AppendResult[] = [];
  let count = 0;
  let line = 0;
  let waiting: RecordBatchBuilder | undefined;
  const bytesMax = Math.min(NDJSON_BATCH_BYTES, world.batchBytesMax);

  const flush = async (): Promise<void> => {
    if (waiting === undefined || waiting.recordCount === 0) return;
    const batch = waiting.build(world.crc32c);
    waiting = undefined;
    const result = await appendBatch(world, advanced(target, count), batch);
    results.push(result);
    count += result.recordCount;
  };
  const builderOf = (size: number): RecordBatchBuilder =>
    new RecordBatchBuilder({ bytesMax: size, recordsMax: BATCH_RECORDS_MAX });
  const add = async (record: NewRecord): Promise<void> => {
    if (waiting?.tryAdd(record, world.nowMs())) return;
    await flush();
    waiting = builderOf(bytesMax);
    if (waiting.tryAdd(record, world.nowMs())) return;
    // A record larger than the usual batch gets one of its own.
    waiting = builderOf(world.batchBytesMax);
    if (!waiting.tryAdd(record, world.nowMs())) throw new LogError('TOO_LARGE', 'the record fits no batch');
  };

  const addAll = async (): Promise<void> => {
    try {
      // JSON may spell a byte in six (\u0000); base64 takes 4/3.
      for await (const text of splitLines(untilGone(body), 6 * world.recordBytesMax + 65_536)) {
        line++;
        if (text.byteLength > 0) await add(recordOfLine(world, text, line));
      }
    } catch (error) {
      // The lines before a bad one are good, and `appended` says they are in.
      if (LogError.is(error) && error.details.line !== undefined) await flush();
      throw error;
    }
    await flush();
  };

  try {
    await addAll();
  } catch (error) {
    if (!LogError.is(error)) throw error;
    const details = { ...error.details, appended: count };
    // 'none' would say of the whole request that it may be sent again as it is.
    const outcome = count > 0 ? 'unknown' : error.outcome;
    throw new LogError(error.code, error.message, { outcome, details, cause: error });
  }
  if (results.length === 0) throw new LogError('INVALID', 'there is no record in the body');
  return appended(results);
}

/** The body; a client that goes away in the middle of it is no defect of ours. */
async function* untilGone(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw new LogError('ABORTED', 'the client went away in the middle of its body', { outcome: 'none', cause: error });
  }
}

/** @throws LogError with `line`. */
function recordOfLine(world: AppendWorld, text: Uint8Array, line: number): NewRecord {
  try {
    const record = recordOfJson(parseJson(text));
    checkRecord(world, record);
    return record;
  } catch (error) {
    if (!LogError.is(error)) throw error;
    throw new LogError(error.code, error.message, { details: { ...error.details, line }, cause: error });
  }
}

async function appendRecords(world: AppendWorld, target: AppendTarget, records: NewRecord[]): Promise<AppendResult> {
  for (const record of records) checkRecord(world, record);
  const batch = encodeRecordBatch(records, { nowMs: world.nowMs(), crc32c: world.crc32c });
  return await appendBatch(world, target, batch);
}

async function appendBatch(world: AppendWorld, target: AppendTarget, batch: Uint8Array): Promise<AppendResult> {
  const { topic, partition, producer, redirect, client } = target;
  const request: AppendRequest = { client, topic: { name: topic }, partition, batch, producer, redirect };
  const result = await world.broker.append(request);
  world.onAppended(result, batch.byteLength);
  return result;
}

function checkRecord({ recordBytesMax }: AppendWorld, { key, value, headers = [] }: NewRecord): void {
  let actualBytes = value.byteLength + (key?.byteLength ?? 0);
  for (const header of headers) actualBytes += Buffer.byteLength(header.key) + header.value.byteLength;
  if (actualBytes <= recordBytesMax) return;
  throw new LogError('TOO_LARGE', `a record of ${actualBytes} bytes is over the limit of ${recordBytesMax}`, {
    details: { limitBytes: recordBytesMax, actualBytes },
  });
}

/** The target of the batch that follows `count` records of the same request: sequences number records. */
function advanced(target: AppendTarget, count: number): AppendTarget {
  const { producer } = target;
  if (producer === undefined) return target;
  return { ...target, producer: { ...producer, sequence: producer.sequence + count } };
}

function appended(results: readonly AppendResult[]): Appended {
  const first = results[0] as AppendResult;
  const last = results.at(-1) as AppendResult;
  const lastOffset = last.baseOffset === undefined ? null : last.baseOffset + last.recordCount - 1;
  const { topicId, partition, term } = last;
  return {
    topic: first.topic,
    partition: first.partition,
    offset: first.baseOffset ?? null,
    lastOffset,
    count: results.reduce((sum, result) => sum + result.recordCount, 0),
    timestamp: last.appendTimeMs,
    term: last.term,
    duplicate: results.every((result) => result.isDuplicate),
    token: lastOffset === null ? null : formatReadToken({ topicId, partition, offset: lastOffset, term }),
  };
}
