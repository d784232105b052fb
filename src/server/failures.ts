/**
 * What a client is told of an error, whatever door it came through. LogErrors pass as they are. A broken invariant
 * must not be answered away: it leaves this turn uncaught, and the process ends with the state described. Everything
 * else is a defect of ours: the log gets all of it, the client a code and no stack, path or payload.
 */
import { AssertionError } from 'node:assert';
import type { Logger } from '../env.ts';
import { LogError } from '../protocol/index.ts';

export function toldError(error: unknown, logger: Logger): LogError {
  if (LogError.is(error)) return error;
  if (error instanceof AssertionError) {
    queueMicrotask(() => {
      throw error;
    });
  }
  logger.error({ error }, 'a defect answered a client');
  return new LogError('INTERNAL', undefined, { cause: error });
}
