/**
 * Ports nobody uses right now: taken from the system all at once, so that they differ, then given back. Test processes
 * that run side by side take from different ones: what is given back here and not yet in use is not given out there.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';

/** At least as many as test processes run at once. */
const SHARES = 4;
const SHARE = Number(process.env.VITEST_POOL_ID ?? 0) % SHARES;

export async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = [];
  const ports: number[] = [];
  while (ports.length < count) {
    const server = createServer().listen(0, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    // In pairs: systems prefer odd ports here, and even ones for connections.
    if ((port >> 1) % SHARES === SHARE) ports.push(port);
  }
  await Promise.all(
    servers.map(async (server) => {
      server.close();
      await once(server, 'close');
    }),
  );
  return ports;
}
