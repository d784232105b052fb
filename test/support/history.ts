/**
 * What clients were told, held against what the log holds. A writer appends values of its own, one after the other
 * or pipelined, and notes each fate: acknowledged at an offset, surely not done ('none'), or unknown. At the end the
 * whole log is read and judged by the promises: what was acknowledged is there, once, at its offset, in the writer's
 * order; what surely was not done is not there; unknown fates may be there, once; offsets have no hole.
 */

export interface ReadRecord {
  readonly offset: number;
  readonly value: string;
}

type Fate =
  | { readonly kind: 'acked'; readonly offset: number }
  | { readonly kind: 'none' }
  | { readonly kind: 'unknown' };

interface Attempt {
  readonly writer: string;
  /** Place among this writer's attempts. */
  readonly order: number;
  fate: Fate;
}

export class History {
  readonly #attempts = new Map<string, Attempt>();
  readonly #orders = new Map<string, number>();

  /** A writer is about to append `value`, which must be unlike all others. Until it is noted, its fate is unknown. */
  attempt(writer: string, value: string): void {
    if (this.#attempts.has(value)) throw new Error(`value ${value} is used twice`);
    const order = this.#orders.get(writer) ?? 0;
    this.#orders.set(writer, order + 1);
    this.#attempts.set(value, { writer, order, fate: { kind: 'unknown' } });
  }

  note(value: string, fate: Fate): void {
    const attempt = this.#attempts.get(value);
    if (attempt === undefined) throw new Error(`value ${value} was never attempted`);
    attempt.fate = fate;
  }

  count(kind: Fate['kind']): number {
    return [...this.#attempts.values()].filter((attempt) => attempt.fate.kind === kind).length;
  }

  /** Every broken promise, in words; empty when all hold. */
  judge(records: readonly ReadRecord[]): string[] {
    const problems: string[] = [];
    const offsets = new Map<string, number>();
    const orders = new Map<string, number>();
    records.forEach(({ offset, value }, at) => {
      if (offset !== at) problems.push(`record ${at} has offset ${offset}`);
      const attempt = this.#attempts.get(value);
      if (attempt === undefined) {
        problems.push(`${value} at ${offset} was never written`);
        return;
      }
      if (offsets.has(value)) problems.push(`${value} is there twice: at ${offsets.get(value)} and ${offset}`);
      else if (attempt.order <= (orders.get(attempt.writer) ?? -1))
        problems.push(`${value} at ${offset} is out of order`);
      offsets.set(value, offset);
      orders.set(attempt.writer, attempt.order);
    });
    for (const [value, { fate }] of this.#attempts) {
      const offset = offsets.get(value);
      if (fate.kind === 'acked' && offset === undefined)
        problems.push(`${value}, acknowledged at ${fate.offset}, is lost`);
      else if (fate.kind === 'acked' && offset !== fate.offset) {
        problems.push(`${value}, acknowledged at ${fate.offset}, is at ${offset}`);
      }
      if (fate.kind === 'none' && offset !== undefined) problems.push(`${value}, surely not done, is at ${offset}`);
    }
    return problems;
  }
}
