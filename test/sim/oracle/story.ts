/**
 * Small histories in a short hand: `acked('w', ['a'], 0)` is an append of record a with its answer, `read(...)` a read
 * with its answer, and so on; two of them, one that breaks a promise and its good twin, are a pair.
 */
import { type Answer, type HistoryEvent, type Level, type Producer, Recorder, type Sighting } from './index.ts';

const P = 't/0';

export interface BadHistory {
  readonly anomaly: string;
  readonly bad: readonly HistoryEvent[];
  readonly good: readonly HistoryEvent[];
}

type Records = readonly (string | Sighting)[];

/** Records from an offset on; a string is one with nothing but its value. */
function recordsFrom(from: number, values: Records): Sighting[] {
  return values.map((value, at) => (typeof value === 'string' ? { offset: from + at, value } : value));
}

export class Story {
  readonly #recorder = new Recorder();

  get events(): readonly HistoryEvent[] {
    return this.#recorder.events;
  }

  /** Begins; end it with acked() or failed(). */
  begin(client: string, values: readonly string[], more: { producer?: Producer; order?: number } = {}): number {
    return this.#recorder.begin({ kind: 'append', client, partition: P, values, ...more });
  }

  end(op: number, answer: Answer): this {
    this.#recorder.end(op, answer);
    return this;
  }

  acked(
    client: string,
    values: readonly string[],
    offset: number | null,
    more: { producer?: Producer; order?: number } = {},
  ): this {
    return this.end(this.begin(client, values, more), { kind: 'acked', offset });
  }

  failed(
    client: string,
    values: readonly string[],
    outcome: 'none' | 'unknown',
    more: { producer?: Producer } = {},
  ): this {
    return this.end(this.begin(client, values, more), { kind: 'failed', outcome });
  }

  askRead(client: string, from: number | 'next' | 'earliest', level: Level = 'any', atLeast?: number): number {
    const token = atLeast === undefined ? {} : { atLeast };
    return this.#recorder.begin({ kind: 'read', client, partition: P, from, level, ...token });
  }

  /** A read with its answer; `given` is where the answer begins, the tail is its end unless told. */
  read(
    client: string,
    from: number | 'next' | 'earliest',
    values: Records,
    more: { given?: number; next?: number; tail?: number; earliest?: number; level?: Level; atLeast?: number } = {},
  ): this {
    const op = this.askRead(client, from, more.level ?? 'any', more.atLeast);
    return this.records(op, more.given ?? (typeof from === 'number' ? from : 0), values, more);
  }

  records(
    op: number,
    given: number,
    values: Records,
    more: { next?: number; tail?: number; earliest?: number } = {},
  ): this {
    const records = recordsFrom(given, values);
    const next = more.next ?? (records.at(-1)?.offset ?? given - 1) + 1;
    return this.end(op, {
      kind: 'records',
      from: given,
      next,
      earliest: more.earliest ?? 0,
      tail: more.tail ?? next,
      records,
    });
  }

  trimmed(client: string, from: number | 'next', earliest: number): this {
    return this.end(this.askRead(client, from), { kind: 'trimmed', earliest });
  }

  askTail(client: string, level: Level = 'linearizable'): number {
    return this.#recorder.begin({ kind: 'tail', client, partition: P, level });
  }

  tail(client: string, tail: number, earliest = 0): this {
    return this.end(this.askTail(client), { kind: 'tailIs', tail, earliest });
  }

  trim(before: number): this {
    return this.end(this.#recorder.begin({ kind: 'trim', client: 'operator', partition: P, before }), { kind: 'done' });
  }

  manage(kind: 'create' | 'delete'): this {
    return this.end(this.#recorder.begin({ kind, client: 'operator', partition: P }), { kind: 'done' });
  }

  compacted(isForgetful = true): this {
    this.#recorder.note({ kind: 'compacted', partition: P, isForgetful });
    return this;
  }

  /** Each value is one of key k. */
  ackedOfOneKey(values: readonly string[], offset: number, tombstones: readonly string[] = []): this {
    const keys = values.map(() => 'k');
    const op = this.#recorder.begin({ kind: 'append', client: 'w', partition: P, values, keys, tombstones });
    return this.end(op, { kind: 'acked', offset });
  }

  healed(): this {
    this.#recorder.note({ kind: 'healed' });
    return this;
  }

  drained(client: string): this {
    this.#recorder.note({ kind: 'drained', client, partition: P });
    return this;
  }

  replica(node: string, values: Records, more: { earliest?: number; tail?: number; chain?: string } = {}): this {
    const earliest = more.earliest ?? 0;
    const records = recordsFrom(earliest, values);
    const tail = more.tail ?? earliest + values.length;
    const chain = more.chain === undefined ? {} : { chain: [{ offset: tail - 1, sum: more.chain }] };
    this.#recorder.note({ kind: 'replica', partition: P, node, earliest, tail, records, ...chain });
    return this;
  }
}

export type Tell = (story: Story) => Story;

export const at = (offset: number, value: string): Sighting => ({ offset, value });

export function pair(anomaly: string, bad: Tell, good: Tell): BadHistory {
  return { anomaly, bad: bad(new Story()).events, good: good(new Story()).events };
}
