/**
 * GET /v1/topics/{t}/records: whole batches come from the broker, the records asked for go out, as one JSON document
 * or as NDJSON with everything else in headers. An answer always says who answered, how, and up to where that node is.
 */
import type { BrokerVerbs, ReadResult } from '../broker/index.ts';
import {
  type DecodedRecord,
  decodeRecords,
  formatReadToken,
  LogError,
  READ_BYTES_MAX,
  READ_RECORDS_DEFAULT,
  READ_RECORDS_MAX,
  readBatchHeader,
  WAIT_MS_MAX,
} from '../protocol/index.ts';
import { jsonOfRecord } from './http-json.ts';
import { checkNames, type Fields, levelOf, numberOf, startOf } from './http-values.ts';

export interface ReadAnswer {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Of the record batches behind it. */
  readonly batchBytes: number;
}

export async function readRecords(
  broker: BrokerVerbs,
  topic: string,
  query: Fields,
  form: { readonly isNdjson: boolean; readonly signal: AbortSignal },
): Promise<ReadAnswer> {
  checkNames(query, ['partition', 'offset', 'limit', 'maxBytes', 'waitMs', 'level', 'token'], 'parameter');
  const limit = Math.min(numberOf(query.limit, 'limit', READ_RECORDS_DEFAULT), READ_RECORDS_MAX);
  if (limit === 0) throw new LogError('INVALID', 'limit must be at least 1');
  const partition = numberOf(query.partition, 'partition', 0);
  const result = await broker.read({
    topic: { name: topic },
    partition,
    start: startOf(query.offset),
    bytesMax: Math.min(numberOf(query.maxBytes, 'maxBytes', READ_BYTES_MAX), READ_BYTES_MAX),
    waitMs: Math.min(numberOf(query.waitMs, 'waitMs', 0), WAIT_MS_MAX),
    ...levelOf(query),
    signal: form.signal,
  });
  const { records, nextOffset, token } = recordsOf(result, partition, limit);
  const { compacted, earliest, tail, level, node, appliedOffset, term } = result;
  const facts = {
    nextOffset,
    compacted,
    earliest,
    tail,
    level,
    node,
    appliedOffset,
    term,
    ...(token !== undefined && { token }),
  };
  const batchBytes = result.batches.reduce((sum, batch) => sum + batch.byteLength, 0);
  const items = records.map(jsonOfRecord);
  if (form.isNdjson) {
    const body = items.map((item) => `${JSON.stringify(item)}\n`).join('');
    return { headers: { 'content-type': 'application/x-ndjson', ...headersOf(facts) }, body, batchBytes };
  }
  const body = JSON.stringify({ records: items, ...facts });
  return { headers: { 'content-type': 'application/json; charset=utf-8' }, body, batchBytes };
}

/** The records at or after the position asked for, at most `limit`, the offset after the last of them and its token. */
function recordsOf(
  result: ReadResult,
  partition: number,
  limit: number,
): { records: DecodedRecord[]; nextOffset: number; token: string | undefined } {
  const records: DecodedRecord[] = [];
  let term = 0;
  const tokenOfLast = (): string | undefined => {
    const offset = records.at(-1)?.offset;
    return offset === undefined ? undefined : formatReadToken({ topicId: result.topicId, partition, offset, term });
  };
  for (const batch of result.batches) {
    const { leaderEpoch } = readBatchHeader(batch);
    for (const record of decodeRecords(batch)) {
      // The first batch may begin below the offset asked for.
      if (record.offset < result.fromOffset) continue;
      if (records.length === limit) return { records, nextOffset: record.offset, token: tokenOfLast() };
      records.push(record);
      term = leaderEpoch;
    }
  }
  return { records, nextOffset: result.nextOffset, token: tokenOfLast() };
}

/** nextOffset -> logdrive-next-offset */
function headersOf(facts: Readonly<Record<string, string | number | boolean>>): Record<string, string> {
  const kebab = (name: string): string => name.replace(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`);
  return Object.fromEntries(Object.entries(facts).map(([name, value]) => [`logdrive-${kebab(name)}`, String(value)]));
}
