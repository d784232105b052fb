import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { crc32cPortable } from '../../src/protocol/index.ts';
import {
  decodeMessages,
  encodeMessageHead,
  encodePeerHead,
  PEER_HANDSHAKE_BYTES_MAX,
  PeerFrameError,
  type PeerFrameKind,
  PeerFrameReader,
} from '../../src/server/peer-frame.ts';

function frame(kind: PeerFrameKind, sequence: number, body: Uint8Array): Buffer {
  return Buffer.concat([encodePeerHead(kind, sequence, [body], crc32cPortable), body]);
}

function read(chunks: readonly Buffer[], frameBytesMax = 1 << 20): { kind: PeerFrameKind; body: string }[] {
  const reader = new PeerFrameReader(crc32cPortable);
  reader.frameBytesMax = frameBytesMax;
  const frames: { kind: PeerFrameKind; body: string }[] = [];
  for (const chunk of chunks) {
    reader.push(chunk, (kind, body) => frames.push({ kind, body: Buffer.from(body).toString('latin1') }) > 0);
  }
  return frames;
}

describe('peer frames', () => {
  test('arrive the same however the stream is cut', () => {
    const bodies = ['', 'x', 'y'.repeat(300), 'z'.repeat(5_000)];
    const stream = Buffer.concat(bodies.map((body, at) => frame('batch', at, Buffer.from(body))));
    const whole = read([stream]);
    expect(whole.map(({ body }) => body)).toEqual(bodies);
    const cuts = fc.array(fc.integer({ min: 0, max: stream.length }), { maxLength: 40 });
    fc.assert(
      fc.property(cuts, (at) => {
        const edges = [0, ...at.sort((a, b) => a - b), stream.length];
        const chunks = edges.slice(1).map((end, i) => Buffer.from(stream.subarray(edges[i], end)));
        expect(read(chunks)).toEqual(whole);
      }),
    );
  });

  test('every single flipped bit is refused', () => {
    const good = frame('call', 0, Buffer.from('question'));
    for (let bit = 0; bit < good.length * 8; bit++) {
      const bad = Buffer.from(good);
      bad[bit >> 3] = (bad[bit >> 3] as number) ^ (1 << (bit & 7));
      // A longer length waits for bytes that do not come; what follows then does not match.
      const chunks = [bad, Buffer.alloc(1 << 20)];
      expect(() => read(chunks), `bit ${bit}`).toThrow(PeerFrameError);
    }
  });

  test('a frame out of turn is refused', () => {
    const [zero, one] = [frame('ping', 0, Buffer.alloc(4)), frame('ping', 1, Buffer.alloc(4))];
    expect(read([zero, one])).toHaveLength(2);
    expect(() => read([one])).toThrow('frame 1 where 0 was due');
    expect(() => read([zero, zero])).toThrow('frame 0 where 1 was due');
  });

  test('before the handshake nothing larger than its cap is waited for', () => {
    const large = frame('hello', 0, Buffer.alloc(PEER_HANDSHAKE_BYTES_MAX));
    expect(() => read([large.subarray(0, 16)], PEER_HANDSHAKE_BYTES_MAX)).toThrow(/frame of 4097 bytes/);
  });

  test('a small frame does not keep the chunk it came in alive', () => {
    const chunk = Buffer.concat([frame('ping', 0, Buffer.alloc(4)), Buffer.alloc(60_000)]).subarray(0, 21);
    const reader = new PeerFrameReader(crc32cPortable);
    let kept = 0;
    reader.push(chunk, (_kind, body) => {
      kept = body.buffer.byteLength;
      return true;
    });
    expect(kept).toBeLessThan(100);
  });
});

describe('raft messages in a frame', () => {
  test('come out as they went in', () => {
    const messages = fc.array(fc.tuple(fc.nat(), fc.uint8Array({ maxLength: 50 })), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(messages, (list) => {
        const body = Buffer.concat(
          list.flatMap(([groupId, bytes]) => [encodeMessageHead(groupId, bytes.length), bytes]),
        );
        const out: [number, Uint8Array][] = [];
        decodeMessages(body, (groupId, bytes) => out.push([groupId, new Uint8Array(bytes)]));
        expect(out).toEqual(list);
      }),
    );
  });

  test.each([
    ['cut in its head', Buffer.alloc(7), 'cut off'],
    ['longer than its frame', Buffer.concat([encodeMessageHead(1, 2), Buffer.alloc(1)]), 'longer than its frame'],
    ['of 4 GiB', encodeMessageHead(1, 0xffff_ffff), 'longer than its frame'],
  ])('one that is %s is refused', (_name, body, reason) => {
    expect(() => decodeMessages(body, () => undefined)).toThrow(reason);
  });
});
