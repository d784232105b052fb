/** Taking a port, with an error that says which key to change when it cannot be had. */
import type { Server } from 'node:net';
import { ConfigError } from '../config.ts';

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process listens there already',
  EACCES: 'this user may not listen there',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'there is no host of that name',
};

/** Resolves when `server` listens. @throws ConfigError naming `key` and the address. */
export function listenOn(
  server: Server,
  at: { readonly host: string; readonly port: number },
  key: 'listen' | 'peerListen',
): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void => {
      const reason = REASONS[error.code ?? ''] ?? error.message;
      reject(new ConfigError([`${key}: cannot listen on ${at.host}:${at.port}: ${reason}`], { cause: error }));
    };
    server.once('error', onError);
    server.listen({ host: at.host, port: at.port }, () => {
      server.off('error', onError);
      resolve();
    });
  });
}
