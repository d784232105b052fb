import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeFrame, encodeFrame, type Message, type MessageKind } from '../../src/protocol/index.ts';
import { arbitraryMessage } from './support/arbitraries.ts';
import { SEED } from './support/fuzz.ts';
import { bytesOfHex, concat, hexOfBytes, isUpdatingGolden, readGolden, writeGolden } from './support/golden.ts';
import { SAMPLES } from './support/samples.ts';

const BATCH = bytesOfHex(readGolden('record-batch-v2.hex'));
const GOLDEN_NAME = 'frames-v1.txt';

/** One line a sample: its name, and the frame without the golden batch that follows some of them. */
function goldenLines(): string[] {
  const lines = SAMPLES.map(({ name, channel, message, hasBatch }) => {
    const [head] = encodeFrame(channel, message, hasBatch ? [BATCH] : []);
    return `${name}: ${hexOfBytes(head!)}`;
  });
  if (isUpdatingGolden) {
    const header = '# Frames of protocol version 1, without the record batch that follows some of them.\n';
    writeGolden(GOLDEN_NAME, `${header}${lines.join('\n')}\n`);
  }
  return readGolden(GOLDEN_NAME)
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
}

const golden = new Map(
  goldenLines().map((line) => {
    const colon = line.lastIndexOf(': ');
    return [line.slice(0, colon), bytesOfHex(line.slice(colon + 2))];
  }),
);

describe('messages', () => {
  test('the samples show every kind', () => {
    const kinds: Record<MessageKind, true> = {
      hello: true,
      welcome: true,
      append: true,
      ack: true,
      nack: true,
      subscribe: true,
      data: true,
      credit: true,
      position: true,
      unsubscribe: true,
      end: true,
      ping: true,
      pong: true,
      goaway: true,
      error: true,
      request: true,
      response: true,
    };
    expect(new Set(SAMPLES.map((sample) => sample.message.kind))).toEqual(new Set(Object.keys(kinds)));
    expect([...golden.keys()]).toEqual(SAMPLES.map((sample) => sample.name));
  });

  test.each(SAMPLES)('$name has the bytes of version 1, and they mean it', ({ name, channel, message, hasBatch }) => {
    const payload = hasBatch ? [BATCH] : [];
    const chunks = encodeFrame(channel, message, payload);
    expect(hexOfBytes(chunks[0]!)).toBe(hexOfBytes(golden.get(name)!));
    // The payload goes out as it came, not as a copy.
    expect(chunks.slice(1)).toEqual(payload);
    expect(chunks[1]).toBe(payload[0]);
    expect(decodeFrame(concat(chunks))).toEqual({ channel, message, payload: hasBatch ? BATCH : new Uint8Array(0) });
  });

  test('come back as they were, whatever their fields hold', () => {
    fc.assert(
      fc.property(arbitraryMessage, ({ channel, message, payload }) => {
        const bytes = concat(encodeFrame(channel, message, payload));
        expect(decodeFrame(bytes)).toEqual({ channel, message, payload: concat(payload) });
        // A Buffer, as a socket hands over, is read like any other bytes.
        expect(decodeFrame(Buffer.from(bytes))!.message).toEqual(message);
      }),
      { seed: SEED, numRuns: 2_000 },
    );
  });

  test.each<[string, Message]>([
    ['an offset of -1', { kind: 'data', fromOffset: -1, nextOffset: 0, tail: 0, compacted: false, filtered: false }],
    ['an offset of 2^53', { kind: 'end', failure: undefined, nextOffset: 2 ** 53 }],
    ['an offset that is no number', { kind: 'end', failure: undefined, nextOffset: Number.NaN }],
    ['a fraction', { kind: 'credit', bytes: 1.5 }],
    ['infinity', { kind: 'credit', bytes: Number.POSITIVE_INFINITY }],
    ['a partition of -1', append({ partition: -1 })],
    ['a partition of 2^32', append({ partition: 2 ** 32 })],
    ['a timeout of 0, which the wire would call none', append({ timeoutMs: 0 })],
    ['an empty topic name', append({ topic: { name: '' } })],
    ['topic id 0', append({ topic: { id: 0 } })],
    ['an epoch of 2^32', append({ producer: { id: '0'.repeat(32), epoch: 2 ** 32, sequence: 0 } })],
    ['a sequence of 2^53', append({ producer: { id: '0'.repeat(32), epoch: 0, sequence: 2 ** 53 } })],
    ['a producer id in capitals', append({ producer: { id: 'A'.repeat(32), epoch: 0, sequence: 0 } })],
    ['a producer id that is too short', append({ producer: { id: '0'.repeat(31), epoch: 0, sequence: 0 } })],
    [
      'a retention of 0 bytes, which the wire would call unlimited',
      {
        kind: 'request',
        requestId: 1,
        body: {
          kind: 'create-topic',
          name: 'a',
          partitions: 1,
          replicas: undefined,
          retention: { maxBytes: 0, maxAgeMs: undefined, maxRecords: undefined },
        },
      },
    ],
    [
      'a text with half a surrogate pair',
      { kind: 'goaway', reason: '\ud83d', reconnectAfterMs: 0, preferred: undefined },
    ],
  ])('with %s are not encoded, and the next one is none the worse', (_, message) => {
    const channel = message.kind === 'append' || message.kind === 'request' || message.kind === 'goaway' ? 0 : 1;
    const payload = message.kind === 'append' || message.kind === 'data' ? [BATCH] : [];
    expect(() => encodeFrame(channel, message, payload)).toThrow(
      expect.objectContaining({ code: 'INVALID', outcome: 'none' }),
    );
    const ping = decodeFrame(concat(encodeFrame(0, { kind: 'ping', nonce: 5 })));
    expect(ping!.message).toEqual({ kind: 'ping', nonce: 5 });
  });
});

function append(fields: Partial<Extract<Message, { kind: 'append' }>>): Message {
  return {
    kind: 'append',
    requestId: 1,
    topic: { name: 'a' },
    partition: 0,
    producer: undefined,
    redirect: false,
    timeoutMs: undefined,
    ...fields,
  };
}
