/**
 * The determinism guard. While a run is on, everything through which real time, real chance or the order of a real
 * event loop could reach the code under test throws (R25). A run is synchronous, so whoever calls one of these is part
 * of it.
 */
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';

export class Nondeterminism extends Error {
  override readonly name = 'Nondeterminism';
}

/** Objects and the members of theirs that are forbidden. */
function forbidden(): readonly (readonly [object, readonly string[]])[] {
  return [
    [globalThis, ['setTimeout', 'setInterval', 'setImmediate', 'fetch']],
    [process, ['nextTick', 'hrtime']],
    [Date, ['now']],
    [performance, ['now']],
    [Math, ['random']],
    [AbortSignal, ['timeout']],
    [crypto, ['randomBytes', 'randomUUID', 'randomInt', 'randomFill', 'scrypt', 'pbkdf2', 'hkdf']],
    [Object.getPrototypeOf(globalThis.crypto), ['randomUUID', 'getRandomValues']],
    [Object.getPrototypeOf(globalThis.crypto.subtle), ['digest', 'sign', 'verify', 'encrypt', 'decrypt']],
  ];
}

/** Runs `work` with everything of the above out of reach. */
export function guarded<T>(work: () => T): T {
  const restores: (() => void)[] = [];
  try {
    for (const [owner, names] of forbidden()) {
      for (const name of names) restores.push(forbid(owner, name));
    }
    syncBuiltinESMExports();
    return work();
  } finally {
    for (const restore of restores) restore();
    syncBuiltinESMExports();
  }
}

function forbid(owner: object, name: string): () => void {
  const own = Object.getOwnPropertyDescriptor(owner, name);
  const trap = (): never => {
    throw new Nondeterminism(`${name} was called inside a simulation: use what is injected (src/env.ts)`);
  };
  Object.defineProperty(owner, name, { value: trap, configurable: true, writable: true });
  return () => {
    if (own === undefined) delete (owner as Record<string, unknown>)[name];
    else Object.defineProperty(owner, name, own);
  };
}
