import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Catalog, type CatalogCommand, commandProblem } from '../../src/broker/catalog.ts';
import { UnsupportedEntry } from '../../src/partition/index.ts';
import { TOPICS_MAX } from '../../src/protocol/index.ts';

const NODES = ['n1', 'n2', 'n3'].map((id) => ({ id, diskUuid: `${id}-disk` }));
const BIRTH: CatalogCommand = { kind: 'birth', clusterId: 'c', nodes: NODES };

function create(name: string, partitions = 1, replicas = 3): CatalogCommand {
  return { kind: 'create-topic', name, partitions, replicas, retention: {} };
}

/** Applies commands as entries 1, 2, ...; their outcomes. */
function applied(commands: readonly unknown[], catalog = new Catalog(), first = 1): string[] {
  return commands.map((command, at) => catalog.apply(command, { index: first + at, appendTimeMs: 5 }));
}

function born(...commands: readonly unknown[]): Catalog {
  const catalog = new Catalog();
  applied([BIRTH, ...commands], catalog);
  return catalog;
}

describe('first offsets', () => {
  const topic = (firstOffsets: unknown) => ({ ...create('t', 2, 1), firstOffsets });

  test('are kept for each partition that has one, over a snapshot too', () => {
    expect(applied([BIRTH, topic([0, 2 ** 52])])).toEqual(['done', 'done']);
    const catalog = born(topic([0, 70]));
    const [, second] = catalog.topic('t')!.partitions;
    const copy = new Catalog();
    copy.restore(catalog.encode());
    for (const each of [catalog, copy]) {
      expect(each.firstOffsetOf(second!.groupId - 1)).toBeUndefined();
      expect(each.firstOffsetOf(second!.groupId)).toBe(70);
    }
  });

  test.each([
    { bad: [1] },
    { bad: [1, 2, 3] },
    { bad: [1, -1] },
    { bad: [1, 0.5] },
    { bad: '12' },
    { bad: [1, 2 ** 53] },
    // No record could follow that one.
    { bad: [1, Number.MAX_SAFE_INTEGER] },
    { bad: [1, 2 ** 52 + 1] },
  ])('that are no two offsets are refused: $bad', ({ bad }) => {
    expect(applied([BIRTH, topic(bad)])).toEqual(['done', 'invalid']);
  });
});

describe('rules', () => {
  test.each([
    ['a second birth', [BIRTH], 'exists'],
    ['a name that is taken', [create('t'), create('t')], 'exists'],
    ['a name that was freed', [create('t'), { kind: 'delete-topic', name: 't' }, create('t')], 'done'],
    ['deleting what is not there', [{ kind: 'delete-topic', name: 't' }], 'not-found'],
    ['no partition', [create('t', 0)], 'invalid'],
    ['half a partition', [create('t', 1.5)], 'invalid'],
    ['more replicas than nodes', [create('t', 1, 4)], 'invalid'],
    ['a name that is none', [create('../t')], 'invalid'],
    ['a topic without retention', [{ kind: 'create-topic', name: 't', partitions: 1, replicas: 1 }], 'invalid'],
    ['a name that is no text', [{ kind: 'delete-topic', name: 7 }], 'invalid'],
  ] as const)('%s: %#', (_, commands, outcome) => {
    expect(applied([BIRTH, ...commands]).at(-1)).toBe(outcome);
  });

  test('a command that is refused changes nothing', () => {
    const catalog = born(create('t'));
    const [before, version] = [catalog.encode(), catalog.version];
    applied([create('t'), create('x', 0), { kind: 'delete-topic', name: 'y' }, BIRTH], catalog, 9);
    expect([Buffer.compare(catalog.encode(), before), catalog.version]).toEqual([0, version]);
  });

  test('topics have a cap', () => {
    const catalog = born();
    let last = '';
    for (let i = 0; i <= TOPICS_MAX; i += 1) [last] = applied([create(`t${i}`)], catalog, i + 2) as [string];
    expect([last, catalog.topics().length]).toEqual(['too-many', TOPICS_MAX]);
  });

  test('a kind of a newer version stops by name, and is never proposed', () => {
    expect(() => applied([{ kind: 'rename-topic' }])).toThrow(UnsupportedEntry);
    expect(['x', null, { kind: 'rename-topic' }, {}].map(commandProblem)).toEqual(Array(4).fill('unknown'));
    expect(commandProblem({ kind: 'create-topic', name: 't' })).toBe('malformed');
    expect(commandProblem(create('t'))).toBeUndefined();
  });
});

describe('ids', () => {
  test('of a topic made anew are new, and so are its groups', () => {
    const catalog = born(create('t', 2));
    const old = catalog.topic('t')!;
    applied([{ kind: 'delete-topic', name: 't' }, create('t', 2)], catalog, 10);
    const made = catalog.topic('t')!;
    expect(catalog.topicById(old.id)).toBeUndefined();
    expect(made.id).toBe(11);
    expect(made.partitions.map(({ groupId }) => groupId)).toEqual([3, 4]);
  });

  test('tell what was deleted from what was never heard of', () => {
    const catalog = born(create('t', 2), create('u'), { kind: 'delete-topic', name: 't' });
    expect([0, 1, 2, 3, 4].map((groupId) => catalog.isDeleted(groupId))).toEqual([false, true, true, false, false]);
    expect([3, 4].map((groupId) => catalog.hasAssigned(groupId))).toEqual([true, false]);
  });

  test('spread leaders and replicas over the nodes', () => {
    const catalog = born(create('t', 6, 2));
    const replicas = catalog.topic('t')!.partitions.map((partition) => partition.replicas.join());
    expect(replicas).toEqual(['n1,n2', 'n2,n3', 'n3,n1', 'n1,n2', 'n2,n3', 'n3,n1']);
  });
});

describe('determinism', () => {
  const name = fc.constantFrom('a', 'b', 'c', '..');
  const command = fc.oneof(
    fc.record({
      kind: fc.constant('create-topic'),
      name,
      partitions: fc.integer({ min: 0, max: 4 }),
      replicas: fc.integer({ min: 0, max: 4 }),
      retention: fc.record({ maxBytes: fc.option(fc.nat(), { nil: undefined }) }),
    }),
    fc.record({ kind: fc.constant('delete-topic'), name }),
    fc.constant(BIRTH),
  );

  test('a replica that is restored behind each entry has the bytes of one that never stopped, through a move', () => {
    // A second move of a partition finds what the first one left in it, in memory or as JSON kept it.
    const leave = (from: string, to: string): readonly unknown[] => [
      { kind: 'add-node', id: to, diskUuid: `${to}-disk`, peerAddress: `${to}:1` },
      { kind: 'node-joined', id: to },
      { kind: 'remove-node', id: from, by: to },
      { kind: 'moved', groupId: 1, from, to },
      { kind: 'node-gone', id: from },
    ];
    const [live, restored] = [new Catalog(), new Catalog()];
    for (const [at, command] of [BIRTH, create('t'), ...leave('n1', 'n4'), ...leave('n2', 'n5')].entries()) {
      const outcomes = [live, restored].map((catalog) => applied([command], catalog, at + 1));
      expect(outcomes).toEqual([['done'], ['done']]);
      expect(Buffer.from(restored.encode()).toString()).toBe(Buffer.from(live.encode()).toString());
      restored.restore(restored.encode());
    }
    expect(live.topic('t')?.partitions).toMatchObject([{ replicas: ['n4', 'n5', 'n3'], founders: ['n1', 'n2', 'n3'] }]);
  });

  test('a catalog restored anywhere goes on as the one that was never stopped', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 30 }), fc.nat(30), (commands, cut) => {
        // Commands travel as JSON: what is undefined is not there.
        const travelled = JSON.parse(JSON.stringify(commands)) as unknown[];
        const live = born();
        const outcomes = applied(travelled, live, 2);
        const before = born();
        applied(travelled.slice(0, cut), before, 2);
        const copy = new Catalog();
        copy.restore(before.encode());
        expect(applied(travelled.slice(cut), copy, 2 + Math.min(cut, travelled.length))).toEqual(outcomes.slice(cut));
        expect(Buffer.compare(copy.encode(), live.encode())).toBe(0);
        expect(copy.topics()).toEqual(live.topics());
        expect(copy.founding).toEqual(live.founding);
        for (const topic of live.topics()) expect(copy.topicById(topic.id)).toEqual(copy.topic(topic.name));
      }),
      { numRuns: 200 },
    );
  });

  test('a snapshot of a newer version is refused', () => {
    expect(() => new Catalog().restore(Buffer.from('{"v":2}'))).toThrow(/newer/);
  });
});
