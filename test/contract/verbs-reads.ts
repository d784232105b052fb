/** What every face does with reads: where they begin and end, and what they say of themselves. */
import { expect } from 'vitest';
import { eventually } from '../support/eventually.ts';
import type { Start, Verbs } from './verbs.ts';
import { appendAll, bytes, failure, fate, fateOf, settled, type VerbCase, values, WAIT_MS } from './verbs-case.ts';

const NUMBERED_STARTS_ONLY = 'a read over HTTP begins at a number, earliest or latest';

/** Six records in three batches: at 0 1 2, at 3, at 4 5. */
async function sixRecords(verbs: Verbs, topic: string): Promise<void> {
  await verbs.create({ name: topic });
  await verbs.appendBatch(topic, [{ value: bytes('0') }, { value: bytes('1') }, { value: bytes('2') }]);
  await verbs.append(topic, { value: bytes('3') });
  await verbs.appendBatch(topic, [{ value: bytes('4') }, { value: bytes('5') }]);
  await settled(verbs, topic, 6);
}

/** Two records whose times of append differ, and the later one's. */
async function twoMoments(verbs: Verbs, topic: string): Promise<{ earlierMs: number; laterMs: number; at: number }> {
  const first = await verbs.append(topic, { value: bytes('first') });
  const later = await eventually(
    async () => {
      const ack = await verbs.append(topic, { value: bytes('more') });
      return ack.timestamp > first.timestamp && ack;
    },
    { what: 'the leader clock to move on', pollMs: 1 },
  );
  await settled(verbs, topic, later.offset! + 1);
  return { earlierMs: first.timestamp, laterMs: later.timestamp, at: later.offset! };
}

export const READ_CASES: readonly VerbCase[] = [
  {
    title: 'a read begins where it is told: at an offset, also within a batch, at the earliest, at the latest',
    run: async (verbs, topic) => {
      await sixRecords(verbs, topic);
      const starts: readonly (readonly [Start, string])[] = [
        ['earliest', '012345'],
        [{ offset: 0 }, '012345'],
        [{ offset: 1 }, '12345'],
        [{ offset: 2 }, '2345'],
        [{ offset: 3 }, '345'],
        [{ offset: 5 }, '5'],
        [{ offset: 6 }, ''],
        ['latest', ''],
      ];
      for (const [from, expected] of starts) {
        const page = await verbs.read(topic, { from });
        expect([from, values(page.records).join('')]).toEqual([from, expected]);
        expect(page).toMatchObject({ nextOffset: 6, earliest: 0, tail: 6 });
      }
    },
  },
  {
    title: 'a read begins at the last so many records, or at the earliest when there are fewer',
    skip: { HTTP: NUMBERED_STARTS_ONLY },
    run: async (verbs, topic) => {
      await sixRecords(verbs, topic);
      for (const [last, expected] of [
        [0, ''],
        [1, '5'],
        [4, '2345'],
        [6, '012345'],
        [7, '012345'],
        [Number.MAX_SAFE_INTEGER, '012345'],
      ] as const) {
        expect(values((await verbs.read(topic, { from: { last } })).records).join('')).toBe(expected);
      }
      await verbs.trim(topic, 4);
      await settled(verbs, topic, 6, 4);
      expect(values((await verbs.read(topic, { from: { last: 5 } })).records).join('')).toBe('45');
    },
  },
  {
    title: 'a read begins at the first record appended at or after a time',
    skip: { HTTP: NUMBERED_STARTS_ONLY },
    run: async (verbs, topic) => {
      await verbs.create({ name: topic });
      const { earlierMs, laterMs, at } = await twoMoments(verbs, topic);
      const startOf = async (timestamp: number): Promise<number | undefined> =>
        (await verbs.read(topic, { from: { timestamp } })).records[0]?.offset;
      expect(await startOf(0)).toBe(0);
      expect(await startOf(earlierMs)).toBe(0);
      expect(await startOf(earlierMs + 1)).toBe(at);
      expect(await startOf(laterMs)).toBe(at);
      const future = await verbs.read(topic, { from: { timestamp: laterMs + 3_600_000 } });
      expect([future.records, future.nextOffset]).toEqual([[], at + 1]);
    },
  },
  {
    title: 'a read that is limited goes on at its nextOffset without a hole or a repetition',
    run: async (verbs, topic) => {
      await sixRecords(verbs, topic);
      const seen: string[] = [];
      let offset = 0;
      for (const limit of [1, 1, 3, 1]) {
        const page = await verbs.read(topic, { from: { offset }, limit });
        expect(page.records).toHaveLength(limit);
        seen.push(...values(page.records));
        offset = page.nextOffset;
      }
      expect([seen.join(''), offset]).toEqual(['012345', 6]);
    },
  },
  {
    title: 'a read at the tail is empty, and stays where it is',
    run: async (verbs, topic) => {
      await verbs.create({ name: topic });
      for (const waitMs of [0, 20]) {
        const page = await verbs.read(topic, { from: { offset: 0 }, waitMs });
        expect(page).toMatchObject({ records: [], nextOffset: 0, earliest: 0, tail: 0 });
      }
    },
  },
  {
    title: 'below the earliest is TRIMMED, past the tail OUT_OF_RANGE, and both name both ends',
    run: async (verbs, topic) => {
      await verbs.create({ name: topic });
      await appendAll(verbs, topic, ['0', '1', '2', '3', '4']);
      await verbs.trim(topic, 3);
      await settled(verbs, topic, 5, 3);
      const fateAt = async (offset: number): Promise<unknown> => {
        const { code, outcome, details } = await failure(verbs.read(topic, { from: { offset } }));
        return [code, outcome, details.earliest, details.tail];
      };
      expect(await fateAt(2)).toEqual(['TRIMMED', 'none', 3, 5]);
      expect(await fateAt(0)).toEqual(['TRIMMED', 'none', 3, 5]);
      expect(await fateAt(6)).toEqual(['OUT_OF_RANGE', 'none', 3, 5]);
      expect(await fateAt(Number.MAX_SAFE_INTEGER)).toEqual(['OUT_OF_RANGE', 'none', 3, 5]);
      expect(values((await verbs.read(topic, { from: { offset: 3 } })).records)).toEqual(['3', '4']);
      expect(values((await verbs.read(topic, { from: 'earliest' })).records)).toEqual(['3', '4']);
      expect((await verbs.read(topic, { from: { offset: 5 } })).records).toEqual([]);
    },
  },
  {
    title: 'what is no offset is INVALID',
    run: async (verbs, topic) => {
      await verbs.create({ name: topic });
      for (const offset of [-1, Number.NaN, 2 ** 53, 1.5, Number.POSITIVE_INFINITY, 1e300]) {
        expect([offset, await fateOf(() => verbs.read(topic, { from: { offset } }))]).toEqual([offset, 'INVALID none']);
      }
      for (const bad of ['', 'first', '0x1', '1e3', ' 1', null]) {
        const from = { offset: bad } as unknown as Start;
        expect([bad, await fateOf(() => verbs.read(topic, { from }))]).toEqual([bad, 'INVALID none']);
      }
      for (const limit of [0, -1, 1.5]) {
        const read = (): Promise<unknown> => verbs.read(topic, { from: 'earliest', limit });
        expect([limit, await fateOf(read)]).toEqual([limit, 'INVALID none']);
      }
      for (const partition of [-1, 0.5]) {
        const read = (): Promise<unknown> => verbs.read(topic, { from: 'earliest', partition });
        expect([partition, await fateOf(read)]).toEqual([partition, 'INVALID none']);
      }
    },
  },
  {
    title: 'an answer says which node gave it, at what level, and up to where that node is',
    run: async (verbs, topic) => {
      await sixRecords(verbs, topic);
      const page = await verbs.read(topic, { from: { offset: 4 } });
      expect(page).toMatchObject({ level: 'any', node: verbs.node, appliedOffset: 6, tail: 6 });
      expect(page.term).toBeGreaterThan(0);
    },
  },
  {
    title: 'a read at a level holds what was acknowledged, and refuses what it cannot hold',
    run: async (verbs, topic) => {
      await verbs.create({ name: topic });
      await verbs.append(topic, { value: bytes('0') });
      const { token } = await verbs.append(topic, { value: bytes('1') });
      const levelOf = async (request: object): Promise<unknown> => {
        const page = await verbs.read(topic, { from: 'earliest', ...request });
        return [page.level, values(page.records).join(''), page.token];
      };
      expect(await levelOf({ level: 'linearizable' })).toEqual(['linearizable', '01', token]);
      expect(await levelOf({ token: token! })).toEqual(['atLeast', '01', token]);
      expect(await levelOf({ level: 'atLeast', token: token! })).toEqual(['atLeast', '01', token]);
      const [topicId, partition, offset, term] = token!.split('.').map(Number);
      const cases: readonly (readonly [object, string])[] = [
        [{ level: 'lease' }, 'UNSUPPORTED none'],
        [{ level: 'strong' }, 'UNSUPPORTED none'],
        [{ level: 'atLeast' }, 'INVALID none'],
        [{ level: 'any', token }, 'INVALID none'],
        [{ token: 'x' }, 'INVALID none'],
        [{ token: `${topicId}.${partition}.${offset}.${term! + 1}` }, 'STALE_TOKEN none'],
        [{ token: `${topicId}.${partition}.${offset! + 1}.${term}` }, 'STALE_TOKEN none'],
        [{ token: `${topicId! + 1}.${partition}.${offset}.${term}` }, 'STALE_TOKEN none'],
      ];
      for (const [request, expected] of cases) {
        const read = (): Promise<unknown> => verbs.read(topic, { from: 'earliest', ...request });
        expect([request, await fateOf(read)]).toEqual([request, expected]);
      }
    },
  },
  {
    title: 'a topic that other nodes hold is written, read and waited for through this node all the same',
    run: async (verbs, topic) => {
      const { name, replicas } = await topicElsewhere(verbs, topic);
      const waiting = verbs.read(name, { from: { offset: 0 }, waitMs: WAIT_MS });
      expect((await verbs.append(name, { value: bytes('0') })).offset).toBe(0);
      const first = await waiting;
      expect([values(first.records), first.nextOffset]).toEqual([['0'], 1]);
      await appendAll(verbs, name, ['1', '2', '3']);
      expect(await verbs.tail(name)).toBe(4);
      const page = await verbs.read(name, { from: { offset: 1 } });
      expect([values(page.records).join(''), page.nextOffset, page.tail]).toEqual(['123', 4, 4]);
      // The answer names the node that gave it, not the one that was asked.
      expect(replicas).toContain(page.node);
      await verbs.trim(name, 2);
      const fateAt = async (offset: number): Promise<unknown> => {
        const { code, details } = await failure(verbs.read(name, { from: { offset } }));
        return [code, details.earliest, details.tail];
      };
      expect(await fateAt(1)).toEqual(['TRIMMED', 2, 4]);
      expect(await fateAt(5)).toEqual(['OUT_OF_RANGE', 2, 4]);
      const last = fate(verbs.read(name, { from: { offset: 4 }, waitMs: WAIT_MS }));
      await verbs.remove(name);
      expect(await last).toBe('TOPIC_NOT_FOUND none');
    },
  },
];

/** A topic of one replica, on another node than the one that is asked, where there are others. */
async function topicElsewhere(
  verbs: Verbs,
  name: string,
): Promise<{ readonly name: string; readonly replicas: readonly string[] }> {
  const isAlone = (await verbs.create({ name })).partitions[0]!.replicas.length === 1;
  for (let at = 0; at < 10; at++) {
    const candidate = `${name}-${at}`;
    const { replicas } = (await verbs.create({ name: candidate, replicas: 1 })).partitions[0]!;
    if (isAlone || !replicas.includes(verbs.node)) return { name: candidate, replicas };
  }
  throw new Error(`10 topics of one replica all went to ${verbs.node}`);
}
