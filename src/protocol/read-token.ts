/**
 * Levels and tokens of reads as text. The token of a read at level 'atLeast': the last record its holder appended or
 * saw, as the replica that serves the read must have it. As text, four decimal numbers:
 *
 *   topic id . partition . offset . term        for example 7.0.1042.3
 *
 * The term is that of the leader that appended the record. An offset alone would also match another record in a log
 * that was lost and begun anew; offset and term together name one record for ever (log matching, paper 5.3).
 */
import { LogError } from './errors.ts';
import type { ReadLevel, ReadToken } from './messages.ts';

const TOKEN = /^(\d{1,16})\.(\d{1,10})\.(\d{1,16})\.(\d{1,16})$/;
const PARTITION_MAX = 0xffff_ffff;

const LEVELS: readonly ReadLevel[] = ['any', 'atLeast', 'linearizable', 'lease'];

/** @throws LogError UNSUPPORTED for a level of a later version, or of none. */
export function parseReadLevel(text: unknown): ReadLevel {
  const known = LEVELS.find((level) => level === text);
  if (known !== undefined) return known;
  throw new LogError('UNSUPPORTED', `The read level is unknown; the levels are ${LEVELS.join(', ')}.`);
}

export function formatReadToken({ topicId, partition, offset, term }: ReadToken): string {
  return `${topicId}.${partition}.${offset}.${term}`;
}

/** @throws LogError INVALID for anything formatReadToken() does not give. */
export function parseReadToken(text: unknown): ReadToken {
  const parts = typeof text === 'string' ? TOKEN.exec(text) : null;
  const [topicId = 0, partition = 0, offset = 0, term = 0] = (parts ?? []).slice(1).map(Number);
  const token = { topicId, partition, offset, term };
  if (parts !== null && isReadToken(token) && formatReadToken(token) === text) return token;
  throw new LogError('INVALID', 'A read token is a text that an append or a read gave, such as 7.0.1042.3.');
}

export function isReadToken({ topicId, partition, offset, term }: ReadToken): boolean {
  const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
  return (
    isCount(topicId) &&
    topicId > 0 &&
    isCount(partition) &&
    partition <= PARTITION_MAX &&
    isCount(offset) &&
    isCount(term) &&
    term > 0
  );
}
