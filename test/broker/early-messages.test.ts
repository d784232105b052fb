import { describe, expect, test } from 'vitest';
import { EarlyMessages } from '../../src/broker/early-messages.ts';

const bytes = (count: number): Uint8Array => new Uint8Array(count);

describe('messages of groups that are not open yet', () => {
  test('are given out in order, once', () => {
    const early = new EarlyMessages();
    early.keep(1, { from: 'n2', bytes: bytes(1) });
    early.keep(1, { from: 'n3', bytes: bytes(2) });
    expect(early.take(1).map(({ from }) => from)).toEqual(['n2', 'n3']);
    expect([early.take(1), early.bytes]).toEqual([[], 0]);
  });

  test('have caps by group, by groups and by bytes; beyond them they are lost', () => {
    const early = new EarlyMessages();
    for (let i = 0; i < 20; i += 1) early.keep(1, { from: 'n2', bytes: bytes(1) });
    expect(early.take(1)).toHaveLength(16);
    for (let groupId = 1; groupId <= 2_000; groupId += 1) early.keep(groupId, { from: 'n2', bytes: bytes(1) });
    expect(early.bytes).toBe(1_024);
    // A group that is known already still has room.
    early.keep(1, { from: 'n2', bytes: bytes(1) });
    expect(early.take(1)).toHaveLength(2);
    early.keep(2, { from: 'n2', bytes: bytes(5 * 1024 * 1024) });
    expect(early.take(2)).toHaveLength(1);
  });

  test('keep no more than themselves in memory', () => {
    const early = new EarlyMessages();
    early.keep(1, { from: 'n2', bytes: bytes(1_000_000).subarray(5, 10) });
    expect(early.take(1)[0]!.bytes.buffer.byteLength).toBe(5);
  });

  test('of a node whose link broke are dropped, and the others stay in order', () => {
    const early = new EarlyMessages();
    for (const from of ['n2', 'n3', 'n2', 'n1']) early.keep(1, { from, bytes: bytes(3) });
    early.keep(2, { from: 'n2', bytes: bytes(3) });
    early.dropFrom('n2');
    expect(early.bytes).toBe(6);
    expect(early.take(1).map(({ from }) => from)).toEqual(['n3', 'n1']);
    expect(early.take(2)).toEqual([]);
  });

  test('of groups that are gone are dropped', () => {
    const early = new EarlyMessages();
    for (const groupId of [1, 2]) early.keep(groupId, { from: 'n2', bytes: bytes(3) });
    early.dropIf((groupId) => groupId === 1);
    expect([early.take(1).length, early.bytes]).toEqual([0, 3]);
  });
});
