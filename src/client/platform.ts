/**
 * What the client needs of the world it runs in: time, chance, sockets and a checksum. Contracts only. platform-node.ts
 * and platform-browser.ts fulfil them; tests bring simulated ones, an embedded broker its in-process socket.
 */
import type { Clock, Random, Timers } from '../env.ts';
import type { Crc32c } from '../protocol/index.ts';
import type { SocketLike } from './socket.ts';

export interface Platform {
  readonly clock: Clock;
  /** Unlike a node's, timers started with after() may keep a process alive: somebody is waiting for an answer. */
  readonly timers: Timers;
  readonly random: Random;
  readonly crc32c: Crc32c;
  /** @throws LogError UNSUPPORTED where the runtime has none (pages that were not loaded securely). */
  sha256(bytes: Uint8Array): Promise<Uint8Array>;
  /** Begins to open a WebSocket with the subprotocol of the protocol room. Never throws for a server that is away. */
  openSocket(url: string): SocketLike;
  /** For the server's log: library and runtime, without versions that would help an attacker. */
  readonly agent: string;
}
