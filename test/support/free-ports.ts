/**
 * Ports nobody uses right now, to be listened at a moment later. They are below those that any system gives out by
 * itself (Linux from 32768 on, others from 49152), so that no connection and no `listen(0)` of a test beside can take
 * one meanwhile. Test processes of one run draw from different ones, and runs beside it will hardly draw the same.
 */
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

const LOWEST = 15_000;
const HIGHEST = 32_000;
/** At least as many as test processes run at once. */
const SHARES = 4;
const SHARE = Number(process.env.VITEST_POOL_ID ?? 0) % SHARES;

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return false;
    throw error;
  }
  server.close();
  await once(server, 'close');
  return true;
}

export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = randomInt(LOWEST / SHARES, HIGHEST / SHARES) * SHARES + SHARE;
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}
