/** What every face does with records on their way in: offsets, limits, and copies of what was sent before. */
import { expect } from 'vitest';
import type { Outgoing, Verbs } from './verbs.ts';
import {
  bytes,
  failure,
  fate,
  fateOf,
  offsets,
  readUntil,
  text,
  type VerbCase,
  values,
  WAIT_MS,
} from './verbs-case.ts';

const RECORD_BYTES_MAX = 1024 * 1024;
/** Batches of one producer that a partition remembers with their offsets. */
const WINDOW = 5;

const NUMBERS_BY_ITSELF = 'the SDK numbers records by itself and never skips a number';

const ALL_BYTES = Uint8Array.from({ length: 256 }, (_, at) => at);

/** Key, value and headers of these sizes; headers count with their names. */
function recordOf(sizes: { readonly value: number; readonly key?: number; readonly header?: number }): Outgoing {
  const { value, key, header } = sizes;
  return {
    value: new Uint8Array(value).fill(1),
    ...(key === undefined ? {} : { key: new Uint8Array(key).fill(2) }),
    ...(header === undefined ? {} : { headers: [{ key: 'h', value: new Uint8Array(header - 1).fill(3) }] }),
  };
}

async function expectTooLarge(verbs: Verbs, topic: string, record: Outgoing): Promise<void> {
  const error = await failure(verbs.append(topic, record));
  expect([error.code, error.outcome]).toEqual(['TOO_LARGE', 'none']);
  expect(error.details).toMatchObject({ limitBytes: RECORD_BYTES_MAX, actualBytes: RECORD_BYTES_MAX + 1 });
}

export const APPEND_CASES: readonly VerbCase[] = [
  {
    title: 'records get the next offset, one after the other, and an answer that says where they are',
    run: async (verbs, topic) => {
      await verbs.create({ name: topic });
      const startedMs = Date.now();
      for (let offset = 0; offset < 5; offset++) {
        const ack = await verbs.append(topic, { value: bytes(`v${offset}`) });
        expect(ack).toMatchObject({ topic, partition: 0, offset, lastOffset: offset, count: 1, duplicate: false });
        expect(ack.term).toBeGreaterThan(0);
        expect(ack.timestamp).toBeGreaterThanOrEqual(startedMs - 1);
        expect(ack.timestamp).toBeLessThanOrEqual(Date.now() + 1);
      }
      expect(await verbs.tail(topic)).toBe(5);
      expect(values(await readUntil(verbs, topic, 5))).toEqual(['v0', 'v1', 'v2', 'v3', 'v4']);
    },
  },
  {
    title: 'a batch lies at consecutive offsets, whatever else is appended meanwhile',
    run: async (verbs, topic) => {
      await verbs.create({ name: topic });
      const batches = Array.from({ length: 8 }, (_, batch) =>
        Array.from({ length: 10 }, (_, at) => ({ value: bytes(`${batch}:${at}`) })),
      );
      const acks = await Promise.all(batches.map((batch) => verbs.appendBatch(topic, batch)));
      const records = values(await readUntil(verbs, topic, 80));
      acks.forEach(({ offset, lastOffset, count }, batch) => {
        expect([count, lastOffset]).toEqual([10, offset! + 9]);
        expect(records.slice(offset, lastOffset! + 1)).toEqual(batches[batch]!.map(({ value }) => text(value)));
      });
      expect(acks.map(({ offset }) => offset!).sort((a, b) => a - b)).toEqual([0, 10, 20, 30, 40, 50, 60, 70]);
    },
  },
  {
    title: 'a batch with one record that cannot be is refused whole',
    run: async (verbs, topic) => {
      await verbs.create({ name: topic });
      const batch = [{ value: bytes('good') }, recordOf({ value: RECORD_BYTES_MAX + 1 }), { value: bytes('good') }];
      expect(await fate(verbs.appendBatch(topic, batch))).toBe('TOO_LARGE none');
      expect(await fateOf(() => verbs.appendBatch(topic, []))).toBe('INVALID none');
      expect(await verbs.tail(topic)).toBe(0);
      expect((await verbs.append(topic, { value: bytes('next') })).offset).toBe(0);
    },
  },
  {
    title: 'any bytes come back as they went in: values, keys, headers, times; no key is not an empty key',
    run: async (verbs, topic) => {
      await verbs.create({ name: topic });
      const records: Outgoing[] = [
        { value: ALL_BYTES, key: ALL_BYTES, headers: [{ key: 'all', value: ALL_BYTES }], timestamp: 1 },
        { value: new Uint8Array(0) },
        { value: new Uint8Array(0), key: new Uint8Array(0) },
        { value: bytes('\u0000\n\r"\\ \ufeff'), key: bytes('schlüssel'), timestamp: 4_000_000_000_000 },
        {
          value: bytes('x'),
          headers: [
            { key: 'twice', value: bytes('1') },
            { key: 'twice', value: bytes('2') },
            { key: '__proto__', value: bytes('') },
          ],
        },
      ];
      await verbs.appendBatch(topic, records);
      const read = await readUntil(verbs, topic, records.length);
      read.forEach((record, at) => {
        const { value, key, headers = [], timestamp } = records[at]!;
        expect(Buffer.from(record.value)).toEqual(Buffer.from(value));
        expect(record.key === undefined ? undefined : Buffer.from(record.key)).toEqual(
          key === undefined ? undefined : Buffer.from(key),
        );
        expect(record.headers.map((header) => [header.key, Buffer.from(header.value).toString('hex')])).toEqual(
          headers.map((header) => [header.key, Buffer.from(header.value).toString('hex')]),
        );
        if (timestamp !== undefined) expect(record.timestamp).toBe(timestamp);
      });
    },
  },
  {
    title: 'a record of exactly the limit goes in; one byte over is TOO_LARGE and names the limit',
    run: async (verbs, topic) => {
      await verbs.create({ name: topic });
      expect((await verbs.append(topic, recordOf({ value: RECORD_BYTES_MAX }))).offset).toBe(0);
      await expectTooLarge(verbs, topic, recordOf({ value: RECORD_BYTES_MAX + 1 }));
      // Key and headers count as much as the value.
      const rest = { key: 100, header: 100 };
      expect((await verbs.append(topic, recordOf({ value: RECORD_BYTES_MAX - 200, ...rest }))).offset).toBe(1);
      await expectTooLarge(verbs, topic, recordOf({ value: RECORD_BYTES_MAX - 199, ...rest }));
      const [largest] = await readUntil(verbs, topic, 1);
      expect(largest?.value.length).toBe(RECORD_BYTES_MAX);
    },
  },
  {
    title: 'the name of a header counts in bytes, not in characters',
    run: async (verbs, topic) => {
      await verbs.create({ name: topic });
      const headers = [{ key: 'ü'.repeat(10), value: new Uint8Array(0) }];
      expect((await verbs.append(topic, { ...recordOf({ value: RECORD_BYTES_MAX - 20 }), headers })).offset).toBe(0);
      await expectTooLarge(verbs, topic, { ...recordOf({ value: RECORD_BYTES_MAX - 19 }), headers });
    },
  },
  {
    title: 'a record that was appended already is answered with the offset it has',
    run: async (verbs, topic) => {
      await verbs.create({ name: topic });
      const identity = { id: `${topic}-producer`, epoch: 3 };
      const first = verbs.producer(topic, identity);
      const sent = [await first.send(bytes('a')), await first.send(bytes('b')), await first.send(bytes('c'))];
      expect(sent.map(({ offset, duplicate }) => [offset, duplicate])).toEqual([
        [0, false],
        [1, false],
        [2, false],
      ]);
      // The application starts again and does not know how far it had come.
      const second = verbs.producer(topic, identity);
      const again = [await second.send(bytes('a')), await second.send(bytes('b')), await second.send(bytes('c'))];
      expect(again.map(({ offset, duplicate }) => [offset, duplicate])).toEqual([
        [0, true],
        [1, true],
        [2, true],
      ]);
      expect(await second.send(bytes('d'))).toMatchObject({ offset: 3, duplicate: false });
      expect(values(await readUntil(verbs, topic, 4))).toEqual(['a', 'b', 'c', 'd']);
      await Promise.all([first.close(), second.close()]);
    },
  },
  {
    title: 'a copy of a record that is too old for its offset to be remembered is still known to be one',
    run: async (verbs, topic) => {
      await verbs.create({ name: topic });
      const identity = { id: `${topic}-producer`, epoch: 0 };
      const first = verbs.producer(topic, identity);
      for (let at = 0; at <= WINDOW; at++) await first.send(bytes(`v${at}`));
      const second = verbs.producer(topic, identity);
      expect(await second.send(bytes('v0'))).toMatchObject({ offset: undefined, duplicate: true });
      expect(await second.send(bytes('v1'))).toMatchObject({ offset: 1, duplicate: true });
      expect(await verbs.tail(topic)).toBe(WINDOW + 1);
      await Promise.all([first.close(), second.close()]);
    },
  },
  {
    title: 'a higher epoch fences the lower one at once, whose fate is then unknown',
    run: async (verbs, topic) => {
      await verbs.create({ name: topic });
      const id = `${topic}-producer`;
      const old = verbs.producer(topic, { id, epoch: 4 });
      await old.send(bytes('old'));
      const next = verbs.producer(topic, { id, epoch: 5 });
      expect(await next.send(bytes('next'))).toMatchObject({ offset: 1, duplicate: false });
      const error = await failure(old.send(bytes('late')));
      expect([error.code, error.outcome, error.details.epoch]).toEqual(['PRODUCER_FENCED', 'unknown', 5]);
      expect(await next.send(bytes('on'))).toMatchObject({ offset: 2 });
      expect(offsets(await readUntil(verbs, topic, 3))).toEqual([0, 1, 2]);
      await next.close();
    },
  },
  {
    title: 'a number that does not follow is a gap, told by both numbers, and so is a new epoch that begins above 0',
    skip: { WebSocket: NUMBERS_BY_ITSELF, embedded: NUMBERS_BY_ITSELF },
    run: async (verbs, topic) => {
      await verbs.create({ name: topic });
      const append = (epoch: number, sequence: number): Promise<unknown> =>
        verbs.appendNumbered!(topic, bytes('x'), { id: `${topic}-producer`, epoch, sequence });
      const gap = async (epoch: number, sequence: number): Promise<unknown> => {
        const { code, outcome, details } = await failure(append(epoch, sequence));
        return [code, outcome, details.expected, details.received];
      };
      await append(0, 0);
      expect(await gap(0, 2)).toEqual(['SEQUENCE_GAP', 'none', 1, 2]);
      expect(await gap(1, 1)).toEqual(['SEQUENCE_GAP', 'none', 0, 1]);
      // What was refused left no trace: the old epoch still holds.
      expect(await append(0, 1)).toMatchObject({ offset: 1, duplicate: false });
    },
  },
  {
    title: 'another producer of another topic has numbers of its own',
    run: async (verbs, topic) => {
      await verbs.create({ name: topic });
      await verbs.create({ name: `${topic}-2` });
      const identity = { id: `${topic}-producer`, epoch: 0 };
      const producers = [verbs.producer(topic, identity), verbs.producer(`${topic}-2`, identity)];
      for (const producer of producers) {
        expect(await producer.send(bytes('first'))).toMatchObject({ offset: 0, duplicate: false });
      }
      const other = verbs.producer(topic, { id: `${topic}-other`, epoch: 0 });
      expect(await other.send(bytes('first'))).toMatchObject({ offset: 1, duplicate: false });
      await Promise.all([...producers, other].map((producer) => producer.close()));
    },
  },
  {
    title: 'an append is seen by a read that waits for it',
    run: async (verbs, topic) => {
      await verbs.create({ name: topic });
      const waiting = verbs.read(topic, { from: { offset: 0 }, waitMs: WAIT_MS });
      await verbs.append(topic, { value: bytes('awaited') });
      const page = await waiting;
      expect([values(page.records), page.nextOffset, page.tail]).toEqual([['awaited'], 1, 1]);
    },
  },
];
