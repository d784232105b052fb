/** What a lane makes of failures: which of them are about the place, and how they are told. Pure. */
import { type AckMessage, LogError, type Outcome } from '../protocol/index.ts';
import type { SealedBatch } from './send-queue.ts';
import type { PartitionRef } from './topic-directory.ts';

/** Failures that say: not here. */
export function isAboutPlace(error: LogError): boolean {
  return ['NOT_LEADER', 'NO_LEADER', 'CONNECTION', 'DRAINING', 'TIMEOUT', 'NOT_YET'].includes(error.code);
}

/** The answer must be to this very batch (L7). */
export function ackProblem(batch: SealedBatch, ref: PartitionRef, ack: AckMessage): LogError | undefined {
  const isOurs =
    ack.topicId === ref.topicId && ack.partition === ref.partition && ack.recordCount === batch.recordCount;
  if (isOurs) return undefined;
  return new LogError(
    'INTERNAL',
    `A batch of ${batch.recordCount} records for ${ref.topic}/${ref.partition} (topic ${ref.topicId}) was answered ` +
      `with ${ack.recordCount} for topic ${ack.topicId}/${ack.partition}.`,
  );
}

export function timeUp(lastError: LogError | undefined, timeoutMs: number): LogError {
  if (lastError !== undefined && lastError.code !== 'SEQUENCE_GAP') return withOutcome(lastError, 'none');
  return new LogError('TIMEOUT', `Nothing was acknowledged within ${timeoutMs} ms.`, {
    outcome: 'none',
    cause: lastError,
  });
}

export function withOutcome(error: LogError, outcome: Outcome): LogError {
  if (error.outcome === outcome) return error;
  return new LogError(error.code, error.message, { outcome, details: error.details, cause: error });
}

/** For what was never sent because of a failure before it. */
export function heldBack(cause: LogError): LogError {
  return new LogError(cause.code, `Not sent, because of a failure before it: ${cause.message}`, {
    outcome: 'none',
    details: cause.details,
    cause,
  });
}
