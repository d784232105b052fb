/** Readers that stay: when they say that there is nothing to read for now. */
import { describe, expect, test } from 'vitest';
import { LocalReader, RemoteReader, type Window, type WindowReads } from '../../src/broker/readers.ts';
import type { ReadResult } from '../../src/broker/verbs.ts';

function result(nextOffset: number, batches: readonly Uint8Array[]): ReadResult {
  const stamp = { level: 'any', node: 'n1', appliedOffset: 5, term: 1 } as const;
  return { topicId: 1, batches, fromOffset: 2, nextOffset, compacted: true, earliest: 0, tail: 5, ...stamp };
}

/** Compaction left nothing from offset 2 to the tail at 5; then a record comes. */
const ANSWERS = [result(5, []), result(6, [new Uint8Array(1)])];

function local(): LocalReader {
  const answers = ANSWERS.values();
  const partition = { tail: 5, watch: (_offset: number, wake: () => void) => queueMicrotask(wake) };
  const window = { partition } as unknown as Window;
  const reads = { readHere: async () => answers.next().value, refresh: () => window } as unknown as WindowReads;
  return new LocalReader(reads, window, 2, 'any');
}

function remote(): RemoteReader {
  const answers = ANSWERS.values();
  return new RemoteReader(async () => answers.next().value as ReadResult, result(2, []));
}

describe.each([
  ['on the replica of its node', local],
  ['of another node', remote],
])('a reader %s', (_which, open) => {
  test('says that it waits behind a hole that reaches to the tail, and goes on behind it', async () => {
    const reader = open();
    let waits = 0;
    const onWaiting = (): void => {
      waits += 1;
    };
    expect(reader.position).toBeLessThan(reader.tail);
    expect(await reader.next(100, onWaiting)).toMatchObject({ fromOffset: 2, nextOffset: 6 });
    expect([waits, reader.position]).toEqual([1, 6]);
  });
});
