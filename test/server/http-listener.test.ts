/** The HTTP door itself: what it refuses before any verb is reached, web pages of other origins, probes. */
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LogError } from '../../src/protocol/index.ts';
import { closeAll } from './support/closing.ts';
import { type Answer, append, call, door, expectProblem, openDoorWith, openUsual } from './support/http-door.ts';
import { until } from './support/world.ts';

beforeEach(openUsual);
afterEach(closeAll);

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
    ['no host', 'GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
    [
      'an expectation that nobody knows',
      'POST /v1/topics/orders/records HTTP/1.1\r\nHost: x\r\nExpect: x\r\nContent-Length: 5\r\n\r\n',
      417,
    ],
    ['a bad chunk', 'POST /v1/topics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', 400],
  ])('%s is answered with a problem and closed', async (_name, bytes, status) => {
    const text = await raw(bytes);
    expect(text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(text).toContain('application/problem+json');
    expect(JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4))).toMatchObject({ status, outcome: 'none' });
  });

  const post = (headers: string, body: string): string =>
    `POST /v1/topics/orders/records HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n${body}`;

  test.each([
    {
      name: 'lines in front of it',
      begun: post('Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked', ''),
    },
    { name: 'an append in front of it', begun: post('Content-Length: 5', 'hello') },
  ])('garbage after what may have been appended, $name, is answered with outcome unknown', async ({ begun }) => {
    const text = await raw(`${begun}zz\r\n\r\n`);
    expect(text).toContain('application/problem+json');
    expect(text).toContain('"outcome":"unknown"');
  });

  test('reads that arrive in one packet are worked on one after the other, each once the answer before it has left', async () => {
    const socket: Socket = connect(door.port, '127.0.0.1');
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString();
    });
    const read = 'GET /v1/topics/orders/records?offset=0&waitMs=30000 HTTP/1.1\r\nHost: x\r\n\r\n';
    socket.write(read.repeat(100));
    await until('the first is worked on', () => door.broker.calls.length > 0);
    expect((await call('GET', '/livez')).status).toBe(200);
    expect(door.broker.calls).toEqual(['read 30000 4194304']);
    await append([{ value: 'a' }]);
    await until('all are answered', () => text.split('HTTP/1.1 200 OK').length === 101);
    socket.destroy();
  });

  test('of reads that arrive in one packet none is begun for a client that hung up', async () => {
    const signals: (AbortSignal | undefined)[] = [];
    door.broker.read = ({ signal }) => {
      signals.push(signal);
      return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(new LogError('ABORTED'))));
    };
    const socket: Socket = connect(door.port, '127.0.0.1');
    socket.write('GET /v1/topics/orders/records?waitMs=30000 HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(100));
    await until('the first is worked on', () => signals.length > 0);
    socket.destroy();
    await until('the node has seen it', () => signals[0]?.aborted === true);
    expect((await call('GET', '/livez')).status).toBe(200);
    expect(signals).toHaveLength(1);
  });

  test('a read sent behind an append is begun once that is answered, and not for a client that hung up', async () => {
    const goOn: (() => void)[] = [];
    door.broker.beforeAppend = () => new Promise((resolve) => goOn.push(resolve));
    const append = 'POST /v1/topics/orders/records HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na';
    const read = 'GET /v1/topics/orders/records?offset=0&waitMs=30000 HTTP/1.1\r\nHost: x\r\n\r\n';
    const reads = (): number => door.broker.calls.filter((made) => made.startsWith('read')).length;
    const [stays, leaves] = [connect(door.port, '127.0.0.1'), connect(door.port, '127.0.0.1')];
    for (const socket of [stays, leaves]) socket.write(append + read);
    await until('both append', () => goOn.length === 2);
    leaves.destroy();
    expect((await call('GET', '/livez')).status).toBe(200);
    expect(reads()).toBe(0);
    for (const go of goOn) go();
    await until('one reads', () => reads() > 0);
    expect((await call('GET', '/livez')).status).toBe(200);
    expect(reads()).toBe(1);
    stays.destroy();
  });

  test('more connections than allowed are dropped, and those within are served', async () => {
    await openDoorWith({ connectionsMax: 2 });
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

  test('an upgrade that is refused frees its place also when its client keeps the connection', async () => {
    await openDoorWith({ connectionsMax: 1 });
    const socket = connect({ port: door.port, host: '127.0.0.1', allowHalfOpen: true });
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString();
    });
    socket.on('error', () => undefined);
    socket.write('GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    await until('it is refused', () => text.includes('UNSUPPORTED'));
    let status = 0;
    await until('the place is free', () => {
      call('GET', '/livez').then(
        (answer) => {
          status = answer.status;
        },
        () => undefined,
      );
      return status === 200;
    });
    socket.destroy();
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
    await openDoorWith({ origins: ['https://app.example'] });
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
