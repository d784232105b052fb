/**
 * The client's world in Node: real time and chance, sockets over `ws`, and the native checksum where it is installed.
 */
import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import type { TimerHandle } from '../env.ts';
import { type Crc32c, crc32cPortable } from '../protocol/index.ts';
import type { Platform } from './platform.ts';
import { sha256 } from './sha256.ts';
import { openNodeSocket } from './socket-node.ts';

/** Below it a call across the native border costs more than our own loop (measured: 128 bytes). */
const NATIVE_FROM_BYTES = 128;

export const nodePlatform: Platform = {
  clock: { nowMs: () => Date.now(), monotonicMs: () => performance.now() },
  timers: {
    after(delayMs: number, fn: () => void): TimerHandle {
      // Not unref'd: between two attempts to reconnect it is all that keeps a process alive that awaits an ack.
      const timer = setTimeout(fn, delayMs);
      return { cancel: () => clearTimeout(timer) };
    },
    every(periodMs: number, fn: () => void): TimerHandle {
      const timer = setInterval(fn, periodMs);
      timer.unref();
      return { cancel: () => clearInterval(timer) };
    },
    soon(fn: () => void): void {
      // Not a microtask: once all input of this turn was handled, so that what it causes leaves as one batch.
      setImmediate(fn);
    },
  },
  random: {
    next: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
    bytes: (count: number) => new Uint8Array(randomBytes(count)),
  },
  crc32c: fastestCrc32c(),
  sha256,
  openSocket: openNodeSocket,
  agent: 'logdrive-client node',
};

/** The native package is optional: without a build for this machine everything works, more slowly. */
function fastestCrc32c(): Crc32c {
  try {
    const native = createRequire(import.meta.url)('@node-rs/crc32') as { crc32c: Crc32c };
    return (bytes, seed) =>
      bytes.length < NATIVE_FROM_BYTES ? crc32cPortable(bytes, seed) : native.crc32c(bytes, seed);
  } catch {
    return crc32cPortable;
  }
}
