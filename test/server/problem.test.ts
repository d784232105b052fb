/** Errors on their way out over HTTP. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { ERROR_TABLE, type ErrorCode, LogError } from '../../src/protocol/index.ts';
import { problemOf } from '../../src/server/problem.ts';

test('no error makes fetch send its request once more by itself: what it asked for may have happened', async () => {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const code = request.url!.slice(1) as ErrorCode;
    asked.push(code);
    request.resume().on('end', () => {
      const { status, headers, body } = problemOf(new LogError(code, undefined, { outcome: 'unknown' }));
      response.writeHead(status, headers).end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = server.address() as AddressInfo;
    for (const code of Object.keys(ERROR_TABLE)) {
      const answer = await fetch(`http://127.0.0.1:${port}/${code}`, { method: 'POST', body: '{"records":[]}' });
      expect(await answer.json()).toMatchObject({ code, outcome: 'unknown' });
    }
    expect(asked).toEqual(Object.keys(ERROR_TABLE));
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});
