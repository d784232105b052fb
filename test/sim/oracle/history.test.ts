import { describe, expect, test } from 'vitest';
import {
  decodeHistory,
  encodeEvent,
  encodeHeader,
  encodeHistory,
  type HistoryEvent,
  judge,
  Recorder,
} from './index.ts';

function history(): HistoryEvent[] {
  const recorder = new Recorder();
  const append = recorder.begin({ kind: 'append', client: 'w', partition: 't/0', values: ['a'], order: 0 });
  const read = recorder.begin({ kind: 'read', client: 'r', partition: 't/0', from: 'next', level: 'any' });
  recorder.end(append, { kind: 'acked', offset: 0, term: 2 });
  recorder.end(read, { kind: 'records', from: 0, next: 0, earliest: 0, tail: 0, records: [] });
  recorder.note({ kind: 'healed' });
  return recorder.events;
}

describe('a history file', () => {
  test('is read back as it was written, event by event', () => {
    const lines: string[] = [encodeHeader()];
    const recorder = new Recorder((event) => lines.push(encodeEvent(event)));
    recorder.begin({ kind: 'tail', client: 'r', partition: 't/0', level: 'lease' });
    expect(decodeHistory(lines.join(''))).toEqual(recorder.events);
    expect(decodeHistory(encodeHistory(history()))).toEqual(history());
  });

  test('may end within a line, as a driver that was killed leaves it', () => {
    const text = encodeHistory(history());
    expect(decodeHistory(text.slice(0, -5))).toEqual(history().slice(0, -1));
  });

  test.each([
    ['no header', '{"kind":"healed"}\n', 'line 1'],
    ['another version', '{"kind":"history","version":2}\n', 'line 1'],
    ['a line that is not JSON', `${encodeHeader()}{"kind":\n`, 'line 2'],
    ['an unknown kind', `${encodeHeader()}{"kind":"healed"}\n{"kind":"toString","op":1}\n`, 'line 3'],
    ['a missing field', `${encodeHeader()}{"kind":"done"}\n`, 'line 2'],
    ['an unknown field', `${encodeHeader()}{"kind":"done","op":1,"offset":2}\n`, 'line 2'],
    ['a negative offset', `${encodeHeader()}{"kind":"acked","op":1,"offset":-1}\n`, 'line 2'],
    [
      'a batch without records',
      `${encodeHeader()}{"kind":"append","op":1,"client":"w","partition":"t","values":[]}\n`,
      'line 2',
    ],
  ])('is refused with %s, by line', (_, text, line) => {
    expect(() => decodeHistory(text)).toThrow(line);
  });
});

describe('a history that is none', () => {
  const append = { kind: 'append', client: 'w', partition: 't/0', values: ['a'] } as const;

  test.each<[string, HistoryEvent[], string]>([
    ['an answer without a call', [{ kind: 'done', op: 1 }], 'op 1 ends'],
    [
      'two answers',
      [
        { ...append, op: 1 },
        { kind: 'acked', op: 1, offset: 0 },
        { kind: 'acked', op: 1, offset: 0 },
      ],
      'op 1',
    ],
    [
      'two calls of one number',
      [
        { ...append, op: 1 },
        { ...append, op: 1 },
      ],
      'op 1 begins twice',
    ],
    [
      'an answer to something else',
      [
        { ...append, op: 1 },
        { kind: 'tailIs', op: 1, tail: 1, earliest: 0 },
      ],
      'no answer',
    ],
    [
      'one value in two batches',
      [
        { ...append, op: 1 },
        { ...append, values: ['a', 'b'], op: 2 },
      ],
      'two batches',
    ],
  ])('is refused: %s', (_, events, message) => {
    expect(() => judge(events)).toThrow(message);
  });

  test('counts what happened, since a run in which nothing did proves nothing', () => {
    const nothing = { compacted: 0, forgotten: 0 };
    const counts = { acked: 1, refused: 0, unknown: 0, seen: 0, reads: 1, trimmed: 0, ...nothing };
    expect(judge(history()).counts).toEqual(counts);
  });

  test('counts what compaction took out of the replicas, and the deletions that it has forgotten', () => {
    const keys = { keys: ['k', 'k', 'k', 'l', 'l'], tombstones: ['c'] };
    const values = ['a', 'b', 'c', 'd', 'e'];
    const events: HistoryEvent[] = [
      { kind: 'compacted', partition: 'p', isForgetful: true },
      { kind: 'append', client: 'w', partition: 'p', values, ...keys, op: 1 },
      { kind: 'acked', offset: 0, op: 1 },
      { kind: 'trim', client: 'operator', partition: 'p', before: 1, op: 2 },
      { kind: 'replica', partition: 'p', node: 'n1', earliest: 0, tail: 5, records: [{ offset: 4, value: 'e' }] },
      {
        ...{ kind: 'replica', partition: 'p', node: 'n2', earliest: 1, tail: 5 },
        records: values.map((value, offset) => ({ offset, value })).slice(2),
      },
    ];
    expect(judge(events)).toMatchObject({ anomalies: [], counts: { compacted: 5, forgotten: 1 } });
  });
});

test('a long history is judged in a time that grows with its length', { timeout: 60_000 }, () => {
  // Two hundred thousand records, appended and read ten at a time: the slow way would need hours.
  const recorder = new Recorder();
  const count = 20_000;
  for (let batch = 0; batch < count; batch += 1) {
    const values = Array.from({ length: 10 }, (_, at) => `${batch}/${at}`);
    const append = recorder.begin({ kind: 'append', client: 'w', partition: 't/0', values, order: batch });
    recorder.end(append, { kind: 'acked', offset: batch * 10 });
    const read = recorder.begin({ kind: 'read', client: 'r', partition: 't/0', from: 'next', level: 'linearizable' });
    const records = values.map((value, at) => ({ offset: batch * 10 + at, value }));
    const next = batch * 10 + 10;
    recorder.end(read, { kind: 'records', from: batch * 10, next, earliest: 0, tail: next, records });
  }
  const { anomalies, counts } = judge(recorder.events);
  expect(anomalies).toEqual([]);
  expect(counts.seen).toBe(count * 10);
});
