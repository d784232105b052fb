/** Where reading starts, as applications write it, and its check. */
import { LogError, type StartAt as WireStartAt } from '../protocol/index.ts';

export type StartAt =
  | 'earliest'
  /** The tail as it is when the subscription starts: only what comes later. */
  | 'latest'
  | { readonly offset: number }
  /** The first record appended at or after this time. */
  | { readonly timestamp: number | Date }
  /** This many records before the tail, or earliest when there are fewer. */
  | { readonly last: number };

/** @throws LogError INVALID for anything that is not one of the five. */
export function wireStartAt(start: StartAt): WireStartAt {
  if (start === 'earliest' || start === 'latest') return { kind: start };
  if (typeof start === 'object' && start !== null) {
    if ('offset' in start) return { kind: 'offset', offset: checkedCount(start.offset, 'An offset') };
    if ('last' in start) return { kind: 'last', count: checkedCount(start.last, 'The number of last records') };
    if ('timestamp' in start) {
      const timestampMs = typeof start.timestamp === 'number' ? start.timestamp : start.timestamp.getTime();
      return { kind: 'timestamp', timestampMs: checkedCount(timestampMs, 'A timestamp') };
    }
  }
  throw new LogError('INVALID', "A start is 'earliest', 'latest', { offset }, { timestamp } or { last }.");
}

/** @throws LogError INVALID for anything but an integer from 0 to 2^53 - 1. */
export function checkedCount(value: number, what: string): number {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new LogError('INVALID', `${what} is an integer from 0 to 2^53 - 1, not ${String(value)}.`);
}
