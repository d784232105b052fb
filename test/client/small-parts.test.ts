/** The client's small pure parts: addresses, starts, hashes, codecs, queues, delays, options, checks of DATA. */

import { describe, expect, test } from 'vitest';
import { Backoff, operationBackoff } from '../../src/client/backoff.ts';
import { BatchBuffers } from '../../src/client/batch-buffers.ts';
import { bytes, json, utf8 } from '../../src/client/codec.ts';
import { Fifo } from '../../src/client/fifo.ts';
import { settingsOf } from '../../src/client/options.ts';
import { murmur2, partitionOfKey, StickyPartition } from '../../src/client/partitioner.ts';
import { producerSettings } from '../../src/client/producer-options.ts';
import { checkData } from '../../src/client/received-data.ts';
import { serverUrls } from '../../src/client/server-url.ts';
import { wireStartAt } from '../../src/client/start-at.ts';
import { crc32cPortable, encodeRecordBatch, patchBatch } from '../../src/protocol/index.ts';
import { World } from './support/world.ts';

const TEXT = new TextEncoder();
const META = { topic: 't', partition: 0, offset: 0, timestamp: 0, headers: [] };

describe('addresses', () => {
  test.each([
    ['localhost', ['ws://localhost:4437/v1/ws']],
    ['db1:9000', ['ws://db1:9000/v1/ws']],
    ['ws://db1:80', ['ws://db1/v1/ws']],
    ['http://db1:4447/', ['ws://db1:4447/v1/ws']],
    ['https://log.example', ['wss://log.example/v1/ws']],
    ['wss://log.example:8443/behind/a/proxy', ['wss://log.example:8443/behind/a/proxy']],
    ['[::1]:4437', ['ws://[::1]:4437/v1/ws']],
    ['a:1, b:2,a:1', ['ws://a:1/v1/ws', 'ws://b:2/v1/ws']],
    [new URL('ws://a:1/v1/ws'), ['ws://a:1/v1/ws']],
    [
      ['a:1', 'b:2'],
      ['ws://a:1/v1/ws', 'ws://b:2/v1/ws'],
    ],
  ])('%s is %j', (given, urls) => {
    expect(serverUrls(given)).toEqual(urls);
  });

  test.each(['', ' , ', 'ftp://a:1', 'a:99999', 'ws://user:secret@a:1', 'ws://a:1?token=x'])(
    '%j is refused',
    (given) => {
      expect(() => serverUrls(given)).toThrow(/address/);
    },
  );
});

describe('starts', () => {
  test('the five ways to say where to start', () => {
    expect(wireStartAt('earliest')).toEqual({ kind: 'earliest' });
    expect(wireStartAt('latest')).toEqual({ kind: 'latest' });
    expect(wireStartAt({ offset: 5 })).toEqual({ kind: 'offset', offset: 5 });
    expect(wireStartAt({ last: 10 })).toEqual({ kind: 'last', count: 10 });
    expect(wireStartAt({ timestamp: new Date(99) })).toEqual({ kind: 'timestamp', timestampMs: 99 });
  });

  test.each([{ offset: -1 }, { offset: 2 ** 53 }, { last: 0.5 }, { timestamp: new Date(Number.NaN) }, 'newest', {}])(
    '%j is INVALID',
    (start) => {
      expect(() => wireStartAt(start as never)).toThrow(expect.objectContaining({ code: 'INVALID', outcome: 'none' }));
    },
  );
});

describe('partitioning', () => {
  // The vectors of Kafka's own tests of its hash.
  test.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ])('murmur2 of %s is %i, as in Kafka', (key, hash) => {
    expect(murmur2(TEXT.encode(key))).toBe(hash);
  });

  test('a key always has a partition in range', () => {
    for (let i = 0; i < 1_000; i++) {
      const partition = partitionOfKey(TEXT.encode(`key ${i}`), 7);
      expect(partition).toBe(partitionOfKey(TEXT.encode(`key ${i}`), 7));
      expect(partition).toBeGreaterThanOrEqual(0);
      expect(partition).toBeLessThan(7);
    }
  });

  test('the sticky partition moves on when its own batch is closed, and only then', () => {
    const sticky = new StickyPartition(3, 5);
    expect(sticky.current).toBe(2);
    sticky.onBatchClosed(1);
    expect(sticky.current).toBe(2);
    sticky.onBatchClosed(2);
    expect(sticky.current).toBe(0);
  });
});

describe('codecs', () => {
  test('each gives back what it was given', () => {
    expect(bytes.decodeValue(bytes.encodeValue(Uint8Array.of(1, 2)), META)).toEqual(Uint8Array.of(1, 2));
    expect(utf8.decodeValue(utf8.encodeValue('grüße \ufeff'), META)).toBe('grüße \ufeff');
    const codec = json<{ a: number }>();
    expect(codec.decodeValue(codec.encodeValue({ a: 1 }), META)).toEqual({ a: 1 });
    expect(codec.decodeKey?.(codec.encodeKey?.('k') ?? new Uint8Array())).toBe('k');
  });

  test('bytes that are no text, and values that have no JSON, are errors', () => {
    expect(() => utf8.decodeValue(Uint8Array.of(0xff), META)).toThrow(TypeError);
    expect(() => json().encodeValue(undefined)).toThrow(TypeError);
  });
});

describe('queue', () => {
  test('what goes in first comes out first, through any mix of both', () => {
    const world = new World(3);
    const fifo = new Fifo<number>();
    const model: number[] = [];
    for (let i = 0; i < 5_000; i++) {
      if (world.next() < 0.55) {
        fifo.push(i);
        model.push(i);
      } else expect(fifo.shift()).toBe(model.shift());
      expect(fifo.length).toBe(model.length);
      expect(fifo.peek()).toBe(model[0]);
    }
    expect(fifo.takeAll()).toEqual(model);
    expect(fifo.length).toBe(0);
  });
});

describe('delays', () => {
  const options = { minDelayMs: 100, maxDelayMs: 10_000, factor: 2 };

  test('are random below a bound that doubles up to its cap, and start small again after a success', () => {
    const backoff = new Backoff({ next: () => 1, bytes: () => new Uint8Array() }, options);
    expect(Array.from({ length: 9 }, () => backoff.next())).toEqual([
      100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000,
    ]);
    backoff.reset();
    expect(backoff.next()).toBe(100);
  });

  test('may be 0 (full jitter), and are never below what the server asked for', () => {
    const backoff = new Backoff({ next: () => 0, bytes: () => new Uint8Array() }, options);
    expect(backoff.next()).toBe(0);
    expect(backoff.next(750)).toBe(750);
  });

  test('inside an operation take up at most an eighth of its time', () => {
    const backoff = operationBackoff({ next: () => 1, bytes: () => new Uint8Array() }, options, 2_000);
    for (let i = 0; i < 8; i++) backoff.next();
    expect(backoff.next()).toBe(250);
  });
});

describe('options', () => {
  test.each([
    { requestTimeoutMs: 0 },
    { connectTimeoutMs: Number.NaN },
    { heartbeatMs: '5s' },
    { reconnect: { minDelayMs: 0 } },
    { reconnect: { minDelayMs: 500, maxDelayMs: 100 } },
    { reconnect: { factor: 0.5 } },
  ])('connect refuses %j and names it', (options) => {
    expect(() => settingsOf(options as never)).toThrow(
      expect.objectContaining({ code: 'INVALID', message: expect.stringContaining(' is a number from ') }),
    );
  });

  test.each([
    { maxInFlight: 6 },
    { maxInFlight: 0 },
    { maxBatchRecords: 1.5 },
    { maxBatchBytes: 5 * 1024 * 1024 },
    { lingerMs: -1 },
    { onFull: 'drop' },
    { id: '', epoch: 1 },
    { epoch: 1 },
    { id: 'x', epoch: 2 ** 32 },
  ])('a producer refuses %j', (options) => {
    expect(() => producerSettings(options as never)).toThrow(expect.objectContaining({ code: 'INVALID' }));
  });
});

describe('what a consumer checks of DATA', () => {
  function batch(baseOffset: number, count: number): Uint8Array {
    const records = Array.from({ length: count }, () => ({ value: TEXT.encode('v') }));
    const encoded = encodeRecordBatch(records, { nowMs: 1, crc32c: crc32cPortable });
    patchBatch(encoded, baseOffset, 1);
    return encoded;
  }

  function check(
    { from, next, holes = false }: { from: number; next: number; holes?: boolean },
    batches: readonly Uint8Array[],
    position = from,
  ): string {
    const message = { fromOffset: from, nextOffset: next, compacted: holes, filtered: false };
    try {
      const received = checkData(message, new Uint8Array(Buffer.concat(batches)), position, crc32cPortable);
      return received.map(({ fromOffset, nextOffset }) => `${fromOffset}-${nextOffset}`).join(' ');
    } catch (error) {
      return (error as { code: string }).code;
    }
  }

  const damaged = batch(10, 2);
  damaged[damaged.length - 1]! ^= 0x80;

  test.each([
    {
      name: 'batches back to back',
      data: { from: 10, next: 15 },
      batches: [batch(10, 2), batch(12, 3)],
      verdict: '10-12 12-15',
    },
    {
      name: 'a first batch that begins below',
      data: { from: 11, next: 12 },
      batches: [batch(10, 2)],
      verdict: '11-12',
    },
    {
      name: 'another start than the position',
      data: { from: 10, next: 12 },
      batches: [batch(10, 2)],
      position: 11,
      verdict: 'INVALID',
    },
    { name: 'a hole before the first batch', data: { from: 9, next: 12 }, batches: [batch(10, 2)], verdict: 'INVALID' },
    {
      name: 'a hole between batches',
      data: { from: 10, next: 15 },
      batches: [batch(10, 2), batch(13, 2)],
      verdict: 'INVALID',
    },
    {
      name: 'announced holes',
      data: { from: 9, next: 20, holes: true },
      batches: [batch(10, 2), batch(13, 2)],
      // The consumer then stands where the node says: behind the hole.
      verdict: '10-12 13-20',
    },
    { name: 'an overlap', data: { from: 10, next: 13 }, batches: [batch(10, 2), batch(11, 2)], verdict: 'INVALID' },
    { name: 'a batch that is wholly below', data: { from: 12, next: 12 }, batches: [batch(10, 2)], verdict: 'INVALID' },
    {
      name: 'a next offset past the last batch',
      data: { from: 10, next: 13 },
      batches: [batch(10, 2)],
      verdict: 'INVALID',
    },
    { name: 'a next offset before it', data: { from: 10, next: 11 }, batches: [batch(10, 2)], verdict: 'INVALID' },
    { name: 'a flipped bit', data: { from: 10, next: 12 }, batches: [damaged], verdict: 'CRC' },
    { name: 'half a batch', data: { from: 10, next: 12 }, batches: [batch(10, 2).subarray(0, 65)], verdict: 'INVALID' },
  ])('$name: $verdict', ({ data, batches, position, verdict }) => {
    expect(check(data, batches, position)).toBe(verdict);
  });
});

describe('BatchBuffers', () => {
  test('gives back what it was given, and makes one where there is none of that size', () => {
    const buffers = new BatchBuffers();
    const first = buffers.take(2_048);
    expect(first).toHaveLength(2_048);
    buffers.give(first);
    expect(buffers.take(1_024)).toHaveLength(1_024);
    expect(buffers.take(2_048)).toBe(first);
    expect(buffers.take(2_048)).not.toBe(first);
  });

  test('keeps eight at most, all of the size last given', () => {
    const buffers = new BatchBuffers();
    const given: Uint8Array[] = Array.from({ length: 12 }, () => new Uint8Array(2_048));
    for (const buffer of given) buffers.give(buffer);
    const taken = Array.from({ length: 12 }, () => buffers.take(2_048));
    expect(taken.filter((buffer) => given.includes(buffer))).toHaveLength(8);
    for (const buffer of given) buffers.give(buffer);
    const other = new Uint8Array(1_024);
    buffers.give(other);
    expect(given.includes(buffers.take(2_048))).toBe(false);
    expect(buffers.take(1_024)).toBe(other);
  });
});
