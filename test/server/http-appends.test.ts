/** Appending over HTTP: JSON, NDJSON and plain bodies, producer headers, limits, and what fails in the broker. */
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { decodeRecords, LogError } from '../../src/protocol/index.ts';
import { closeAll, closeLater } from './support/closing.ts';
import { openDoor } from './support/door.ts';
import { append, call, door, expectProblem, openDoorWith, openUsual } from './support/http-door.ts';
import { realWorld, until } from './support/world.ts';

beforeEach(openUsual);
afterEach(closeAll);

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
    await openDoorWith({ recordBytesMax: 1024 });
    const headers = { 'content-type': 'application/x-ndjson' };
    const body = `{"value":"a"}\n"${'x'.repeat(200_000)}`;
    const answer = await call('POST', '/v1/topics/orders/records', { body, headers });
    expectProblem(answer, 413, 'TOO_LARGE');
    expect(answer.json).toMatchObject({ line: 2, appended: 1 });
  });

  test('a client that goes away in the middle of its NDJSON leaves what was appended, and no defect', async () => {
    const world = realWorld();
    const own = await openDoor(world.env);
    closeLater(() => own.close());
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
    await openDoorWith({ recordBytesMax: 1024 });
    expect((await append([{ value: 'x'.repeat(1023), key: 'k' }])).status).toBe(200);
    const answer = await append([{ value: 'x'.repeat(1024), key: 'k' }]);
    expectProblem(answer, 413, 'TOO_LARGE');
    expect(answer.json).toMatchObject({ limitBytes: 1024, actualBytes: 1025, outcome: 'none' });
  });

  test('a body over the limit is refused while it arrives', async () => {
    await openDoorWith({ batchBytesMax: 64 * 1024 });
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

  test('nobody is redirected with a body of which a part is in the log: it would be appended twice', async () => {
    door.broker.beforeAppend = () => {
      if (door.broker.appends.length < 2) return;
      throw new LogError('NOT_LEADER', undefined, {
        details: { leader: 'n2', leaderUrl: 'ws://127.0.0.1:4447/v1/ws' },
      });
    };
    const line = JSON.stringify({ value: 'x'.repeat(600_000) });
    const answer = await call('POST', '/v1/topics/orders/records?partition=0', {
      body: [line, line, line].join('\n'),
      headers: { 'content-type': 'application/x-ndjson', 'logdrive-redirect': '1' },
    });
    expectProblem(answer, 503, 'NOT_LEADER');
    expect(answer.json).toMatchObject({ outcome: 'unknown', appended: 1 });
    expect(answer.headers.get('location')).toBeNull();
  });

  test('of a body with a bad line, the good lines before it may fail as well: what is in the log already counts', async () => {
    door.broker.beforeAppend = () => {
      if (door.broker.appends.length >= 2) throw new LogError('STORAGE_FULL');
    };
    const line = JSON.stringify({ value: 'x'.repeat(600_000) });
    const answer = await call('POST', '/v1/topics/orders/records?partition=0', {
      body: [line, line, '{"valeu": "x"}'].join('\n'),
      headers: { 'content-type': 'application/x-ndjson' },
    });
    expectProblem(answer, 507, 'STORAGE_FULL');
    expect(answer.json).toMatchObject({ outcome: 'unknown', appended: 1 });
  });

  test('a defect is a 500 that tells nothing of itself', async () => {
    door.broker.failure = new TypeError('secret /etc/passwd');
    const answer = await call('GET', '/v1/topics');
    expectProblem(answer, 500, 'INTERNAL');
    expect(answer.text).not.toContain('secret');
  });
});
