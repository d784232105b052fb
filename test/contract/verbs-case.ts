/** A case of the verbs' contract, and what the cases share. */
import { LogError } from '../../src/client/index.ts';
import { eventually } from '../support/eventually.ts';
import type { Face, Incoming, Start, Verbs } from './verbs.ts';

export interface VerbCase {
  /** A sentence about what every face does. */
  readonly title: string;
  /** Faces that have no word for it, each with the reason. */
  readonly skip?: Partial<Readonly<Record<Face, string>>>;
  /** @param topic A name nobody has used; the case creates it if it needs it. */
  readonly run: (verbs: Verbs, topic: string) => Promise<void>;
}

/** A follower's replica may lag behind what its own client was told; it catches up within this. */
const CATCH_UP_MS = 5_000;
/** As above, in the words of a read that waits. */
export const WAIT_MS: number = CATCH_UP_MS;

export function bytes(text: string): Uint8Array {
  return Buffer.from(text, 'utf8');
}

export function text(value: Uint8Array): string {
  return Buffer.from(value).toString('utf8');
}

export function values(records: readonly Incoming[]): string[] {
  return records.map((record) => text(record.value));
}

export function offsets(records: readonly Incoming[]): number[] {
  return records.map(({ offset }) => offset);
}

/** What it failed with. @throws Error when it did not fail, or with no LogError: then it is a defect. */
export async function failure(promise: Promise<unknown>): Promise<LogError> {
  try {
    await promise;
  } catch (error) {
    if (LogError.is(error)) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

/** Code and outcome of its failure, for comparing both at once, or 'ok'. */
export function fate(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'ok',
    (error: unknown) => {
      if (LogError.is(error)) return `${error.code} ${error.outcome}`;
      throw error;
    },
  );
}

/** As fate(), for calls that may throw before they return a promise. */
export function fateOf(call: () => Promise<unknown>): Promise<string> {
  return fate((async () => await call())());
}

export async function appendAll(verbs: Verbs, topic: string, texts: readonly string[]): Promise<void> {
  for (const value of texts) await verbs.append(topic, { value: bytes(value) });
}

/** Reads page after page until `count` records are there. */
export async function readUntil(
  verbs: Verbs,
  topic: string,
  count: number,
  from: Start = 'earliest',
): Promise<Incoming[]> {
  const records: Incoming[] = [];
  let start = from;
  while (records.length < count) {
    const page = await verbs.read(topic, { from: start, waitMs: WAIT_MS });
    if (page.records.length === 0) throw new Error(`record ${records.length + 1} of ${count} did not come`);
    records.push(...page.records);
    start = { offset: page.nextOffset };
  }
  return records;
}

/** Waits until the node that is asked has applied everything below `tail` and trimmed up to `earliest`. */
export async function settled(verbs: Verbs, topic: string, tail: number, earliest = 0): Promise<void> {
  await eventually(
    async () => {
      const page = await verbs.read(topic, { from: 'latest' });
      return page.tail >= tail && page.earliest >= earliest;
    },
    { what: `${verbs.node} to reach offset ${tail}`, timeoutMs: CATCH_UP_MS },
  );
}
