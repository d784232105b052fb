/**
 * `logdrive produce`: each line of stdin is one record, byte for byte, split at \n alone. The producer of the SDK does
 * the rest: batches, retries, order, exactly one copy.
 *
 * A line over the limit is named on stderr with its number and left out; every other line, before and after it, is
 * appended in order; the exit code is 2 then. An interrupt ends the input: whole lines read until then are appended.
 */
import { fstatSync } from 'node:fs';
import { type Client, LogError, type Producer, type TopicInfo } from '../../src/client/index.ts';
import { RECORD_BYTES_MAX } from '../../src/protocol/index.ts';
import { CLIENT_FLAGS, type Command, type Invocation } from '../command.ts';
import { EXIT_INTERRUPTED, EXIT_USAGE, ExitError, errorDocument, errorLines } from '../exit.ts';
import { type LineCounts, type LineRecord, LineRecords, type RecordSink } from '../line-records.ts';
import { withClient } from '../open-client.ts';
import { formatBytes, formatRate, groupDigits, renderDocument } from '../output.ts';
import type { Terminal } from '../terminal.ts';
import { parseCount, parseHeader, unescapeBytes } from '../values.ts';

/** Short lines fill a batch to its bytes too, not only to the producer's usual count: fewer, larger flushes. */
const BATCH_RECORDS = 20_000;
const PROGRESS_PERIOD_MS = 200;
/** Oversized lines named one by one; the rest is only counted, so that a wrong file does not flood the terminal. */
const COMPLAINTS_MAX = 20;

export const produce: Command = {
  usage: 'produce <topic>',
  flags: {
    ...CLIENT_FLAGS,
    'key-separator': {
      kind: 'text',
      short: 'k',
      sentence: 'Splits the key off each line at its first occurrence; \\t and \\xHH are understood.',
      placeholder: 'SEP',
    },
    header: {
      kind: 'list',
      short: 'H',
      sentence: 'A header for every record; may be repeated.',
      placeholder: 'NAME=VALUE',
    },
    partition: { kind: 'text', short: 'p', sentence: 'Default: by key, else in turn.', placeholder: 'N' },
    create: { kind: 'switch', sentence: 'Create the topic when there is none.' },
  },
  examples: [['$0 produce orders --create -k : < orders.txt', 'lines such as 4711:{"item":1}']],
  run: (invocation) => withClient(invocation, (client) => runProduce(invocation, client)),
};

/** What `--output json` prints at the end. */
interface Summary {
  readonly topic: string;
  /** Acknowledged: fsynced on a majority. */
  readonly records: number;
  /** Their keys and values. */
  readonly bytes: number;
  /** Lines over the limit, left out. */
  readonly rejected: number;
  /** undefined when nothing was appended, or to several partitions. */
  readonly firstOffset: number | undefined;
  readonly lastOffset: number | undefined;
  readonly elapsedMs: number;
}

async function runProduce(invocation: Invocation, client: Client): Promise<void> {
  const begunMs = performance.now();
  const separator = invocation.text('key-separator');
  const partitionText = invocation.text('partition');
  const partition = partitionText === undefined ? undefined : parseCount('--partition', partitionText);
  const headers = invocation.list('header').map(parseHeader);
  const topic = await openTopic(client, invocation.words('topic'), invocation.isOn('create'));
  const producer = client.topic(topic.name).producer({ maxBatchRecords: BATCH_RECORDS });
  const sink = new FirstAckSink(producer);
  const lines = new LineRecords(sink, {
    keySeparator: separator === undefined ? undefined : unescapeBytes(separator),
    headers: headers.map(({ key, value }) => ({ key, value: Buffer.from(value) })),
    partition,
    recordBytesMax: RECORD_BYTES_MAX,
    onOversized: (line, actualBytes) => complain(invocation, lines.counts, line, actualBytes),
  });
  const isInterrupted = await appendAll(lines, producer, invocation.terminal);
  const isOnePartition = partition !== undefined || topic.partitions.length === 1;
  const summary: Summary = {
    topic: topic.name,
    records: lines.counts.records,
    bytes: lines.counts.recordBytes,
    rejected: lines.counts.oversized,
    firstOffset: isOnePartition ? await sink.firstOffset : undefined,
    lastOffset: isOnePartition ? producer.lastAck?.offset : undefined,
    elapsedMs: Math.round(performance.now() - begunMs),
  };
  invocation.terminal.out.writeText(renderDocument(invocation.output, summary, () => describeSummary(summary)));
  if (isInterrupted) throw new ExitError(EXIT_INTERRUPTED);
  if (summary.rejected > 0) throw new ExitError(EXIT_USAGE);
}

/** @throws LogError TOPIC_NOT_FOUND, unless it is to be created. */
async function openTopic(client: Client, name: string, mayCreate: boolean): Promise<TopicInfo> {
  return mayCreate ? client.admin.ensureTopic({ name }) : client.admin.describeTopic(name);
}

/** Enqueues all records but the first, whose answer says where this run begins. */
class FirstAckSink implements RecordSink {
  /** Settles with the first record's offset; undefined when there is none or it failed, which flush() tells. */
  firstOffset: Promise<number | undefined> = Promise.resolve(undefined);
  readonly #producer: Producer<Uint8Array>;
  #hasFirst = false;

  constructor(producer: Producer<Uint8Array>) {
    this.#producer = producer;
  }

  enqueue(record: LineRecord): boolean {
    if (this.#hasFirst) return this.#producer.enqueue(record);
    this.#hasFirst = true;
    this.firstOffset = this.#producer.send(record).then(
      (ack) => ack.offset,
      () => undefined,
    );
    return true;
  }

  drained(): Promise<void> {
    return this.#producer.drained();
  }
}

/** Resolves when all of stdin is acknowledged. @returns whether an interrupt ended it early. */
async function appendAll(lines: LineRecords, producer: Producer<Uint8Array>, terminal: Terminal): Promise<boolean> {
  try {
    const isInterrupted = await feed(lines, terminal);
    await producer.flush();
    return isInterrupted;
  } catch (error) {
    // A producer that is held back refuses further records; what flush() tells is why.
    const first = await producer.flush().then(
      () => error,
      (failure: unknown) => failure,
    );
    const last = producer.lastAck;
    const reached = last === undefined ? 'nothing is acknowledged' : `acknowledged up to offset ${last.offset}`;
    terminal.complain(`logdrive: ${groupDigits(lines.counts.records)} records were read; ${reached}.`);
    throw first;
  } finally {
    terminal.clearProgress();
  }
}

/** Reads stdin to its end or to an interrupt. @returns whether it was interrupted. */
async function feed(lines: LineRecords, terminal: Terminal): Promise<boolean> {
  const sizeBytes = inputBytes();
  const begunMs = performance.now();
  let shownMs = begunMs;
  let isInterrupted = false;
  const onInterrupt = (): void => {
    isInterrupted = true;
    process.stdin.destroy();
  };
  process.once('SIGINT', onInterrupt);
  process.once('SIGTERM', onInterrupt);
  try {
    for await (const chunk of process.stdin) {
      await lines.push(chunk as Buffer);
      const nowMs = performance.now();
      if (!terminal.showsProgress || nowMs - shownMs < PROGRESS_PERIOD_MS) continue;
      shownMs = nowMs;
      terminal.progress(describeProgress(lines.counts, sizeBytes, nowMs - begunMs));
    }
    lines.end();
  } catch (error) {
    // Destroying the stream ends the loop with an error of its own; what it left of a line is no record.
    if (!isInterrupted) throw error;
  } finally {
    process.off('SIGINT', onInterrupt);
    process.off('SIGTERM', onInterrupt);
  }
  return isInterrupted;
}

/** Bytes of stdin when it is a file; undefined for a pipe or a terminal. */
function inputBytes(): number | undefined {
  const stat = fstatSync(0);
  return stat.isFile() && stat.size > 0 ? stat.size : undefined;
}

function describeProgress(counts: LineCounts, sizeBytes: number | undefined, elapsedMs: number): string {
  const share = sizeBytes === undefined ? '' : `, ${Math.floor((counts.inputBytes / sizeBytes) * 100)} %`;
  return `${groupDigits(counts.records)} records, ${formatRate(counts.inputBytes, elapsedMs)}${share}`;
}

function describeSummary(summary: Summary): string {
  const { records, bytes, rejected, firstOffset, lastOffset, elapsedMs } = summary;
  const where = firstOffset === undefined ? '' : ` at offsets ${groupDigits(firstOffset)}..${groupDigits(lastOffset!)}`;
  const left = rejected === 0 ? '' : `; ${groupDigits(rejected)} lines over the limit were left out`;
  const took = `in ${(elapsedMs / 1e3).toFixed(1)} s, ${formatRate(bytes, elapsedMs)}`;
  return `${groupDigits(records)} records (${formatBytes(bytes)}) to ${summary.topic}${where} ${took}${left}\n`;
}

function complain({ terminal, output }: Invocation, counts: LineCounts, line: number, actualBytes: number): void {
  if (counts.oversized > COMPLAINTS_MAX) return;
  const what = `line ${line} has ${actualBytes} bytes, over the limit of ${RECORD_BYTES_MAX}; it is left out`;
  const error = new LogError('TOO_LARGE', what, { details: { line, limitBytes: RECORD_BYTES_MAX, actualBytes } });
  terminal.complain(output === 'table' ? errorLines(error)[0]! : JSON.stringify(errorDocument(error)));
  if (counts.oversized === COMPLAINTS_MAX) terminal.complain('logdrive: further lines over the limit are only counted');
}
