import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MalformedBytes } from '../../src/partition/bytes.ts';
import { decodePeerMessage, encodePeerMessage, type MessageExtras } from '../../src/partition/peer-codec.ts';
import type { Message } from '../../src/raft/index.ts';
import { EMPTY_CHAIN, type LogEntry, type Snapshot, StorageError } from '../../storage/index.ts';
import { entries } from './support/entries.ts';

const u53 = fc.maxSafeNat();
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const id = fc.record({ term: u53, index: u53 });
const chain = fc.record({ high: u32, low: u32 });
const nodes = fc.array(fc.string({ minLength: 1, maxLength: 10 }), { maxLength: 4 });
const envelope = { from: fc.constant('n2'), to: fc.constant('n1'), term: u53 };

function message<K extends Message['kind']>(kind: K, fields: object): fc.Arbitrary<Message> {
  return fc.record({ kind: fc.constant(kind), ...envelope, ...fields }) as fc.Arbitrary<Message>;
}

const plain = fc.oneof(
  message('pre-vote', { last: id }),
  message('pre-vote-reply', { granted: fc.boolean() }),
  message('vote', { last: id, isTransfer: fc.boolean() }),
  message('vote-reply', { granted: fc.boolean() }),
  message('heartbeat', { commit: u53, round: u53 }),
  message('heartbeat', { commit: u53, round: u53, mayRest: fc.constant(true) }),
  message('heartbeat', { commit: u53, round: u53, isNotice: fc.constant(true) }),
  message('heartbeat-reply', { round: u53, promiseMs: fc.integer({ min: 1, max: 0xffff_ffff }) }),
  message('heartbeat-reply', { round: u53, isRejoining: fc.constant(true) }),
  message('append-reply', { accepted: fc.boolean(), index: u53, hint: id, lastIndex: u53 }),
  message('append-reply', {
    accepted: fc.boolean(),
    index: u53,
    hint: id,
    lastIndex: u53,
    isRejoining: fc.constant(true),
  }),
  message('snapshot-reply', { index: u53 }),
  message('snapshot-reply', { index: u53, isRejoining: fc.constant(true) }),
  message('timeout-now', {}),
);

const THREE = entries(
  { kind: 'no-op', term: 7 },
  { term: 7, values: ['a', 'b'], producer: { id: 'ab'.repeat(16), epoch: 3, sequence: 9 } },
  { kind: 'control', term: 8, payload: Buffer.from('{"v":1,"kind":"trim","before":1}') },
);

function appendOf(list: readonly LogEntry[]): Message {
  const metas = list.map(({ header, payload }) => ({
    term: header.term,
    index: header.index,
    bytes: 96 + payload.length,
  }));
  return { kind: 'append', from: 'n2', to: 'n1', term: 9, previous: { term: 0, index: 0 }, commit: 2, entries: metas };
}

const SNAPSHOT: Snapshot = {
  index: 12,
  term: 4,
  nextOffset: 40,
  appendTimeMs: 1_700_000_000_000,
  chain: { high: 1, low: 0xffff_ffff },
  state: Buffer.from('the state'),
};
const INSTALL: Message = {
  kind: 'snapshot',
  from: 'n2',
  to: 'n1',
  term: 5,
  snapshot: { term: 4, index: 12 },
  membership: { voters: ['n1', 'n2'], votersOutgoing: [], learners: ['n3'] },
  commit: 13,
};

function bytesOf(one: Message, extras: MessageExtras = {}): Uint8Array {
  // A buffer of its own, as a frame that holds nothing else is.
  return new Uint8Array(Buffer.concat(encodePeerMessage(one, extras)));
}

function decode(bytes: Uint8Array): ReturnType<typeof decodePeerMessage> {
  return decodePeerMessage(bytes, 'n2', 'n1');
}

/** What a receiver does with bytes: a message, or one of the two refusals; anything else is a defect. */
function judge(bytes: Uint8Array): 'message' | 'refused' {
  try {
    decode(bytes);
    return 'message';
  } catch (error) {
    if (error instanceof MalformedBytes || error instanceof StorageError) return 'refused';
    throw error;
  }
}

const APPEND = bytesOf(appendOf(THREE), { entries: THREE, previousChain: EMPTY_CHAIN });
const SAMPLES: readonly [string, Uint8Array][] = [
  ['an append', APPEND],
  ['a snapshot', bytesOf(INSTALL, { snapshot: SNAPSHOT })],
  ['a vote', bytesOf({ kind: 'vote', from: 'n2', to: 'n1', term: 3, last: { term: 2, index: 9 }, isTransfer: true })],
  ['a heartbeat', bytesOf({ kind: 'heartbeat', from: 'n2', to: 'n1', term: 3, commit: 4, round: 5 })],
];

describe('a message', () => {
  test('comes out as it went in, whatever its numbers', () => {
    fc.assert(
      fc.property(plain, (one) => {
        expect(decode(bytesOf(one)).message).toEqual(one);
      }),
    );
  });

  test('without entries carries the chain when it has one', () => {
    fc.assert(
      fc.property(id, u53, fc.option(chain, { nil: undefined }), (previous, commit, previousChain) => {
        const one: Message = { kind: 'append', from: 'n2', to: 'n1', term: 1, previous, commit, entries: [] };
        const decoded = decode(bytesOf(one, previousChain === undefined ? {} : { previousChain }));
        expect(decoded).toMatchObject({ message: one, entries: [] });
        expect(decoded.previousChain).toEqual(previousChain);
      }),
    );
  });

  test('brings its entries byte for byte', () => {
    const decoded = decode(APPEND);
    expect(decoded.message).toEqual(appendOf(THREE));
    for (const [at, { header, headerBytes, payload }] of decoded.entries.entries()) {
      expect(header).toEqual(THREE[at]!.header);
      expect(Buffer.compare(headerBytes, THREE[at]!.headerBytes)).toBe(0);
      expect(Buffer.compare(payload, THREE[at]!.payload)).toBe(0);
    }
  });

  test('brings a snapshot with its membership, whatever the node ids', () => {
    fc.assert(
      fc.property(nodes, nodes, fc.uint8Array({ maxLength: 200 }), (voters, learners, state) => {
        const membership = { voters, votersOutgoing: [], learners };
        const decoded = decode(bytesOf({ ...INSTALL, membership } as Message, { snapshot: { ...SNAPSHOT, state } }));
        expect(decoded.message).toEqual({ ...INSTALL, membership });
        expect(decoded.snapshot).toMatchObject({ index: 12, term: 4, nextOffset: 40, chain: SNAPSHOT.chain });
        expect(Buffer.compare(decoded.snapshot!.state, state)).toBe(0);
      }),
    );
  });
});

describe('bytes that are no message', () => {
  test.each(SAMPLES)('%s cut short anywhere is refused, but where an entry ends', (name, bytes) => {
    const taken: number[] = [];
    for (let length = 0; length < bytes.length; length += 1) {
      if (judge(bytes.slice(0, length)) === 'message') taken.push(length);
    }
    // Behind any whole entry an append with fewer entries ends; frames have lengths of their own against that.
    const ends = [0, ...THREE.map(({ payload }) => 96 + payload.length)].map(
      (_, at, sizes) => APPEND.length - sizes.slice(at + 1).reduce((sum, size) => sum + size, 0),
    );
    expect(taken).toEqual(name === 'an append' ? ends.slice(0, -1) : []);
  });

  test.each(SAMPLES)('%s with bytes behind it is refused', (_, bytes) => {
    expect(judge(new Uint8Array([...bytes, 0]))).toBe('refused');
  });

  test('an append with any bit of its entries flipped is refused', () => {
    const head = APPEND.length - THREE.reduce((sum, { payload }) => sum + 96 + payload.length, 0);
    for (let at = head; at < APPEND.length; at += 1) {
      const bytes = new Uint8Array(APPEND);
      bytes[at]! ^= 1 << (at % 8);
      expect([at, judge(bytes)]).toEqual([at, 'refused']);
    }
  });

  test('a snapshot with any bit of its state flipped is refused', () => {
    const bytes = SAMPLES[1]![1];
    for (let at = bytes.length - SNAPSHOT.state.length; at < bytes.length; at += 1) {
      const flipped = new Uint8Array(bytes);
      flipped[at]! ^= 1 << (at % 8);
      expect(judge(flipped)).toBe('refused');
    }
  });

  test('random and mutilated bytes are a message or refused, never anything else', () => {
    const mutilated = fc
      .record({
        sample: fc.constantFrom(...SAMPLES.map(([, bytes]) => bytes)),
        changes: fc.array(fc.record({ at: fc.nat(400), byte: fc.integer({ min: 0, max: 255 }) }), {
          minLength: 1,
          maxLength: 6,
        }),
      })
      .map(({ sample, changes }) => {
        const bytes = new Uint8Array(sample);
        for (const { at, byte } of changes) bytes[at % bytes.length] = byte;
        return bytes;
      });
    fc.assert(
      fc.property(fc.oneof(mutilated, fc.uint8Array({ maxLength: 300 })), (bytes) => {
        judge(bytes);
      }),
      { numRuns: 2_000 },
    );
  });

  test('entries that do not begin behind their previous one, or lack its chain, are refused', () => {
    const wrong = { ...appendOf(THREE), previous: { term: 1, index: 5 } } as Message;
    expect(() => decode(bytesOf(wrong, { entries: THREE, previousChain: EMPTY_CHAIN }))).toThrow(
      /begin at 1, not at 6/,
    );
    expect(() => decode(bytesOf(appendOf(THREE), { entries: THREE }))).toThrow(/without the chain/);
    expect(judge(bytesOf(appendOf(THREE), { entries: THREE, previousChain: { high: 0, low: 1 } }))).toBe('refused');
  });

  test('a huge length or number is refused before anything is allocated for it', () => {
    const bytes = SAMPLES[1]![1].slice();
    // The length of the state.
    new DataView(bytes.buffer).setUint32(bytes.length - SNAPSHOT.state.length - 4, 0xffff_ffff);
    expect(judge(bytes)).toBe('refused');
    const vote = SAMPLES[2]![1].slice();
    vote.fill(0xff, 1, 9);
    expect(judge(vote)).toBe('refused');
  });
});

describe('memory', () => {
  test('a few entries of a large frame are copied out of it, many are not', () => {
    const frame = new Uint8Array(APPEND.length * 10);
    frame.set(APPEND, 100);
    const few = decode(frame.subarray(100, 100 + APPEND.length));
    expect(few.entries[0]!.payload.buffer.byteLength).toBeLessThan(frame.length / 4);
    const own = new Uint8Array(APPEND);
    expect(decode(own).entries[0]!.payload.buffer).toBe(own.buffer);
  });
});
