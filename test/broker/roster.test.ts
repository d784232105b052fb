/**
 * The catalog's rules on who comes and goes, and where replicas are to go: each command, and each way it is refused.
 */
import { describe, expect, test } from 'vitest';
import { Catalog } from '../../src/broker/catalog.ts';
import { isPlacedOn, type RosterCommand } from '../../src/broker/roster.ts';

class Bench {
  readonly catalog = new Catalog();
  #index = 0;

  constructor(ids: readonly string[]) {
    const nodes = ids.map((id) => ({ id, diskUuid: `disk of ${id}` }));
    this.#apply({ kind: 'birth', clusterId: 'c', nodes });
  }

  #apply(command: unknown): unknown {
    this.#index += 1;
    return this.catalog.apply(command, { index: this.#index, appendTimeMs: 1 });
  }

  /** Outcomes, in order. */
  do(...commands: readonly RosterCommand[]): unknown[] {
    return commands.map((command) => this.#apply(command));
  }

  topic(name: string, partitions: number, replicas: number): this {
    const retention = { maxBytes: undefined, maxAgeMs: undefined, maxRecords: undefined };
    expect(this.#apply({ kind: 'create-topic', name, partitions, replicas, retention })).toBe('done');
    return this;
  }

  /** 'n1 n2 n3' of each partition, and where it goes. */
  get placed(): string[] {
    return this.catalog.topics().flatMap(({ partitions }) =>
      partitions.map(({ replicas, move }) => {
        const going = move === undefined ? '' : `: ${move.from} to ${move.to ?? 'nobody'}`;
        return `${[...replicas].sort().join(' ')}${going}`;
      }),
    );
  }

  get states(): string {
    return this.catalog.nodes.map(({ id, state, isDrained }) => `${id} ${isDrained ? 'drained' : state}`).join(', ');
  }
}

const add = (id: string, diskUuid = `disk of ${id}`): RosterCommand => ({
  kind: 'add-node',
  id,
  diskUuid,
  peerAddress: `${id}:1`,
});
const remove = (id: string, by?: string): RosterCommand => ({ kind: 'remove-node', id, by });
const joined = (id: string): RosterCommand => ({ kind: 'node-joined', id });
const gone = (id: string): RosterCommand => ({ kind: 'node-gone', id });

describe('the roster', () => {
  test('takes one node in at a time, each id and each disk once', () => {
    const bench = new Bench(['n1', 'n2', 'n3']);
    expect(bench.do(add('n2'), add('n4', 'disk of n1'), add('n4'), add('n5'), add('n4'))).toEqual([
      'exists',
      'invalid',
      'done',
      'busy',
      'exists',
    ]);
    expect(bench.do(joined('n4'), joined('n4'), joined('n9'), add('n5'))).toEqual([
      'done',
      'busy',
      'not-found',
      'done',
    ]);
    expect(bench.states).toBe('n1 member, n2 member, n3 member, n4 member, n5 joining');
  });

  test('never gives an id out again', () => {
    const bench = new Bench(['n1', 'n2']);
    expect(bench.do(gone('n2'), remove('n2'), gone('n2'), add('n2'), add('n2', 'a new disk'))).toEqual([
      'busy',
      'done',
      'done',
      'used-up',
      'used-up',
    ]);
    expect(bench.catalog.isGone('n2')).toBe(true);
    const restored = new Catalog();
    restored.restore(bench.catalog.encode());
    expect(restored.isGone('n2')).toBe(true);
    expect(restored.nodes).toEqual(bench.catalog.nodes);
  });

  test('keeps the last node, and removes one at a time', () => {
    expect(new Bench(['n1']).do(remove('n1'))).toEqual(['last']);
    const bench = new Bench(['n1', 'n2', 'n3']);
    expect(bench.do(remove('n1'), remove('n1'), remove('n2'), remove('n9'), add('n4'))).toEqual([
      'done',
      'done',
      'busy',
      'not-found',
      'busy',
    ]);
  });

  test('moves what a leaving node has to its replacement, and forgets it only when nothing is left', () => {
    const bench = new Bench(['n1', 'n2', 'n3']).topic('t', 2, 3);
    bench.do(add('n4'), joined('n4'));
    expect(bench.do(remove('n3', 'n9'), remove('n3', 'n4'))).toEqual(['invalid', 'done']);
    expect(bench.placed).toEqual(['n1 n2 n3: n3 to n4', 'n1 n2 n3: n3 to n4']);
    const moved = (groupId: number): RosterCommand => ({ kind: 'moved', groupId, from: 'n3', to: 'n4' });
    expect(bench.do(moved(1), gone('n3'), moved(1), moved(2), gone('n3'))).toEqual([
      'done',
      'busy',
      'not-found',
      'done',
      'done',
    ]);
    expect(bench.placed).toEqual(['n1 n2 n4', 'n1 n2 n4']);
    expect(bench.catalog.topic('t')!.partitions[0]!.founders).toContain('n3');
  });

  test('spreads it over those who have least when there is no replacement, and does without when nobody can take it', () => {
    const bench = new Bench(['n1', 'n2', 'n3', 'n4']).topic('t', 4, 2).topic('u', 1, 4);
    bench.do(remove('n1'));
    expect(bench.placed.filter((text) => text.includes('n1 to'))).toEqual([
      'n1 n2: n1 to n3',
      'n1 n4: n1 to n2',
      'n1 n2 n3 n4: n1 to nobody',
    ]);
  });

  test('plans anew when the node that was to take over leaves as well', () => {
    const bench = new Bench(['n1', 'n2', 'n3', 'n5']).topic('t', 1, 3);
    bench.do(add('n4'), joined('n4'), remove('n2', 'n4'));
    expect(bench.placed).toEqual(['n1 n2 n3: n2 to n4']);
    expect(bench.do(remove('n4'))).toEqual(['done']);
    expect(bench.placed).toEqual(['n1 n2 n3: n2 to n5']);
  });

  test('keeps what a node that was to take over has until the move is done: it may be a voter already', () => {
    const bench = new Bench(['n1', 'n2', 'n3', 'n5']).topic('t', 1, 3);
    bench.do(add('n4'), joined('n4'), remove('n2', 'n4'), remove('n4'));
    const isOnN4 = (): boolean => isPlacedOn(bench.catalog.topic('t')!.partitions[0]!, 'n4');
    expect(isOnN4()).toBe(true);
    expect(bench.do(gone('n4'), gone('n2'))).toEqual(['busy', 'busy']);
    bench.do({ kind: 'moved', groupId: 1, from: 'n2', to: 'n5' });
    expect(isOnN4()).toBe(false);
    expect(bench.do(gone('n4'), gone('n2'))).toEqual(['done', 'done']);
  });

  test('places new topics on nodes that want them, and on drained ones only when it must', () => {
    const bench = new Bench(['n1', 'n2', 'n3']);
    expect(bench.do({ kind: 'drain-node', id: 'n2', isDrained: true })).toEqual(['done']);
    bench.topic('t', 3, 2).topic('u', 1, 3);
    expect(bench.placed).toEqual(['n1 n3', 'n1 n3', 'n1 n3', 'n1 n2 n3']);
    expect([bench.catalog.mayLead('n1'), bench.catalog.mayLead('n2')]).toEqual([true, false]);
  });
});
