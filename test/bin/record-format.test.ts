import { describe, expect, test } from 'vitest';
import { UsageError } from '../../bin/exit.ts';
import { type ConsumedRecord, jsonFormat, parseRecordFormat, type RecordFormat } from '../../bin/record-format.ts';

const record: ConsumedRecord = {
  topic: 'orders',
  partition: 2,
  offset: 41,
  timestamp: 1_700_000_000_123,
  key: Buffer.from('k1'),
  value: Buffer.from('hello'),
  headers: [
    { key: 'a', value: Buffer.from('1') },
    { key: 'b', value: Buffer.from('2') },
  ],
};

function written(format: RecordFormat, of: ConsumedRecord = record): Buffer {
  const pieces: Uint8Array[] = [];
  format(of, (bytes) => pieces.push(bytes));
  return Buffer.concat(pieces);
}

const formatted = (text: string, of?: ConsumedRecord): string =>
  written(parseRecordFormat(text), of).toString('latin1');

describe('parseRecordFormat', () => {
  test.each([
    ['%o', '41'],
    ['%t/%p', 'orders/2'],
    ['%T', '1700000000123'],
    ['%k=%s', 'k1=hello'],
    ['%K:%S', '2:5'],
    ['%h', 'a=1,b=2'],
    ['100%% %s\\n', '100% hello\n'],
    ['%%s', '%s'],
    ['%o\\t%s\\x00', '41\thello\0'],
    ['a\nb%s', 'a\nbhello'],
    ['', ''],
  ])('writes %j as %j', (format, expected) => {
    expect(formatted(format)).toBe(expected);
  });

  test('raw is the value and a line feed', () => {
    expect(formatted('raw')).toBe('hello\n');
  });

  test('bytes that are no text pass through untouched, in raw and in a format', () => {
    const bytes = Buffer.from([0xff, 0x00, 0x0a, 0x0d, 0xc3]);
    expect(written(parseRecordFormat('raw'), { ...record, value: bytes })).toEqual(
      Buffer.concat([bytes, Buffer.from('\n')]),
    );
    expect(written(parseRecordFormat('%k|%s'), { ...record, key: bytes, value: bytes })).toEqual(
      Buffer.concat([bytes, Buffer.from('|'), bytes]),
    );
  });

  test('a record without a key has an empty key of length -1', () => {
    expect(formatted('%k/%K', { ...record, key: undefined })).toBe('/-1');
  });

  test.each(['%x', '%', 'a%', '%  '])('refuses %j and lists what it knows', (format) => {
    expect(() => parseRecordFormat(format)).toThrow(UsageError);
    expect(() => parseRecordFormat(format)).toThrow(/%o.*%s/);
  });
});

describe('jsonFormat', () => {
  test('is one line with every field', () => {
    const line = written(jsonFormat).toString();
    expect(line.indexOf('\n')).toBe(line.length - 1);
    expect(JSON.parse(line)).toEqual({
      topic: 'orders',
      partition: 2,
      offset: 41,
      timestamp: 1_700_000_000_123,
      key: 'k1',
      value: 'hello',
      headers: { a: '1', b: '2' },
    });
  });

  test('bytes that are not valid UTF-8 come as base64 under another name, and a line feed is escaped', () => {
    const parsed = JSON.parse(
      written(jsonFormat, { ...record, key: undefined, value: Buffer.from([0xff, 0xfe]), headers: [] }).toString(),
    );
    expect(parsed).toMatchObject({ key: null, valueBase64: '//4=' });
    expect(parsed).not.toHaveProperty('value');
    expect(written(jsonFormat, { ...record, value: Buffer.from('a\nb') }).toString()).toContain('"value":"a\\nb"');
  });

  test('headers that repeat or are no text come as a list', () => {
    const headers = [
      { key: 'a', value: Buffer.from('1') },
      { key: 'a', value: Buffer.from([0xff]) },
    ];
    expect(JSON.parse(written(jsonFormat, { ...record, headers }).toString()).headers).toEqual([
      { key: 'a', value: '1' },
      { key: 'a', valueBase64: '/w==' },
    ]);
  });

  test('a byte order mark belongs to the value', () => {
    const value = Buffer.from('\ufeffx');
    expect(Buffer.from(JSON.parse(written(jsonFormat, { ...record, value }).toString()).value)).toEqual(value);
  });
});
