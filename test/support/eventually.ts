/**
 * Waiting in tests: for a condition, with a deadline, and an error that says what was waited for and what was seen
 * last. The only place in the tests of real processes where time passes on purpose.
 */

export interface EventuallyOptions {
  /** What is waited for, as the end of "waited in vain for ...". */
  readonly what: string;
  readonly timeoutMs?: number;
  readonly pollMs?: number;
}

/** Asks until the answer is neither undefined nor false; a rejection counts as "not yet" and is shown in the error. */
export async function eventually<T>(
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  options: EventuallyOptions,
): Promise<T> {
  const { what, timeoutMs = 15_000, pollMs = 20 } = options;
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  do {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
      last = answer;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  } while (performance.now() < deadline);
  throw new Error(`waited ${timeoutMs} ms in vain for ${what}; last seen: ${last}`, { cause: last });
}

/** Rejects when `promise` does not settle in time; the promise itself goes on. */
export async function within<T>(
  promise: Promise<T>,
  options: { readonly what: string; readonly timeoutMs: number },
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`waited ${options.timeoutMs} ms in vain for ${options.what}`)),
      options.timeoutMs,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
