/**
 * Work at a fixed rate, whether or not what came before has ended. Times count from when a piece was due, so that a
 * stall is charged to everything that waited behind it: no coordinated omission.
 */

export class Schedule {
  readonly #perSecond: number;
  #beginMs = 0;

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /** When piece n is due, on the clock of performance.now(). Meaningful once run() was called. */
  dueMs(n: number): number {
    return this.#beginMs + (n * 1_000) / this.#perSecond;
  }

  /** @returns ms from due to done, of each piece. @throws the first failure, once all have ended. */
  async run(count: number, work: (n: number) => Promise<unknown>): Promise<Float64Array> {
    const tookMs = new Float64Array(count);
    const failures: unknown[] = [];
    let open = count;
    this.#beginMs = performance.now();
    await new Promise<void>((resolve) => {
      const ended = (): void => {
        open--;
        if (open === 0) resolve();
      };
      const begin = (n: number): void => {
        work(n)
          .then(
            () => {
              tookMs[n] = performance.now() - this.dueMs(n);
            },
            (error: unknown) => failures.push(error),
          )
          .finally(ended);
      };
      let begun = 0;
      const beginDue = (): void => {
        while (begun < count && this.dueMs(begun) <= performance.now()) begin(begun++);
        if (begun < count) setTimeout(beginDue, Math.max(0, this.dueMs(begun) - performance.now()));
      };
      beginDue();
    });
    if (failures.length > 0) throw new Error(`${failures.length} of ${count} failed`, { cause: failures[0] });
    return tookMs;
  }
}
