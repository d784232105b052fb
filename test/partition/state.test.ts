import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeControl, encodeMembershipEntry, UnsupportedEntry } from '../../src/partition/control.ts';
import { PartitionState, type StateMachine } from '../../src/partition/state.ts';
import type { LogEntry } from '../../storage/index.ts';
import { type EntryFields, entries } from './support/entries.ts';
import { encodeState, restoreState } from './support/state-bytes.ts';

/** Remembers the commands it was given, in order. */
class Journal implements StateMachine {
  commands: unknown[] = [];

  apply(command: unknown): number {
    this.commands.push(command);
    return this.commands.length;
  }

  encode(): Uint8Array {
    return Buffer.from(JSON.stringify(this.commands));
  }

  restore(bytes: Uint8Array): void {
    this.commands = JSON.parse(Buffer.from(bytes).toString());
  }
}

const trim = (before: number): EntryFields => ({ kind: 'control', payload: encodeControl({ kind: 'trim', before }) });
const command = (value: unknown): EntryFields => ({
  kind: 'control',
  payload: encodeControl({ kind: 'machine', command: value }),
});

function applied(list: readonly LogEntry[], machine?: StateMachine): PartitionState {
  const state = new PartitionState(machine);
  for (const { header, payload } of list) state.apply(header, payload);
  return state;
}

/** As a follower that installs the snapshot taken behind `list` has it. */
function restored(state: PartitionState, machine?: StateMachine): PartitionState {
  const copy = new PartitionState(machine);
  restoreState(copy, { index: state.appliedIndex, nextOffset: state.highWatermark }, encodeState(state));
  return copy;
}

describe('applying', () => {
  test('batches move the high watermark, other entries do not', () => {
    const state = applied(entries({ kind: 'no-op' }, { values: ['a', 'b'] }, { kind: 'no-op' }, { values: ['c'] }));
    expect([state.appliedIndex, state.highWatermark, state.logStart]).toEqual([4, 3, 0]);
  });

  test('trims move the log start, never back and never past the high watermark', () => {
    const list = entries({ values: ['a', 'b', 'c'] }, trim(2), trim(1), { values: ['d'] }, trim(99));
    const starts = list.map((_, at) => applied(list.slice(0, at + 1)).logStart);
    expect(starts).toEqual([0, 2, 2, 2, 4]);
  });

  test('commands go to the machine in order, and its answers come back', () => {
    const machine = new Journal();
    const state = new PartitionState(machine);
    const answers = entries(command('x'), { values: ['a'] }, command({ y: 1 })).map(({ header, payload }) =>
      state.apply(header, payload),
    );
    expect(answers).toEqual([1, undefined, 2]);
    expect(machine.commands).toEqual(['x', { y: 1 }]);
  });

  test('the membership entry of a birth is the membership, and the first command', () => {
    const machine = new Journal();
    const membership = { voters: ['n1'], votersOutgoing: [], learners: [] };
    const payload = encodeMembershipEntry({ membership, birth: { kind: 'birth' } });
    const state = applied(entries({ kind: 'membership', payload }), machine);
    expect(state.membership).toEqual(membership);
    expect(machine.commands).toEqual([{ kind: 'birth' }]);
  });

  test('an entry out of its order, or at an offset that is not dense, is a broken invariant', () => {
    const [first, second] = entries({ values: ['a'] }, { values: ['b'] });
    expect(() => applied([second!])).toThrow(/index of the entry to apply/);
    const state = applied([first!]);
    expect(() => state.apply({ ...second!.header, baseOffset: 5 }, second!.payload)).toThrow(/offsets are dense/);
  });

  test('an entry of a newer version stops by name', () => {
    expect(() => applied(entries({ kind: 'control', payload: Buffer.from('{"v":1,"kind":"new"}') }))).toThrow(
      UnsupportedEntry,
    );
  });
});

describe('a snapshot of the state', () => {
  const producer = (n: number, sequence: number, epoch: number) => ({ id: `${n}`.repeat(32), epoch, sequence });
  const row = fc.oneof(
    fc.record({ values: fc.array(fc.constant('v'), { minLength: 1, maxLength: 3 }) }),
    fc
      .record({ n: fc.integer({ min: 1, max: 3 }), sequence: fc.nat(5), epoch: fc.nat(2), jump: fc.nat(3) })
      .map(({ n, sequence, epoch, jump }) => ({ producer: producer(n, sequence, epoch), jump })),
    fc.nat(20).map(trim),
    fc.string().map(command),
    fc.constant({ kind: 'no-op' as const }),
  ) as fc.Arbitrary<EntryFields & { readonly jump?: number }>;

  test('taken anywhere and gone on from gives what applying everything gives, byte for byte', () => {
    fc.assert(
      fc.property(fc.array(row, { maxLength: 30 }), fc.nat(30), (rows, cut) => {
        let appendTimeMs = 1;
        const timed = rows.map((one) => {
          // Days apart, so that producers expire on the way.
          appendTimeMs += (one.jump ?? 0) * 3 * 24 * 3_600_000;
          return { ...one, appendTimeMs };
        });
        const list = entries(...timed);
        const whole = applied(list, new Journal());
        const copy = restored(applied(list.slice(0, cut), new Journal()), new Journal());
        for (const { header, payload } of list.slice(cut)) copy.apply(header, payload);
        expect(Buffer.compare(encodeState(copy), encodeState(whole))).toBe(0);
        expect([copy.appliedIndex, copy.highWatermark, copy.logStart]).toEqual([
          whole.appliedIndex,
          whole.highWatermark,
          whole.logStart,
        ]);
      }),
      { numRuns: 200 },
    );
  });

  test('holds the producers: what was appended before it is a duplicate behind it', () => {
    const tuple = { id: 'aa'.repeat(16), epoch: 2, sequence: 0 };
    const copy = restored(applied(entries({ values: ['a', 'b'], producer: tuple })));
    expect(copy.producers.check(tuple, 2)).toMatchObject({ kind: 'duplicate', batch: { baseOffset: 0, index: 1 } });
    expect(copy.producers.check({ ...tuple, epoch: 1 }, 2)).toEqual({ kind: 'fenced', epoch: 2 });
  });

  test('of another version, or cut short anywhere, is refused', () => {
    const bytes = encodeState(
      applied(entries({ values: ['a'], producer: { id: 'aa'.repeat(16), epoch: 0, sequence: 0 } })),
    );
    const at = { index: 1, nextOffset: 1 };
    for (let length = 0; length < bytes.length; length += 1)
      expect(() => restoreState(new PartitionState(undefined), at, bytes.subarray(0, length))).toThrow();
    const other = new Uint8Array(bytes);
    other[0] = 9;
    expect(() => restoreState(new PartitionState(undefined), at, other)).toThrow(/version/);
  });
});

describe('how far every replica is compacted', () => {
  const compacted = (before: number): EntryFields => ({
    kind: 'control',
    payload: encodeControl({ kind: 'compacted', before }),
  });
  const membership = { voters: ['n1', 'n2'], votersOutgoing: [], learners: [] };

  test('never goes back nor past the tail, and is part of a snapshot, whose membership is read from either version', () => {
    const list = entries(
      { kind: 'membership', payload: encodeMembershipEntry({ membership, birth: undefined }) },
      { values: ['a', 'b', 'c'] },
      compacted(2),
      compacted(1),
    );
    const state = new PartitionState(undefined);
    const encoded = list.map(({ header, payload }) => {
      state.apply(header, payload);
      return encodeState(state);
    });
    expect(state.compactedByAll).toBe(2);
    // Before anything was compacted a state is one of version 1.
    expect(encoded.map((bytes) => bytes[0])).toEqual([1, 1, 2, 2]);
    for (const bytes of encoded) expect(PartitionState.membershipIn(bytes)).toEqual(membership);
    const restored = new PartitionState(undefined);
    restoreState(restored, { index: 4, nextOffset: 3 }, encoded[3]!);
    expect([restored.compactedByAll, encodeState(restored)]).toEqual([2, encoded[3]]);
    const [past] = entries(compacted(9));
    const empty = new PartitionState(undefined);
    empty.apply(past!.header, past!.payload);
    expect(empty.compactedByAll).toBe(0);
  });
});
