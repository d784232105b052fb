/**
 * What clients asked and what they were told: plain events in the order in which one observer saw them, one JSON object
 * a line in a file, so that any driver in any process can write a history and the judge (judge.ts) can read it back.
 *
 * The order of the events is real time: a call that ended on an earlier line than another began on was over before it.
 * Who merges the files of several observers sorts by a clock they share and puts what begins before what ends at equal
 * times, so that nothing is called over too early. A call that has no answer by the end of the file has an unknown
 * fate.
 */
import { checkEvent } from './history-shape.ts';

export type Outcome = 'none' | 'unknown';
export type Level = 'any' | 'atLeast' | 'linearizable' | 'lease';

/** Identity, fencing number and place of the first record, as an idempotent producer sent them. */
export interface Producer {
  readonly id: string;
  readonly epoch: number;
  readonly sequence: number;
}

/** A record that somebody was given. */
export interface Sighting {
  readonly offset: number;
  /** As appended; unique among all records of the partition. */
  readonly value: string;
  /** Append time, ms. */
  readonly time?: number;
  readonly term?: number;
  /** The value's own checksum says that these are not the bytes that were sent. */
  readonly isDamaged?: boolean;
}

/** What begins. `partition` names it for good: a topic deleted and created again makes another one. */
export type Call =
  | {
      readonly kind: 'append';
      readonly client: string;
      readonly partition: string;
      /** One batch, all or nothing. The same values again: another attempt at the same batch. */
      readonly values: readonly string[];
      readonly producer?: Producer;
      /** In a compacted partition: the key of each value, and which values delete theirs. */
      readonly keys?: readonly string[];
      readonly tombstones?: readonly string[];
      /** Place among this client's batches, where it promises that order without showing its tuples. */
      readonly order?: number;
    }
  | {
      readonly kind: 'read';
      readonly client: string;
      readonly partition: string;
      /** 'next': where this client's last read ended, so nothing may be left out or repeated. */
      readonly from: number | 'next' | 'earliest' | 'latest';
      readonly level: Level;
      /** With level atLeast: the replica must have applied what lies below. */
      readonly atLeast?: number;
    }
  | { readonly kind: 'tail'; readonly client: string; readonly partition: string; readonly level: Level }
  | { readonly kind: 'trim'; readonly client: string; readonly partition: string; readonly before: number }
  | { readonly kind: 'create' | 'delete'; readonly client: string; readonly partition: string };

/** How a call ends. */
export type Answer =
  | {
      readonly kind: 'acked';
      /** null: a duplicate whose offset is no longer remembered. */
      readonly offset: number | null;
      readonly time?: number;
      readonly term?: number;
    }
  | {
      readonly kind: 'records';
      readonly from: number;
      /** One past the last record; `from` when there is none. */
      readonly next: number;
      /** Log start and tail as the answer tells them; subscriptions do not. */
      readonly earliest?: number;
      readonly tail?: number;
      readonly records: readonly Sighting[];
      readonly node?: string;
    }
  /** The offset asked for lies below the log start. */
  | { readonly kind: 'trimmed'; readonly earliest: number }
  | { readonly kind: 'tailIs'; readonly earliest: number; readonly tail: number }
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly outcome: Outcome; readonly code?: string };

/** What the driver knows besides. */
export type Note =
  /** The partition drops its oldest records by itself, by size or age. */
  | { readonly kind: 'retention'; readonly partition: string }
  /** Of each key of the partition only the latest record is kept. `isForgetful`: and one that deletes its key not for
   *  as long as the history lasts. */
  | { readonly kind: 'compacted'; readonly partition: string; readonly isForgetful: boolean }
  /** All faults are over, and the cluster had all the time it may ask for to come back. */
  | { readonly kind: 'healed' }
  /** After healing, this client's reads were given all the time they need to come to the tail. */
  | { readonly kind: 'drained'; readonly client: string; readonly partition: string }
  /** All that one replica holds at the end. */
  | {
      readonly kind: 'replica';
      readonly partition: string;
      readonly node: string;
      readonly earliest: number;
      readonly tail: number;
      readonly records: readonly Sighting[];
      /** Chain checksum behind the record at each of these offsets. */
      readonly chain?: readonly { readonly offset: number; readonly sum: string }[];
    };

export type HistoryEvent = (Call & { readonly op: number }) | (Answer & { readonly op: number }) | Note;

const CALLS: ReadonlySet<string> = new Set(['append', 'read', 'tail', 'trim', 'create', 'delete']);

export function isCall(event: HistoryEvent): event is Call & { readonly op: number } {
  return CALLS.has(event.kind);
}

const HEADER = '{"kind":"history","version":1}';

/** The first line of a file; every other is an event. */
export function encodeHeader(): string {
  return `${HEADER}\n`;
}

export function encodeEvent(event: HistoryEvent): string {
  return `${JSON.stringify(event)}\n`;
}

export function encodeHistory(events: readonly HistoryEvent[]): string {
  return encodeHeader() + events.map(encodeEvent).join('');
}

/**
 * A last line without its end is what a driver that was killed leaves behind; it is left out.
 * @throws Error that names the line, when one is not an event.
 */
export function decodeHistory(text: string): HistoryEvent[] {
  const lines = text.split('\n').slice(0, -1);
  if (lines[0] !== HEADER) throw new Error(`line 1 of a history must be ${HEADER}, not ${lines[0] ?? 'nothing'}`);
  return lines.slice(1).map((line, at) => {
    try {
      return checkEvent(JSON.parse(line));
    } catch (cause) {
      throw new Error(`line ${at + 2} of the history is no event: ${line.slice(0, 200)}`, { cause });
    }
  });
}
