import { describe, expect, test } from 'vitest';
import { type LineRecord, LineRecords, type LineRecordsOptions } from '../../bin/line-records.ts';
import { LogError } from '../../src/client/index.ts';

const text = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString('latin1');

class Sink {
  readonly records: { key?: string; value: string; partition?: number; headers?: unknown }[] = [];
  drains = 0;
  /** Full after every record from this one on. */
  fullFrom = Number.POSITIVE_INFINITY;

  enqueue(record: LineRecord): boolean {
    const { key, value, ...rest } = record;
    this.records.push({ ...(key !== undefined && { key: text(key)! }), value: text(value)!, ...rest });
    return this.records.length < this.fullFrom;
  }

  async drained(): Promise<void> {
    this.drains++;
  }
}

async function lines(input: string, options: Partial<LineRecordsOptions> = {}) {
  const sink = new Sink();
  const oversized: [number, number][] = [];
  const records = new LineRecords(sink, {
    keySeparator: undefined,
    headers: [],
    partition: undefined,
    recordBytesMax: 10,
    onOversized: (lineNumber, bytes) => oversized.push([lineNumber, bytes]),
    ...options,
  });
  await records.push(Buffer.from(input, 'latin1'));
  records.end();
  return { sink, oversized, counts: records.counts };
}

describe('LineRecords', () => {
  test('makes a record of each line, empty ones too', async () => {
    const { sink, counts } = await lines('a\n\nb');
    expect(sink.records).toEqual([{ value: 'a' }, { value: '' }, { value: 'b' }]);
    expect(counts).toEqual({ records: 3, recordBytes: 2, oversized: 0, inputBytes: 4 });
  });

  test('splits the key off at the first separator, of any length', async () => {
    const { sink } = await lines('k:v:w\n:v\nk:\nplain\n', { keySeparator: Buffer.from(':') });
    expect(sink.records).toEqual([
      { key: 'k', value: 'v:w' },
      { key: '', value: 'v' },
      { key: 'k', value: '' },
      { value: 'plain' },
    ]);
    const { sink: wide } = await lines('a=>b\n', { keySeparator: Buffer.from('=>') });
    expect(wide.records).toEqual([{ key: 'a', value: 'b' }]);
  });

  test('adds headers and partition to every record', async () => {
    const headers = [{ key: 'h', value: Buffer.from('1') }];
    const { sink } = await lines('a\n', { headers, partition: 3 });
    expect(sink.records).toEqual([{ value: 'a', headers, partition: 3 }]);
  });

  test('a record at the limit passes and one above is named; the separator does not count, headers do', async () => {
    const value = 'x'.repeat(10);
    expect((await lines(`${value}\n${value}y\nb\n`)).oversized).toEqual([[2, 11]]);
    const keyed = await lines(`12345:12345\n12345:123456\n${value}y\n`, { keySeparator: Buffer.from(':') });
    expect(keyed.sink.records).toEqual([{ key: '12345', value: '12345' }]);
    expect(keyed.oversized).toEqual([
      [2, 12],
      [3, 11],
    ]);
    const headers = [{ key: 'ab', value: Buffer.from('c') }];
    const headed = await lines('1234567\n12345678\n', { headers });
    expect(headed.sink.records).toHaveLength(1);
    expect(headed.oversized).toEqual([[2, 11]]);
    expect(headed.counts).toMatchObject({ records: 1, oversized: 1 });
  });

  test('a record the node finds too large is named like any other; every other failure ends the run', async () => {
    const oversized: number[] = [];
    const taken: string[] = [];
    let failure = new LogError('TOO_LARGE');
    const enqueue = ({ value }: LineRecord): boolean => {
      if (value.length > 2) throw failure;
      taken.push(text(value)!);
      return true;
    };
    const records = new LineRecords(
      { enqueue, drained: async () => undefined },
      {
        keySeparator: undefined,
        headers: [],
        partition: undefined,
        recordBytesMax: 10,
        onOversized: (lineNumber) => oversized.push(lineNumber),
      },
    );
    await records.push(Buffer.from('a\nbbb\nc\n'));
    expect([taken, oversized]).toEqual([['a', 'c'], [2]]);
    expect(records.counts).toMatchObject({ records: 2, recordBytes: 2, oversized: 1 });
    failure = new LogError('CLOSED');
    await expect(records.push(Buffer.from('ddd\n'))).rejects.toThrow(failure);
  });

  test('waits for a full producer once a chunk, and not for one with room', async () => {
    const sink = new Sink();
    const records = new LineRecords(sink, {
      keySeparator: undefined,
      headers: [],
      partition: undefined,
      recordBytesMax: 10,
      onOversized: () => expect.unreachable(),
    });
    await records.push(Buffer.from('a\nb\n'));
    expect(sink.drains).toBe(0);
    sink.fullFrom = 0;
    await records.push(Buffer.from('c\nd\n'));
    expect(sink.drains).toBe(1);
    sink.fullFrom = Number.POSITIVE_INFINITY;
    await records.push(Buffer.from('e\n'));
    expect(sink.drains).toBe(1);
  });
});
