/**
 * What a consumer checks of every DATA message before a record of it is shown (P4, P5): it continues exactly where the
 * last one ended, its batches follow each other without a hole that is not announced, and every byte matches the
 * producer's checksum. Pure.
 */
import { type Crc32c, type DataMessage, LogError, splitBatches, verifyBatch } from '../protocol/index.ts';

export interface ReceivedBatch {
  /** One whole batch, checked. */
  readonly bytes: Uint8Array;
  /** First offset that is new to the consumer; the batch may begin below it. */
  readonly fromOffset: number;
  /** One past its last offset, and past what compaction took out behind the last batch of a message. */
  readonly nextOffset: number;
  /** Of the leader that appended it. */
  readonly term: number;
}

/** @throws LogError CRC for damaged bytes, INVALID for anything that is not the continuation of `position`. */
export function checkData(
  message: Pick<DataMessage, 'fromOffset' | 'nextOffset' | 'compacted' | 'filtered'>,
  payload: Uint8Array,
  position: number,
  crc32c: Crc32c,
): ReceivedBatch[] {
  if (message.fromOffset !== position) {
    throw discontinuity(`records from offset ${message.fromOffset} came where ${position} was next`, position);
  }
  const mayHaveHoles = message.compacted || message.filtered;
  const received: ReceivedBatch[] = [];
  let expected = position;
  for (const bytes of splitBatches(payload)) {
    const { baseOffset, lastOffsetDelta, leaderEpoch: term } = verifyBatch(bytes, crc32c);
    const nextOffset = baseOffset + lastOffsetDelta + 1;
    const isFirst = received.length === 0;
    const continues = isFirst ? baseOffset <= expected : baseOffset === expected;
    if (!(continues || (mayHaveHoles && baseOffset > expected)) || nextOffset <= expected) {
      throw discontinuity(
        `a batch of offsets ${baseOffset} to ${nextOffset} came where ${expected} was next`,
        position,
      );
    }
    received.push({ bytes, fromOffset: Math.max(expected, baseOffset), nextOffset, term });
    expected = nextOffset;
  }
  if (mayHaveHoles ? message.nextOffset < expected : message.nextOffset !== expected) {
    throw discontinuity(`records up to ${expected} came with ${message.nextOffset} as next offset`, position);
  }
  // What was taken out behind the last batch is passed with it: the consumer then stands where the node says it does.
  const last = received.at(-1);
  if (last !== undefined) received[received.length - 1] = { ...last, nextOffset: message.nextOffset };
  return received;
}

function discontinuity(what: string, offset: number): LogError {
  return new LogError('INVALID', `The node broke the order of the log: ${what}.`, { details: { offset } });
}
