/** Turns what users write for a server (host:port, ws://, http://) into the URL of its WebSocket. */
import { LogError } from '../protocol/index.ts';

const DEFAULT_PORT = '4437';
const WEBSOCKET_PATH = '/v1/ws';
const SCHEMES: Readonly<Record<string, string>> = { 'ws:': 'ws:', 'wss:': 'wss:', 'http:': 'ws:', 'https:': 'wss:' };

/**
 * @param servers One or many; a text may hold several, separated by commas.
 * @throws LogError INVALID that names the address it cannot read.
 */
export function serverUrls(servers: string | URL | readonly (string | URL)[]): readonly string[] {
  const given = typeof servers === 'string' || servers instanceof URL ? [servers] : servers;
  const urls = given
    .flatMap((server) => (typeof server === 'string' ? server.split(',') : [server.href]))
    .map((server) => server.trim())
    .filter((server) => server !== '')
    .map(serverUrl);
  if (urls.length === 0) throw new LogError('INVALID', 'connect() needs the address of at least one server.');
  return [...new Set(urls)];
}

function serverUrl(server: string): string {
  const text = server.includes('://') ? server : `ws://${server}`;
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw new LogError('INVALID', `"${server}" is not the address of a server (host:port, ws:// or http://).`, {
      cause,
    });
  }
  const scheme = SCHEMES[url.protocol];
  if (scheme === undefined || url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new LogError('INVALID', `"${server}" is not the address of a server (host:port, ws:// or http://).`);
  }
  // A port left out of ws://host is ours, not 80: addresses are mostly written without a scheme.
  const port = url.port !== '' || scheme === 'wss:' || hasExplicitPort(text) ? url.port : DEFAULT_PORT;
  const path = url.pathname === '/' || url.pathname === '' ? WEBSOCKET_PATH : url.pathname;
  return `${scheme}//${url.hostname}${port === '' ? '' : `:${port}`}${path}`;
}

/** URL drops a port that is the scheme's default, :80; it was asked for all the same. */
function hasExplicitPort(text: string): boolean {
  return /^[a-z]+:\/\/[^/]*:\d+(\/|$)/i.test(text);
}
