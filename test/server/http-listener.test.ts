import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { decodeRecords, LogError } from '../../src/protocol/index.ts';
import { type Door, type DoorOptions, openDoor } from './door.ts';
import { realWorld, until } from './world.ts';

let door: Door;
let doors: Door[] = [];

async function open(options: DoorOptions = {}): Promise<Door> {
  const opened = await openDoor(realWorld().env, options);
  doors.push(opened);
  opened.broker.addTopic('orders');
  return opened;
}

beforeEach(async () => {
  door = await open();
});
afterEach(async () => {
  await Promise.all(doors.map((each) => each.close()));
  doors = [];
});

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: bodies of many shapes, looked into by the tests.
  readonly json: any;
}

async function call(
  method: string,
  path: string,
  init: { body?: unknown; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const isJson = init.body !== undefined && typeof init.body === 'object' && !(init.body instanceof Uint8Array);
  const body = isJson ? JSON.stringify(init.body) : (init.body as string | Uint8Array<ArrayBuffer> | undefined);
  const headers = { ...(isJson ? { 'content-type': 'application/json' } : {}), ...init.headers };
  const response = await fetch(door.url + path, {
    method,
    headers,
    redirect: 'manual',
    ...(body === undefined ? {} : { body }),
  });
  const text = await response.text();
  const isAnswerJson =
    /json/.test(response.headers.get('content-type') ?? '') &&
    !/ndjson/.test(response.headers.get('content-type') ?? '');
  return {
    status: response.status,
    headers: response.headers,
    text,
    json: isAnswerJson ? JSON.parse(text) : undefined,
  };
}

const append = (records: unknown, headers: Record<string, string> = {}): Promise<Answer> =>
  call('POST', '/v1/topics/orders/records', { body: { records }, headers });

function expectProblem(answer: Answer, status: number, code: string): void {
  expect(answer.json).toMatchObject({ status, code });
  expect(answer.status).toBe(status);
  expect(answer.headers.get('content-type')).toBe('application/problem+json');
  expect(['none', 'unknown']).toContain(answer.json.outcome);
  expect(typeof answer.json.retriable).toBe('boolean');
  expect(answer.text).not.toMatch(/node_modules|\.ts:|\/src\//);
}

describe('appending', () => {
  test('a JSON body is one record batch, answered with where its records lie', async () => {
    await append([{ value: 'zero' }]);
    const answer = await append([
      { value: 'a', key: 'k', headers: { h: 'x' }, timestamp: 12 },
      { valueBase64: '/w==' },
    ]);
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({
      topic: 'orders',
      partition: 0,
      offset: 1,
      lastOffset: 2,
      count: 2,
      timestamp: 1_000,
      term: 3,
      duplicate: false,
      token: '1.0.2.3',
    });
    const records = decodeRecords(door.broker.appends[1]?.batch as Uint8Array);
    expect(records.map(({ value }) => Buffer.from(value).toString('hex'))).toEqual(['61', 'ff']);
    expect(records[0]).toMatchObject({ timestampMs: 12, headers: [{ key: 'h' }] });
  });

  test.each([
    ['text/plain', 'plain'],
    ['application/octet-stream', '\u0000\n\u0001'],
    ['application/jsonl', '{'],
    ['text/plain; charset=latin1', 'x'],
  ])('a body of type %s is one record, byte for byte', async (type, body) => {
    const answer = await call('POST', '/v1/topics/orders/records', { body, headers: { 'content-type': type } });
    expect(answer.json).toMatchObject({ offset: 0, lastOffset: 0, count: 1 });
    const [record] = decodeRecords(door.broker.appends[0]?.batch as Uint8Array);
    expect(Buffer.from(record?.value as Uint8Array).toString()).toBe(body);
  });

  test.each(['foo', 'a/b/c', '/'])('a Content-Type of %s is none: 415', async (type) => {
    const answer = await call('POST', '/v1/topics/orders/records', { body: 'x', headers: { 'content-type': type } });
    expectProblem(answer, 415, 'INVALID');
  });

  test('no body at all is one empty record', async () => {
    const answer = await call('POST', '/v1/topics/orders/records');
    expect(answer.json).toMatchObject({ offset: 0, count: 1 });
    expect(decodeRecords(door.broker.appends[0]?.batch as Uint8Array)[0]?.value).toHaveLength(0);
  });

  test('NDJSON is a record a line, in as many batches as it takes', async () => {
    const big = 'x'.repeat(400_000);
    const lines = Array.from({ length: 7 }, (_, i) => JSON.stringify({ value: `${i}${big}` }));
    const body = `${lines.slice(0, 3).join('\n')}\n\n${lines.slice(3).join('\n')}`;
    const answer = await call('POST', '/v1/topics/orders/records', {
      body,
      headers: {
        'content-type': 'application/x-ndjson',
        'producer-id': 'p',
        'producer-epoch': '1',
        'producer-seq': '5',
      },
    });
    expect(answer.json).toMatchObject({ offset: 0, lastOffset: 6, count: 7 });
    const appends = door.broker.appends;
    expect(appends.length).toBeGreaterThan(2);
    const records = appends.flatMap(({ batch }) => decodeRecords(batch));
    expect(records.map(({ value }) => Buffer.from(value).toString()[0]).join('')).toBe('0123456');
    const counts = appends.map(({ batch }) => decodeRecords(batch).length);
    const sequences = appends.map(({ producer }) => producer?.sequence);
    expect(sequences).toEqual(counts.map((_, at) => 5 + counts.slice(0, at).reduce((sum, count) => sum + count, 0)));
  });

  test('a bad NDJSON line is named, and what stood before it is in', async () => {
    const body = '{"value":"a"}\n{"value":"b"}\n{"value":3}\n{"value":"d"}\n';
    const headers = { 'content-type': 'application/x-ndjson' };
    const answer = await call('POST', '/v1/topics/orders/records', { body, headers });
    expectProblem(answer, 400, 'INVALID');
    expect(answer.json).toMatchObject({ line: 3, appended: 2, outcome: 'unknown' });
    expect(door.broker.topics.get('orders')?.tail).toBe(2);
  });

  test('an NDJSON line that never ends is refused before it fills the memory', async () => {
    const small = await open({ recordBytesMax: 1024 });
    door = small;
    const headers = { 'content-type': 'application/x-ndjson' };
    const body = `{"value":"a"}\n"${'x'.repeat(200_000)}`;
    const answer = await call('POST', '/v1/topics/orders/records', { body, headers });
    expectProblem(answer, 413, 'TOO_LARGE');
    expect(answer.json).toMatchObject({ line: 2, appended: 1 });
  });

  test('a client that goes away in the middle of its NDJSON leaves what was appended, and no defect', async () => {
    const world = realWorld();
    const own = await openDoor(world.env);
    doors.push(own);
    own.broker.addTopic('orders');
    const socket = connect(own.port, '127.0.0.1');
    const line = `${JSON.stringify({ value: 'x'.repeat(700_000) })}\n`;
    const head = 'POST /v1/topics/orders/records HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n';
    socket.write(`${head}Content-Length: 100000000\r\n\r\n${line}${line}{"val`);
    await until('a batch is in', () => own.broker.appends.length === 1);
    socket.destroy();
    let text = '';
    await until('the failure is counted', () => {
      void own.metrics.scrape().then((scraped) => {
        text = scraped;
      });
      return text.includes('logdrive_append_errors_total{face="http",code="ABORTED"} 1');
    });
    expect(world.logger.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  test('producer headers make the tuple: hex as it is, other text hashed', async () => {
    const hex = 'AB'.repeat(16);
    const tuple = (id: string) => ({ 'producer-id': id, 'producer-epoch': '2', 'producer-seq': '9007199254740991' });
    await append([{ value: 'a' }], tuple(hex));
    await append([{ value: 'a' }], tuple('my service'));
    expect(door.broker.appends.map(({ producer }) => producer)).toEqual([
      { id: hex.toLowerCase(), epoch: 2, sequence: Number.MAX_SAFE_INTEGER },
      { id: expect.stringMatching(/^[0-9a-f]{32}$/), epoch: 2, sequence: Number.MAX_SAFE_INTEGER },
    ]);
  });

  test.each([
    ['only some producer headers', { 'producer-id': 'p' }],
    ['a negative sequence', { 'producer-id': 'p', 'producer-epoch': '0', 'producer-seq': '-1' }],
    ['a sequence of 2^53', { 'producer-id': 'p', 'producer-epoch': '0', 'producer-seq': '9007199254740992' }],
    ['an epoch of 2^32', { 'producer-id': 'p', 'producer-epoch': '4294967296', 'producer-seq': '0' }],
    ['an empty producer id', { 'producer-id': '', 'producer-epoch': '0', 'producer-seq': '0' }],
  ])('%s is INVALID', async (_name, headers) => {
    expectProblem(await append([{ value: 'a' }], headers), 400, 'INVALID');
    expect(door.broker.appends).toHaveLength(0);
  });

  test.each([
    ['no list', {}],
    ['an empty list', { records: [] }],
    ['a record without value', { records: [{}] }],
    ['a value that is a number', { records: [{ value: 1 }] }],
    ['two values', { records: [{ value: 'a', valueBase64: 'YQ==' }] }],
    ['bad base64', { records: [{ valueBase64: 'a' }] }],
    ['base64 of the URL kind', { records: [{ valueBase64: '_-==' }] }],
    ['an unknown member', { records: [{ value: 'a', vlaue: 'b' }] }],
    ['an unknown member of the whole', { records: [{ value: 'a' }], acks: 0 }],
    ['a member called __proto__', JSON.parse('{"records":[{"value":"a","__proto__":{"x":1}}]}')],
    ['a timestamp below 0', { records: [{ value: 'a', timestamp: -1 }] }],
    ['a timestamp of 2^53', { records: [{ value: 'a', timestamp: 2 ** 53 }] }],
    ['half a surrogate pair', { records: [{ value: '\ud800' }] }],
    ['headers that are a text', { records: [{ value: 'a', headers: 'x' }] }],
    ['a header that is a number', { records: [{ value: 'a', headers: { x: 1 } }] }],
  ])('JSON with %s is INVALID, and nothing is appended', async (_name, body) => {
    expectProblem(await call('POST', '/v1/topics/orders/records', { body }), 400, 'INVALID');
    expect(door.broker.appends).toHaveLength(0);
    expect(({} as { x?: number }).x).toBeUndefined();
  });

  test.each(['{', '', '[]', 'null', '"\ud83d', '[[[['.repeat(50_000)])('a JSON body of %j is INVALID', async (body) => {
    const headers = { 'content-type': 'application/json; charset=utf-8' };
    const answer = await call('POST', '/v1/topics/orders/records', { body: body.slice(0, 200_000), headers });
    expectProblem(answer, 400, 'INVALID');
    expect(answer.text).not.toContain('[[[[');
  });

  test('a body that is not UTF-8 is no JSON', async () => {
    const body = Buffer.from('{"records":[{"value":"\xff"}]}', 'latin1');
    const answer = await call('POST', '/v1/topics/orders/records', {
      body,
      headers: { 'content-type': 'application/json' },
    });
    expectProblem(answer, 400, 'INVALID');
  });

  test('a record at the limit goes in, one byte more is TOO_LARGE with the limit', async () => {
    door = await open({ recordBytesMax: 1024 });
    expect((await append([{ value: 'x'.repeat(1023), key: 'k' }])).status).toBe(200);
    const answer = await append([{ value: 'x'.repeat(1024), key: 'k' }]);
    expectProblem(answer, 413, 'TOO_LARGE');
    expect(answer.json).toMatchObject({ limitBytes: 1024, actualBytes: 1025, outcome: 'none' });
  });

  test('a body over the limit is refused while it arrives', async () => {
    door = await open({ batchBytesMax: 64 * 1024 });
    const answer = await call('POST', '/v1/topics/orders/records', { body: 'x'.repeat(1024 * 1024) });
    expectProblem(answer, 413, 'TOO_LARGE');
  });

  test('partition comes from the query, and nothing else does', async () => {
    door.broker.addTopic('wide', 3);
    const answer = await call('POST', '/v1/topics/wide/records?partition=2', { body: 'x' });
    expect(answer.json).toMatchObject({ partition: 2 });
    for (const query of ['partition=-1', 'partition=x', 'partition=1&partition=2', 'partitoin=1', 'partition=']) {
      expectProblem(await call('POST', `/v1/topics/wide/records?${query}`, { body: 'x' }), 400, 'INVALID');
    }
    expectProblem(await call('POST', '/v1/topics/wide/records?partition=3', { body: 'x' }), 404, 'PARTITION_NOT_FOUND');
  });

  test('all requests of one connection count as one client', async () => {
    const socket = connect(door.port, '127.0.0.1');
    const request = 'POST /v1/topics/orders/records HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx';
    socket.write(request + request);
    await until('both came', () => door.broker.appends.length === 2);
    socket.destroy();
    await append([{ value: 'a' }]);
    const [first, second, third] = door.broker.appends.map(({ client }) => client);
    expect(first).toBe(second);
    expect(third).not.toBe(first);
  });
});

describe('failures of the broker', () => {
  test.each([
    ['OVERLOADED', 429, { retryAfterMs: 50 }, 'none', '1'],
    ['TIMEOUT', 504, {}, 'unknown', null],
    ['PRODUCER_FENCED', 403, { epoch: 4 }, 'unknown', null],
    ['SEQUENCE_GAP', 409, { expected: 3, received: 5 }, 'none', null],
    ['STORAGE_FULL', 507, {}, 'none', null],
    ['DRAINING', 503, { retryAfterMs: 1_500 }, 'none', '2'],
  ] as const)('%s is %i with its facts', async (code, status, details, outcome, retryAfter) => {
    door.broker.beforeAppend = () => {
      throw new LogError(code, undefined, { details });
    };
    const answer = await append([{ value: 'a' }]);
    expectProblem(answer, status, code);
    expect(answer.json).toMatchObject({ ...details, outcome });
    expect(answer.headers.get('retry-after')).toBe(retryAfter);
  });

  test('an append is forwarded unless the client asks to be redirected', async () => {
    await append([{ value: 'a' }]);
    expect(door.broker.appends[0]?.redirect).toBe(false);
    door.broker.beforeAppend = ({ redirect }) => {
      if (!redirect) return;
      const details = { leader: 'n2', leaderUrl: 'ws://127.0.0.1:4447/v1/ws' };
      throw new LogError('NOT_LEADER', undefined, { details });
    };
    const answer = await call('POST', '/v1/topics/orders/records?partition=0', {
      body: 'x',
      headers: { 'logdrive-redirect': '1' },
    });
    expect(answer.status).toBe(307);
    expect(answer.headers.get('location')).toBe('http://127.0.0.1:4447/v1/topics/orders/records?partition=0');
    expect(answer.json).toMatchObject({ code: 'NOT_LEADER', leader: 'n2' });
  });

  test('a defect is a 500 that tells nothing of itself', async () => {
    door.broker.failure = new TypeError('secret /etc/passwd');
    const answer = await call('GET', '/v1/topics');
    expectProblem(answer, 500, 'INTERNAL');
    expect(answer.text).not.toContain('secret');
  });
});

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

describe('topics and the cluster', () => {
  test('a topic is created with its defaults, listed, described and deleted', async () => {
    const created = await call('POST', '/v1/topics', { body: { name: 'new', retention: { maxAgeMs: 5 } } });
    expect(created.status).toBe(201);
    expect(created.json).toMatchObject({
      name: 'new',
      partitions: [{ partition: 0, leader: 'n1', earliest: 0, tail: 0 }],
    });
    expect(JSON.parse(door.broker.calls[0]?.slice(7) as string)).toEqual({
      name: 'new',
      partitions: 1,
      retention: { maxAgeMs: 5 },
    });
    expectProblem(await call('POST', '/v1/topics', { body: { name: 'new' } }), 409, 'TOPIC_EXISTS');
    const list = await call('GET', '/v1/topics');
    expect(list.json.topics.map(({ name }: { name: string }) => name)).toEqual(['orders', 'new']);
    expect((await call('DELETE', '/v1/topics/new')).status).toBe(204);
    expectProblem(await call('GET', '/v1/topics/new'), 404, 'TOPIC_NOT_FOUND');
  });

  test.each([
    [{ name: 3 }],
    [{}],
    [{ name: 'x', partitions: 0 }],
    [{ name: 'x', partitions: 257 }],
    [{ name: 'x', partitions: '1' }],
    [{ name: 'x', replicas: 1.5 }],
    [{ name: 'x', retention: { maxBytes: -1 } }],
    [{ name: 'x', retention: { maxbytes: 1 } }],
    [{ name: 'x', retention: 5 }],
    [{ name: 'x', retnetion: {} }],
  ])('creating %j is INVALID', async (body) => {
    expectProblem(await call('POST', '/v1/topics', { body }), 400, 'INVALID');
    expect(door.broker.topics.size).toBe(1);
  });

  test('leadership moves, snapshots are taken and logs trimmed by POST', async () => {
    await append([{ value: 'a' }, { value: 'b' }]);
    const moved = await call('POST', '/v1/topics/orders/partitions/0/transfer', { body: { to: 'n2' } });
    expect([moved.status, door.broker.calls.at(-1)]).toEqual([200, 'transfer orders 0 n2']);
    const taken = await call('POST', '/v1/topics/orders/partitions/0/snapshot');
    expect(taken.json).toMatchObject({ index: 7, nextOffset: 2 });
    const trimmed = await call('POST', '/v1/topics/orders/trim', { body: { before: 1 } });
    expect(trimmed.status).toBe(200);
    expect((await call('GET', '/v1/topics/orders')).json.partitions[0].earliest).toBe(1);
    for (const body of [{}, { before: -1 }, { before: '1' }]) {
      expectProblem(await call('POST', '/v1/topics/orders/trim', { body }), 400, 'INVALID');
    }
    expectProblem(await call('POST', '/v1/topics/orders/partitions/x/snapshot'), 400, 'INVALID');
    expectProblem(await call('POST', '/v1/topics/orders/partitions/0/transfer', { body: {} }), 400, 'INVALID');
  });

  test('nodes are added, removed, replaced and drained', async () => {
    const node = { id: 'n4', peerAddress: '127.0.0.1:4468' };
    const orders = [
      await call('POST', '/v1/cluster/nodes', { body: node }),
      await call('DELETE', '/v1/cluster/nodes/n4'),
      await call('POST', '/v1/cluster/nodes/n3/replace', { body: { by: 'n4' } }),
      await call('POST', '/v1/cluster/nodes/n3/replace', { body: { by: 'n4', peerAddress: node.peerAddress } }),
      await call('POST', '/v1/cluster/nodes/n3/drain', { body: {} }),
      await call('POST', '/v1/cluster/nodes/n3/drain', { body: { drained: false } }),
    ];
    expect(orders.map(({ status }) => status)).toEqual([202, 202, 202, 202, 200, 200]);
    expect(door.broker.calls.slice(-6)).toEqual([
      'add n4 127.0.0.1:4468',
      'remove n4',
      'replace n3 n4 -',
      'replace n3 n4 127.0.0.1:4468',
      'drain n3 true',
      'drain n3 false',
    ]);
    expectProblem(await call('POST', '/v1/cluster/nodes', { body: { ...node, id: 'n1' } }), 409, 'NODE_EXISTS');
    expectProblem(await call('DELETE', '/v1/cluster/nodes/n9'), 404, 'NODE_NOT_FOUND');
    for (const body of [{}, { id: 'n4' }, { ...node, port: 1 }, { id: 4, peerAddress: 'x:1' }]) {
      expectProblem(await call('POST', '/v1/cluster/nodes', { body }), 400, 'INVALID');
    }
    expectProblem(await call('POST', '/v1/cluster/nodes/n3/replace', { body: {} }), 400, 'INVALID');
    expectProblem(await call('POST', '/v1/cluster/nodes/n3/drain', { body: { drained: 1 } }), 400, 'INVALID');
  });

  test('the cluster names its nodes', async () => {
    expect((await call('GET', '/v1/cluster')).json).toMatchObject({
      clusterId: 'c1',
      node: 'n1',
      nodes: [{ id: 'n1', up: true, diskUuid: null, version: '9.9.9', partitionsLed: 1 }],
    });
  });

  test.each(['..%2f..%2fetc', '%2e%2e', 'a%00b', 'caf%C3%A9', 'a%2Fb'])(
    'a topic called %s is no topic',
    async (name) => {
      const answer = await call('GET', `/v1/topics/${name}`);
      expect([400, 404]).toContain(answer.status);
      expectProblem(answer, answer.status, answer.json.code);
    },
  );
});

describe('what is not there, or not allowed', () => {
  test.each([
    ['GET', '/v1/nothing', 404, 'NOT_FOUND'],
    ['GET', '/', 404, 'NOT_FOUND'],
    ['PUT', '/v1/topics/orders', 405, 'METHOD_NOT_ALLOWED'],
    ['DELETE', '/v1/topics', 405, 'METHOD_NOT_ALLOWED'],
    ['PATCH', '/v1/topics/orders/records', 405, 'METHOD_NOT_ALLOWED'],
    ['POST', '/metrics', 405, 'METHOD_NOT_ALLOWED'],
    ['GET', '/v1/stream/orders', 501, 'UNSUPPORTED'],
    ['PUT', '/v1/stream/a/b', 501, 'UNSUPPORTED'],
    ['GET', '/v1/topics/%zz', 400, 'INVALID'],
    ['GET', '/v1/topics?x=1', 400, 'INVALID'],
    ['GET', '/v1/cluster?x=1', 400, 'INVALID'],
    ['POST', '/v1/topics/none/records', 404, 'TOPIC_NOT_FOUND'],
    ['GET', `/v1/topics/${'x'.repeat(600)}`, 414, 'INVALID'],
  ])('%s %s is %i %s', async (method, path, status, code) => {
    expectProblem(await call(method, path), status, code);
  });

  test('405 names what is allowed', async () => {
    const answer = await call('PUT', '/v1/topics/orders/records');
    expect(answer.headers.get('allow')).toBe('POST, GET, HEAD');
  });

  async function raw(bytes: string): Promise<string> {
    const socket: Socket = connect(door.port, '127.0.0.1');
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString();
    });
    socket.on('error', () => undefined);
    let isClosed = false;
    socket.on('close', () => {
      isClosed = true;
    });
    socket.write(bytes);
    await until('an answer and the end', () => isClosed);
    return text;
  }

  test.each([
    ['no HTTP', 'hello\r\n\r\n', 400],
    [
      'both lengths',
      'POST /v1/topics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
    ],
    ['two lengths', 'POST /v1/topics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello', 400],
    ['headers over the limit', `GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(10_000)}\r\n\r\n`, 431],
    ['a bad chunk', 'POST /v1/topics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', 400],
  ])('%s is answered with a problem and closed', async (_name, bytes, status) => {
    const text = await raw(bytes);
    expect(text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(text).toContain('application/problem+json');
    expect(JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4))).toMatchObject({ status, outcome: 'none' });
  });

  test('more connections than allowed are dropped, and those within are served', async () => {
    door = await open({ connectionsMax: 2 });
    const sockets = [connect(door.port, '127.0.0.1'), connect(door.port, '127.0.0.1')];
    await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
    await until('both are counted', () => sockets.every(({ readyState }) => readyState === 'open'));
    await expect(call('GET', '/livez')).rejects.toThrow();
    sockets[0]?.destroy();
    await until('one left', () => sockets[0]?.destroyed === true);
    let status = 0;
    await until('a place is free', () => {
      call('GET', '/livez').then(
        (answer) => {
          status = answer.status;
        },
        () => undefined,
      );
      return status === 200;
    });
    sockets[1]?.destroy();
  });
});

describe('web pages', () => {
  const from = (origin: string, path = '/v1/cluster', method = 'GET'): Promise<Answer> =>
    call(method, path, { headers: { origin } });

  test('of this host may call', async () => {
    expect((await from(door.url)).status).toBe(200);
  });

  test.each(['http://evil.example', 'null', 'http://127.0.0.1:1', 'https://127.0.0.1', 'not a url'])(
    'of %s may not',
    async (origin) => {
      expectProblem(await from(origin), 403, 'FORBIDDEN');
    },
  );

  test('of a name rebound to this machine may not, though the host is the same', async () => {
    const socket = connect(door.port, '127.0.0.1');
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString();
    });
    const ask = (host: string): void => {
      socket.write(`GET /v1/cluster HTTP/1.1\r\nHost: ${host}\r\nOrigin: http://${host}\r\n\r\n`);
    };
    ask('evil.example:4437');
    await until('refused', () => text.includes('FORBIDDEN'));
    text = '';
    ask('logs.internal:4437');
    await until('the advertised name is let in', () => text.includes('200 OK'));
    socket.destroy();
  });

  test('that are on the list may, and may read the answer', async () => {
    door = await open({ origins: ['https://app.example'] });
    const answer = await from('https://app.example');
    expect(answer.status).toBe(200);
    expect(answer.headers.get('access-control-allow-origin')).toBe('https://app.example');
    const preflight = await from('https://app.example', '/v1/topics/orders/records', 'OPTIONS');
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-headers')).toContain('producer-id');
    expectProblem(await from('https://other.example'), 403, 'FORBIDDEN');
  });

  test('a refused page learns no answer through CORS either', async () => {
    const answer = await from('http://evil.example');
    expect(answer.headers.get('access-control-allow-origin')).toBeNull();
  });
});

describe('probes', () => {
  test('a node that is well says ok, and all checks when asked', async () => {
    expect((await call('GET', '/readyz')).text).toBe('ok');
    const verbose = await call('GET', '/readyz?verbose');
    expect(verbose.text).toContain('[+] leaders: all have leaders');
    expect((await call('GET', '/readyz/leaders')).text).toBe('ok');
    expectProblem(await call('GET', '/readyz/nothing'), 404, 'NOT_FOUND');
  });

  test('without a majority it is not ready, but alive', async () => {
    door.broker.checks = [{ name: 'leaders', isOk: false, detail: 'orders/0 has no leader' }];
    const ready = await call('GET', '/readyz');
    expectProblem(ready, 503, 'NO_LEADER');
    expect(ready.json.checks).toContainEqual({ name: 'leaders', ok: false, detail: 'orders/0 has no leader' });
    expect((await call('GET', '/livez')).status).toBe(200);
    expect((await call('GET', '/livez?verbose')).text).toContain('orders/0 has no leader');
    expect((await call('GET', '/startupz')).status).toBe(200);
  });

  test('while it recovers it is alive, not started, and serves nothing', async () => {
    door.health.broker = undefined;
    expect((await call('GET', '/livez')).status).toBe(200);
    expectProblem(await call('GET', '/startupz'), 503, 'NO_LEADER');
    expectProblem(await call('GET', '/readyz'), 503, 'NO_LEADER');
    expectProblem(await append([{ value: 'a' }]), 503, 'NO_LEADER');
  });

  test('while it drains it is not ready', async () => {
    door.health.isDraining = true;
    expectProblem(await call('GET', '/readyz'), 503, 'DRAINING');
  });

  test('metrics count requests by route, never by path', async () => {
    await append([{ value: 'a' }]);
    await call('GET', '/v1/topics/secret-name');
    const { text } = await call('GET', '/metrics');
    expect(text).toContain('logdrive_http_requests_total{route="/v1/topics/:topic",method="GET",status="404"} 1');
    expect(text).toContain('logdrive_append_records_total{face="http"} 1');
    expect(text).toContain('logdrive_ready 1');
    expect(text).not.toContain('secret-name');
  });

  test('version names the software', async () => {
    expect((await call('GET', '/version')).json).toMatchObject({ name: 'logdrive', node: 'n1', version: '9.9.9' });
  });
});
