/** The client's world in a browser: no module of Node, no dependency, nothing that a strict content policy forbids. */
import type { TimerHandle } from '../env.ts';
import { crc32cPortable } from '../protocol/index.ts';
import type { Platform } from './platform.ts';
import { sha256 } from './sha256.ts';
import { openBrowserSocket } from './socket-browser.ts';

export const browserPlatform: Platform = {
  clock: { nowMs: () => Date.now(), monotonicMs: () => performance.now() },
  timers: {
    after(delayMs: number, fn: () => void): TimerHandle {
      const timer = setTimeout(fn, delayMs);
      return { cancel: () => clearTimeout(timer) };
    },
    every(periodMs: number, fn: () => void): TimerHandle {
      const timer = setInterval(fn, periodMs);
      return { cancel: () => clearInterval(timer) };
    },
    soon: endOfTurn(),
  },
  random: {
    next: () => crypto.getRandomValues(new Uint32Array(1))[0]! / 2 ** 32,
    bytes: (count: number) => crypto.getRandomValues(new Uint8Array(count)),
  },
  crc32c: crc32cPortable,
  sha256,
  openSocket: openBrowserSocket,
  agent: 'logdrive-client browser',
};

/**
 * A message to ourselves: the next task, where a timeout of 0 would be held back to 4 ms, and to 1 s in a hidden tab.
 */
function endOfTurn(): (fn: () => void) => void {
  const waiting: (() => void)[] = [];
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => waiting.shift()?.();
  return (fn) => {
    waiting.push(fn);
    port2.postMessage(undefined);
  };
}
