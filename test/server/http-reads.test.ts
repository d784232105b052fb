/** Reading over HTTP: what is asked for, in which form it comes, waiting at the tail, and what is refused. */

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LogError } from '../../src/protocol/index.ts';
import { closeAll } from './support/closing.ts';
import { type Answer, append, call, door, expectProblem, openUsual } from './support/http-door.ts';
import { until } from './support/world.ts';

beforeEach(openUsual);
afterEach(closeAll);

describe('reading', () => {
  const read = (query: string, headers: Record<string, string> = {}): Promise<Answer> =>
    call('GET', `/v1/topics/orders/records${query}`, { headers });

  test('gives what was appended, bytes as text or base64, with where the node stands', async () => {
    await append([
      { value: 'a', key: 'k', headers: { h: 'x', __proto__x: 'y' }, timestamp: 5 },
      { valueBase64: '/w==', timestamp: 6 },
    ]);
    await append([
      {
        value: '\ufeffc',
        timestamp: 7,
        headers: [
          { key: 'r', value: '1' },
          { key: 'r', valueBase64: '/w==' },
        ],
      },
    ]);
    const answer = await read('?offset=0');
    expect(answer.json).toEqual({
      records: [
        { offset: 0, timestamp: 5, key: 'k', value: 'a', headers: { h: 'x', __proto__x: 'y' } },
        { offset: 1, timestamp: 6, key: null, valueBase64: '/w==', headers: {} },
        {
          offset: 2,
          timestamp: 7,
          key: null,
          value: '\ufeffc',
          headers: [
            { key: 'r', value: '1' },
            { key: 'r', valueBase64: '/w==' },
          ],
        },
      ],
      nextOffset: 3,
      compacted: false,
      earliest: 0,
      tail: 3,
      level: 'any',
      node: 'n1',
      appliedOffset: 3,
      term: 3,
      token: '1.0.2.3',
    });
  });

  test('what was read can be sent again as it is', async () => {
    await append([
      { valueBase64: '/w==', keyBase64: '/g==', headers: [{ key: 'r', valueBase64: '/w==' }], timestamp: 6 },
    ]);
    const { json } = await read('');
    const { offset: _offset, ...record } = json.records[0];
    await append([record]);
    const again = (await read('?offset=1')).json.records[0];
    expect(again).toEqual({ ...record, offset: 1 });
  });

  test('starts inside a batch, stops at limit, and says where to go on', async () => {
    await append(Array.from({ length: 10 }, (_, i) => ({ value: String(i) })));
    const answer = await read('?offset=3&limit=4');
    expect(answer.json.records.map(({ value }: { value: string }) => value)).toEqual(['3', '4', '5', '6']);
    expect(answer.json.nextOffset).toBe(7);
  });

  test('NDJSON carries the rest in headers', async () => {
    await append([
      { value: 'a', timestamp: 1 },
      { value: 'b', timestamp: 2 },
    ]);
    const answer = await read('?offset=0', { accept: 'application/x-ndjson' });
    expect(
      answer.text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line).value),
    ).toEqual(['a', 'b']);
    const facts = ['next-offset', 'earliest', 'tail', 'level', 'node', 'applied-offset', 'term'];
    expect(facts.map((name) => answer.headers.get(`logdrive-${name}`))).toEqual(['2', '0', '2', 'any', 'n1', '2', '3']);
  });

  test('larger limits than allowed are clamped, not refused', async () => {
    await append([{ value: 'a' }]);
    await read('?offset=0&limit=1000000&maxBytes=999999999&waitMs=999999');
    expect(door.broker.calls.at(-1)).toBe(`read 30000 ${4 * 1024 * 1024}`);
  });

  test('at the tail it waits for a record', async () => {
    const waiting = read('?offset=0&waitMs=20000');
    await until('it waits', () => door.broker.calls.length === 1);
    await append([{ value: 'late' }]);
    expect((await waiting).json.records[0].value).toBe('late');
  });

  test('a client that hangs up while it waits is forgotten', async () => {
    const gone = new AbortController();
    let isAborted = false;
    door.broker.read = ({ signal }) => {
      door.broker.calls.push('waits');
      return new Promise((_resolve, reject) => {
        signal?.addEventListener('abort', () => {
          isAborted = true;
          reject(new LogError('ABORTED'));
        });
      });
    };
    const waiting = fetch(`${door.url}/v1/topics/orders/records?offset=0&waitMs=20000`, { signal: gone.signal });
    await until('it waits', () => door.broker.calls.length === 1);
    gone.abort();
    await expect(waiting).rejects.toThrow();
    await until('the read was aborted', () => isAborted);
  });

  test('a draining node answers those that wait', async () => {
    const waiting = read('?offset=0&waitMs=20000');
    await until('it waits', () => door.broker.calls.length === 1);
    door.http.endWaiting();
    expect((await waiting).status).toBeGreaterThanOrEqual(400);
  });

  test.each([
    ['offset=-1', 'INVALID'],
    ['offset=NaN', 'INVALID'],
    ['offset=1e3', 'INVALID'],
    ['offset=0x10', 'INVALID'],
    ['offset=9007199254740992', 'INVALID'],
    ['offset=', 'INVALID'],
    ['limit=0', 'INVALID'],
    ['limit=-5', 'INVALID'],
    ['limt=5', 'INVALID'],
    ['offset=0&offset=1', 'INVALID'],
    ['__proto__=1', 'INVALID'],
    ['level=quorum', 'UNSUPPORTED'],
    ['level=', 'UNSUPPORTED'],
    ['token=1.0.2', 'INVALID'],
    ['token=1.0.2.03', 'INVALID'],
  ])('?%s is %s', async (query, code) => {
    expectProblem(await read(`?${query}`), 400, code);
  });

  test('past the tail and below the start, both ends are named', async () => {
    await append([{ value: 'a' }, { value: 'b' }]);
    const topic = door.broker.topics.get('orders');
    if (topic !== undefined) topic.earliest = 1;
    const past = await read('?offset=3');
    expectProblem(past, 400, 'OUT_OF_RANGE');
    const below = await read('?offset=0');
    expectProblem(below, 410, 'TRIMMED');
    expect([past.json, below.json]).toMatchObject([
      { earliest: 1, tail: 2 },
      { earliest: 1, tail: 2 },
    ]);
  });
});
