import { describe, expect, test } from 'vitest';
import { MalformedBytes } from '../../src/partition/bytes.ts';
import {
  decodeControl,
  decodeMembershipEntry,
  encodeControl,
  encodeMembershipEntry,
  UnsupportedEntry,
} from '../../src/partition/control.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'utf8');

describe('control entries', () => {
  test.each([
    [{ kind: 'trim', before: 0 }],
    [{ kind: 'trim', before: Number.MAX_SAFE_INTEGER }],
    [{ kind: 'machine', command: { kind: 'create-topic', name: 'ä', nested: [1, { a: null }] } }],
  ] as const)('%j comes out as it went in', (control) => {
    expect(decodeControl(encodeControl(control))).toEqual(control);
  });

  test.each([-1, 1.5, Number.NaN, 2 ** 53])('a trim before %d is never written: no replica could read it', (before) => {
    expect(() => encodeControl({ kind: 'trim', before })).toThrow(/trim before/);
  });

  test.each([
    ['a newer version', '{"v":2,"kind":"trim","before":1}'],
    ['no version', '{"kind":"trim","before":1}'],
    ['an unknown kind', '{"v":1,"kind":"compact"}'],
    ['a trim without an offset', '{"v":1,"kind":"trim"}'],
    ['a trim to a fraction', '{"v":1,"kind":"trim","before":1.5}'],
    ['null', 'null'],
    ['something that is not JSON', '{'],
    ['nothing', ''],
  ])('%s stops the partition by name', (_, text) => {
    expect(() => decodeControl(bytes(text))).toThrow(UnsupportedEntry);
  });
});

describe('membership entries', () => {
  const membership = { voters: ['n1', 'n2'], votersOutgoing: [], learners: ['n3'] };

  test('come out as they went in, with and without a birth', () => {
    const birth = { kind: 'birth', clusterId: 'c' };
    expect(decodeMembershipEntry(encodeMembershipEntry({ membership, birth }))).toEqual({ membership, birth });
    expect(decodeMembershipEntry(encodeMembershipEntry({ membership, birth: undefined }))).toEqual({ membership });
  });

  test('of a newer version stop the partition by name, broken ones are malformed', () => {
    expect(() => decodeMembershipEntry(bytes('{"v":9,"voters":[]}'))).toThrow(UnsupportedEntry);
    expect(() => decodeMembershipEntry(bytes('{"v":1,"voters":["n1"],"votersOutgoing":[1],"learners":[]}'))).toThrow(
      MalformedBytes,
    );
  });
});
