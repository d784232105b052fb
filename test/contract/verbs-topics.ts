/** What every face does with topics: their life, their names, and that a new one is never taken for the old one. */
import { expect } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { appendAll, bytes, failure, fate, fateOf, readUntil, type VerbCase, values, WAIT_MS } from './verbs-case.ts';

/** Paths, control characters, two spellings of one thing, too long, too short (F81). */
const BAD_NAMES: readonly string[] = [
  '',
  '.',
  '..',
  '.hidden',
  'a/b',
  'a/../../b',
  '../a',
  '/',
  'a\\b',
  '%2e%2e%2f',
  'a%00b',
  'a\0b',
  'a\nb',
  'a\r\nb',
  ' ',
  'a b',
  ' a',
  'a ',
  'a\tb',
  'caf\u00e9',
  'cafe\u0301',
  'a\u202eb',
  '\u200ba',
  '\ud800',
  'a:b',
  'a*',
  'a?b',
  'a#b',
  '"a"',
  'a'.repeat(201),
  'a'.repeat(256),
];

/** Words that mean something to file systems and to JavaScript, and the longest name. */
const GOOD_NAMES: readonly string[] = [
  'CON',
  'nul',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  'records',
  '-',
  '-rf',
  '_',
  'a..b',
  'a.',
  '0',
  'x'.repeat(200),
];

export const TOPIC_CASES: readonly VerbCase[] = [
  {
    title: 'a topic is created once, described, listed, and gone when it is deleted',
    run: async (verbs, topic) => {
      const created = await verbs.create({ name: topic, partitions: 3 });
      expect(created.name).toBe(topic);
      expect(created.id).toBeGreaterThan(0);
      expect(created.partitions.map(({ partition, earliest, tail }) => [partition, earliest, tail])).toEqual([
        [0, 0, 0],
        [1, 0, 0],
        [2, 0, 0],
      ]);
      for (const { leader, replicas } of created.partitions) expect(replicas).toContain(leader);
      expect(await verbs.describe(topic)).toMatchObject({ name: topic, id: created.id });
      expect((await verbs.list()).find(({ name }) => name === topic)?.id).toBe(created.id);
      const again = await failure(verbs.create({ name: topic }));
      expect([again.code, again.outcome]).toEqual(['TOPIC_EXISTS', 'none']);
      await verbs.remove(topic);
      expect(await fate(verbs.describe(topic))).toBe('TOPIC_NOT_FOUND none');
      expect((await verbs.list()).map(({ name }) => name)).not.toContain(topic);
      expect(await fate(verbs.remove(topic))).toBe('TOPIC_NOT_FOUND none');
    },
  },
  {
    title: 'names that could be a path, a control sequence or two spellings of one thing are refused',
    run: async (verbs) => {
      const before = (await verbs.list()).map(({ name }) => name);
      for (const name of BAD_NAMES) {
        expect([name, await fateOf(() => verbs.create({ name }))]).toEqual([name, 'INVALID none']);
      }
      expect((await verbs.list()).map(({ name }) => name)).toEqual(before);
    },
  },
  {
    title: 'names that mean something elsewhere are names like any other, and capitals count',
    run: async (verbs, topic) => {
      for (const name of [...GOOD_NAMES, topic, topic.toUpperCase()]) {
        await verbs.create({ name });
        await verbs.append(name, { value: bytes(name) });
        expect(values(await readUntil(verbs, name, 1))).toEqual([name]);
        await verbs.remove(name);
      }
    },
  },
  {
    title: 'partitions and replicas that cannot be are refused',
    run: async (verbs, topic) => {
      const specs = [
        { partitions: 0 },
        { partitions: -1 },
        { partitions: 1.5 },
        { partitions: 257 },
        { replicas: 0 },
        { replicas: 100 },
      ];
      for (const spec of specs) {
        expect([spec, await fateOf(() => verbs.create({ name: topic, ...spec }))]).toEqual([spec, 'INVALID none']);
      }
      expect(await fate(verbs.describe(topic))).toBe('TOPIC_NOT_FOUND none');
    },
  },
  {
    title: 'a topic that is not there, or a partition it does not have, is told by name',
    run: async (verbs, topic) => {
      expect(await fate(verbs.append(topic, { value: bytes('x') }))).toBe('TOPIC_NOT_FOUND none');
      expect(await fate(verbs.read(topic, { from: 'earliest' }))).toBe('TOPIC_NOT_FOUND none');
      expect(await fate(verbs.tail(topic))).toBe('TOPIC_NOT_FOUND none');
      expect(await fate(verbs.trim(topic, 0))).toBe('TOPIC_NOT_FOUND none');
      await verbs.create({ name: topic, partitions: 2 });
      expect(await fate(verbs.append(topic, { value: bytes('x') }, 2))).toBe('PARTITION_NOT_FOUND none');
      expect(await fate(verbs.read(topic, { from: 'earliest', partition: 2 }))).toBe('PARTITION_NOT_FOUND none');
      expect(await fate(verbs.tail(topic, 2))).toBe('PARTITION_NOT_FOUND none');
      expect([await verbs.tail(topic, 0), await verbs.tail(topic, 1)]).toEqual([0, 0]);
    },
  },
  {
    title: 'partitions are logs of their own',
    run: async (verbs, topic) => {
      await verbs.create({ name: topic, partitions: 2 });
      expect((await verbs.append(topic, { value: bytes('a') }, 0)).offset).toBe(0);
      expect((await verbs.append(topic, { value: bytes('b') }, 1)).offset).toBe(0);
      expect((await verbs.append(topic, { value: bytes('c') }, 1)).offset).toBe(1);
      expect([await verbs.tail(topic, 0), await verbs.tail(topic, 1)]).toEqual([1, 2]);
    },
  },
  {
    title: 'a topic that is deleted and created again is another one, and empty',
    run: async (verbs, topic) => {
      const first = await verbs.create({ name: topic });
      await appendAll(verbs, topic, ['old-0', 'old-1']);
      await verbs.remove(topic);
      const second = await verbs.create({ name: topic });
      expect(second.id).not.toBe(first.id);
      expect(await verbs.tail(topic)).toBe(0);
      expect((await verbs.append(topic, { value: bytes('new-0') })).offset).toBe(0);
      expect(values(await readUntil(verbs, topic, 1))).toEqual(['new-0']);
    },
  },
  {
    title: 'a read that waits ends when its topic is deleted',
    run: async (verbs, topic) => {
      await verbs.create({ name: topic });
      const waiting = fate(verbs.read(topic, { from: 'latest', waitMs: WAIT_MS }));
      // Either it began to wait before the topic went, or it came too late: both must be told the same.
      await verbs.remove(topic);
      expect(await waiting).toBe('TOPIC_NOT_FOUND none');
    },
  },
  {
    title: 'trimming makes an offset the earliest, never goes back, and never beyond the tail',
    run: async (verbs, topic) => {
      await verbs.create({ name: topic });
      await appendAll(verbs, topic, ['a', 'b', 'c']);
      await verbs.trim(topic, 2);
      const earliest = async (): Promise<number | undefined> => (await verbs.describe(topic)).partitions[0]?.earliest;
      expect(await earliest()).toBe(2);
      await verbs.trim(topic, 1);
      expect(await earliest()).toBe(2);
      const beyond = await failure(verbs.trim(topic, 4));
      expect([beyond.code, beyond.outcome, beyond.details.tail]).toEqual(['OUT_OF_RANGE', 'none', 3]);
      await verbs.trim(topic, 3);
      await eventually(async () => (await verbs.read(topic, { from: 'earliest' })).nextOffset === 3, {
        what: 'the earliest offset to be the tail',
      });
      expect((await verbs.append(topic, { value: bytes('d') })).offset).toBe(3);
    },
  },
];
