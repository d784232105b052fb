import { describe, expect, test } from 'vitest';
import {
  CHANNEL_MAX,
  decodeFrame,
  encodeFrame,
  FRAME_BYTES_MAX,
  FRAME_HEADER_BYTES_MAX,
  HEADER_FIELDS_MAX,
  type Message,
  type ResponseMessage,
  type TopicInfo,
} from '../../src/protocol/index.ts';
import { CODECS } from '../../src/protocol/message-codec.ts';
import { codeOf } from './support/code-of.ts';

const ping: Message = { kind: 'ping', nonce: 1 };
const data: Message = { kind: 'data', fromOffset: 0, nextOffset: 1, tail: 1, compacted: false, filtered: false };
const batch = Uint8Array.of(1, 2, 3);

/** A frame around a hand-made header. */
function frame(kind: number, channel: number, header: readonly number[], payload: readonly number[] = []): Uint8Array {
  expect(header.length).toBeLessThan(128);
  return Uint8Array.of(
    kind,
    channel >>> 24,
    channel >>> 16,
    channel >>> 8,
    channel,
    header.length,
    ...header,
    ...payload,
  );
}

describe('decodeFrame', () => {
  test('reads kind, channel, header and payload from where the drawing puts them', () => {
    const bytes = frame(7, 0x8000_0001, [0x10, 0x05], [0xaa, 0xbb]);
    expect(decodeFrame(bytes)).toEqual({
      channel: 0x8000_0001,
      message: { kind: 'data', fromOffset: 0, nextOffset: 5, tail: 0, compacted: false, filtered: false },
      payload: Uint8Array.of(0xaa, 0xbb),
    });
  });

  test('gives the payload as a plain view of the received bytes', () => {
    const bytes = Buffer.from(frame(7, 1, [0x10, 0x05], [0xaa, 0xbb]));
    const { payload } = decodeFrame(bytes)!;
    expect(payload.constructor).toBe(Uint8Array);
    expect(payload.buffer).toBe(bytes.buffer);
  });

  test('lets kinds with the high bit pass, whatever follows, and refuses other unknown ones', () => {
    for (const kind of [0x80, 0x91, 0xff]) expect(decodeFrame(Uint8Array.of(kind, 9, 9, 9, 9, 9, 9))).toBeUndefined();
    for (const kind of [0, 18, 0x7f]) expect(codeOf(() => decodeFrame(frame(kind, 0, [])))).toBe('UNSUPPORTED');
  });

  test('refuses frames without a whole envelope', () => {
    for (let length = 0; length <= 5; length++) {
      expect(codeOf(() => decodeFrame(frame(12, 0, []).subarray(0, length)))).toBe('INVALID');
    }
    expect(decodeFrame(frame(12, 0, []))!.message).toEqual({ kind: 'ping', nonce: 0 });
  });

  test.each<[string, number[], string]>([
    ['a header past the end', [2, 8], 'INVALID'],
    ['a length cut off', [0x80], 'INVALID'],
    ['a length of six bytes', [0x80, 0x80, 0x80, 0x80, 0x80, 0x00], 'INVALID'],
    ['a header over its cap', [0x81, 0x80, 0x04, 0], 'TOO_LARGE'],
    ['a header of 2^31 bytes', [0x80, 0x80, 0x80, 0x80, 0x08], 'TOO_LARGE'],
    ['a header of 2^32 - 1 bytes', [0xff, 0xff, 0xff, 0xff, 0x0f], 'TOO_LARGE'],
    ['a header of 2^35 - 1 bytes', [0xff, 0xff, 0xff, 0xff, 0x7f], 'TOO_LARGE'],
  ])('refuses %s', (_, rest, code) => {
    expect(codeOf(() => decodeFrame(Uint8Array.of(12, 0, 0, 0, 0, ...rest)))).toBe(code);
  });

  test('reads a length that is padded with zeros', () => {
    expect(decodeFrame(Uint8Array.of(12, 0, 0, 0, 0, 0x82, 0x00, 8, 5))!.message).toEqual({ kind: 'ping', nonce: 5 });
  });

  test('refuses a message over the cap before it looks inside', () => {
    expect(codeOf(() => decodeFrame(new Uint8Array(FRAME_BYTES_MAX + 1)))).toBe('TOO_LARGE');
    const largest = new Uint8Array(FRAME_BYTES_MAX);
    largest.set([7, 0, 0, 0, 1, 0]);
    expect(decodeFrame(largest)!.payload).toHaveLength(FRAME_BYTES_MAX - 6);
  });

  test('keeps every kind to its channels', () => {
    for (const { number, channel, payload } of Object.values(CODECS)) {
      const bytes = (on: number) => frame(number, on, minimalHeader(number), payload === 'required' ? [1] : []);
      expect(
        codeOf(() => decodeFrame(bytes(0))),
        `kind ${number}, channel 0`,
      ).toBe(channel === 'subscription' ? 'INVALID' : 'no error');
      expect(
        codeOf(() => decodeFrame(bytes(1))),
        `kind ${number}, channel 1`,
      ).toBe(channel === 'connection' ? 'INVALID' : 'no error');
    }
  });

  test('wants a payload exactly where one belongs', () => {
    for (const { number, channel, payload } of Object.values(CODECS)) {
      const on = channel === 'subscription' ? 1 : 0;
      const without = codeOf(() => decodeFrame(frame(number, on, minimalHeader(number))));
      const withOne = codeOf(() => decodeFrame(frame(number, on, minimalHeader(number), [1])));
      expect(without, `kind ${number} without`).toBe(payload === 'required' ? 'INVALID' : 'no error');
      expect(withOne, `kind ${number} with`).toBe(payload === 'none' ? 'INVALID' : 'no error');
    }
  });

  test('refuses what this sender may not say, and nothing it may', () => {
    for (const { number, channel, payload, sender } of Object.values(CODECS)) {
      const on = channel === 'subscription' ? 1 : 0;
      const bytes = frame(number, on, minimalHeader(number), payload === 'required' ? [1] : []);
      for (const from of ['client', 'server'] as const) {
        const expected = sender === 'both' || sender === from ? 'no error' : 'INVALID';
        expect(
          codeOf(() => decodeFrame(bytes, from)),
          `kind ${number} from a ${from}`,
        ).toBe(expected);
      }
    }
  });

  test.each<[string, Uint8Array, string]>([
    ['a field number 0', frame(12, 0, [0x00, 0x01]), 'INVALID'],
    ['a wire type that does not exist', frame(12, 0, [0x0f]), 'INVALID'],
    ['a submessage longer than the header', frame(5, 0, [0x12, 0x7f]), 'INVALID'],
    ['a text that is not UTF-8', frame(14, 0, [0x0a, 0x02, 0xc3, 0x28]), 'INVALID'],
    ['a text with half a surrogate pair', frame(14, 0, [0x0a, 0x03, 0xed, 0xa0, 0x80]), 'INVALID'],
    ['2^53', frame(12, 0, [0x08, ...varint(2n ** 53n)]), 'INVALID'],
    ['2^53 + 1', frame(12, 0, [0x08, ...varint(2n ** 53n + 1n)]), 'INVALID'],
    ['2^64 - 1, which is -1 as an int64', frame(12, 0, [0x08, ...varint(2n ** 64n - 1n)]), 'INVALID'],
    ['a varint of eleven bytes', frame(12, 0, [0x08, ...new Array(10).fill(0x80), 0x01]), 'INVALID'],
    ['an append that names no topic', frame(3, 0, [0x08, 1], [1]), 'INVALID'],
    ['an append that names two', frame(3, 0, [0x12, 1, 0x61, 0x18, 7], [1]), 'INVALID'],
    ['a producer id of 15 bytes', frame(3, 0, [0x18, 7, 0x2a, 17, 0x0a, 15, ...new Array(15).fill(0)], [1]), 'INVALID'],
    ['a nack without a failure', frame(5, 0, [0x08, 1]), 'INVALID'],
    ['a subscribe that does not say where', frame(6, 1, [0x10, 7]), 'INVALID'],
    ['a read level of a later version', frame(6, 1, [0x10, 7, 0x22, 2, 0x10, 1, 0x32, 1, 0x78]), 'UNSUPPORTED'],
    ['a request of a later version', frame(16, 0, [0x08, 1, 0xfa, 0x07, 0]), 'UNSUPPORTED'],
    ['a response of a later version', frame(17, 0, [0x08, 1]), 'UNSUPPORTED'],
  ])('refuses %s', (_, bytes, code) => {
    expect(codeOf(() => decodeFrame(bytes))).toBe(code);
  });

  test('reads 2^53 - 1', () => {
    const bytes = frame(12, 0, [0x08, ...varint(2n ** 53n - 1n)]);
    expect(decodeFrame(bytes)!.message).toEqual({ kind: 'ping', nonce: Number.MAX_SAFE_INTEGER });
  });

  test('skips fields of a later version', () => {
    const unknown = [0xf8, 0x07, 0x2a, 0xfa, 0x07, 0x02, 0x01, 0x02, 0xfd, 0x07, 1, 2, 3, 4];
    expect(decodeFrame(frame(12, 0, [...unknown, 0x08, 7, ...unknown]))!.message).toEqual({ kind: 'ping', nonce: 7 });
  });

  test('takes the last of several answers to one question, as protobuf has it', () => {
    const start = [0x22, 4, 0x10, 1, 0x08, 9];
    expect(decodeFrame(frame(6, 1, [0x10, 7, ...start]))!.message).toMatchObject({
      start: { kind: 'offset', offset: 9 },
    });
    expect(decodeFrame(frame(12, 0, [0x08, 3, 0x08, 4]))!.message).toEqual({ kind: 'ping', nonce: 4 });
  });

  test('does not follow nesting without end', () => {
    const depth = 20_000;
    const bytes = new Uint8Array(9 + depth);
    bytes.set([12, 0, 0, 0, 0, 0x80 | (depth & 0x7f), 0x80 | ((depth >>> 7) & 0x7f), depth >>> 14]);
    // Start-group tags of field 2, one inside the other.
    bytes.fill(0x13, 8, 8 + depth);
    expect(codeOf(() => decodeFrame(bytes.subarray(0, 8 + depth)))).toBe('INVALID');
  });

  test('does not make a million objects of two bytes each', () => {
    // A response with as many empty topics as fit its cap.
    const empties = 2 * (HEADER_FIELDS_MAX + 1);
    const list = [0x22, 0x80 | (empties & 0x7f), 0x80 | ((empties >>> 7) & 0x7f), empties >>> 14];
    const length = empties + list.length;
    const head = [17, 0, 0, 0, 0, 0x80 | (length & 0x7f), 0x80 | ((length >>> 7) & 0x7f), length >>> 14, ...list];
    const bytes = new Uint8Array(head.length + empties);
    bytes.set(head);
    for (let at = head.length; at < bytes.length; at += 2) bytes[at] = 0x0a;
    expect(codeOf(() => decodeFrame(bytes, 'server'))).toBe('TOO_LARGE');
    expect(codeOf(() => decodeFrame(bytes, 'client'))).toBe('INVALID');
  });
});

describe('encodeFrame', () => {
  test('hands the payload through without copying it', () => {
    const chunks = encodeFrame(1, data, [batch, batch]);
    expect(chunks).toHaveLength(3);
    expect(chunks[1]).toBe(batch);
    expect(chunks[2]).toBe(batch);
  });

  test('makes a head of its own each time', () => {
    const first = encodeFrame(0, ping)[0]!;
    const copy = first.slice();
    encodeFrame(0, { kind: 'ping', nonce: 2 ** 50 });
    expect(first).toEqual(copy);
  });

  test('writes every channel, and stops at numbers that are none', () => {
    for (const channel of [1, 0xff, 0x100, 0x1_0000, 0x7fff_ffff, 0x8000_0000, CHANNEL_MAX]) {
      expect(decodeFrame(encodeFrame(channel, { kind: 'unsubscribe' })[0]!)!.channel).toBe(channel);
    }
    for (const channel of [-1, 0.5, Number.NaN, CHANNEL_MAX + 1]) {
      expect(() => encodeFrame(channel, { kind: 'unsubscribe' })).toThrow(/invariant/);
    }
  });

  test('refuses what a receiver would refuse', () => {
    expect(codeOf(() => encodeFrame(1, ping))).toBe('INVALID');
    expect(codeOf(() => encodeFrame(0, data, [batch]))).toBe('INVALID');
    expect(codeOf(() => encodeFrame(1, data))).toBe('INVALID');
    expect(codeOf(() => encodeFrame(1, data, [new Uint8Array(0)]))).toBe('INVALID');
    expect(codeOf(() => encodeFrame(0, ping, [batch]))).toBe('INVALID');
    expect(codeOf(() => encodeFrame(1, data, [new Uint8Array(FRAME_BYTES_MAX)]))).toBe('TOO_LARGE');
  });

  test('refuses a header over its cap', () => {
    const hello = (token: string): Message => ({
      kind: 'hello',
      versionMin: 1,
      versionMax: 1,
      clientId: undefined,
      token,
      agent: undefined,
    });
    expect(codeOf(() => encodeFrame(0, hello('x'.repeat(FRAME_HEADER_BYTES_MAX))))).toBe('TOO_LARGE');
    const fits = hello('x'.repeat(FRAME_HEADER_BYTES_MAX - 20));
    expect(decodeFrame(encodeFrame(0, fits)[0]!)!.message).toEqual(fits);
  });

  test('carries the description of a large cluster', () => {
    const topic = (id: number): TopicInfo => ({
      name: `topic-with-a-name-of-some-length-${id}`,
      id,
      partitions: [
        { partition: 0, leader: 'n1', term: 9, replicas: ['n1', 'n2', 'n3'], earliest: 1e9, tail: 2e9, state: 'ok' },
      ],
      retention: { maxBytes: 1e12, maxAgeMs: 6e8, maxRecords: undefined },
    });
    const topics = Array.from({ length: 10_000 }, (_, id) => topic(id + 1));
    const response: ResponseMessage = { kind: 'response', requestId: 1, body: { kind: 'topics', topics } };
    const bytes = encodeFrame(0, response)[0]!;
    expect(bytes.length).toBeGreaterThan(FRAME_HEADER_BYTES_MAX);
    expect(decodeFrame(bytes, 'server')!.message).toEqual(response);
  });
});

/** The shortest header a kind decodes: whatever it cannot do without. */
function minimalHeader(kind: number): number[] {
  const topicId7 = { 3: [0x18, 7], 6: [0x10, 7, 0x22, 2, 0x10, 1] }[kind];
  const emptyFailure = { 5: [0x12, 0], 15: [0x0a, 0] }[kind];
  const body = { 16: [0x1a, 0], 17: [0x2a, 0] }[kind];
  return topicId7 ?? emptyFailure ?? body ?? [];
}

function varint(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return [...bytes, Number(rest)];
}
