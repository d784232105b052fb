/** What a codec says of bytes or values that it refuses. */
import { expect } from 'vitest';
import { LogError } from '../../../src/protocol/index.ts';

/** The code it refuses with, surely without effect; 'no error' when it takes them. */
export function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (LogError.is(error)) {
      expect(error.outcome).toBe('none');
      return error.code;
    }
    throw error;
  }
  return 'no error';
}
