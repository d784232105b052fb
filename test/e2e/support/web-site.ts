/**
 * A web server for the test's page and the browser client, with the strictest content policy that lets a script run.
 */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';

const PAGES = new URL('./tail-page/', import.meta.url);
const POLICY = "default-src 'none'; script-src 'self'; img-src data:; connect-src ws://127.0.0.1:*";

export interface WebSite {
  /** scheme://host:port, as a browser names it. */
  readonly origin: string;
  close(): Promise<void>;
}

/** @param clientFile The bundle, served as /client.js. */
export async function openWebSite(clientFile: string): Promise<WebSite> {
  const files: Readonly<Record<string, readonly [string, string]>> = {
    '/': ['text/html', fileURLToPath(new URL('index.html', PAGES))],
    '/page.js': ['text/javascript', fileURLToPath(new URL('page.js', PAGES))],
    '/client.js': ['text/javascript', clientFile],
  };
  const server: Server = createServer((request, response) => {
    const found = files[new URL(request.url ?? '/', 'http://page').pathname];
    if (found === undefined) {
      response.writeHead(404).end();
      return;
    }
    const [type, path] = found;
    readFile(path).then(
      (body) => response.writeHead(200, { 'content-type': type, 'content-security-policy': POLICY }).end(body),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
