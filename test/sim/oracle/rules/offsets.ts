/** One offset, one record; one record, one offset; a batch lies in one piece where its writer was told. */
import type { Rule } from '../rule.ts';
import { type Batch, type PartitionView, toldTail } from '../view.ts';

export const INCONSISTENT_OFFSET: Rule = {
  name: 'inconsistent-offset',
  sentence: 'Two readers were given different records at one offset.',
  source: 'P2; Kafka workload: inconsistent-offsets, of polls',
  *find(view) {
    for (const { first, second } of view.conflicts) {
      if (first.isReplica && second.isReplica) continue;
      yield `${first.who} was given ${told(first)} at ${first.offset}, ${second.who} ${told(second)}`;
    }
  },
};

function told({ value, time, term }: { value: string; time?: number; term?: number }): string {
  return `${value}${term === undefined ? '' : ` of term ${term}`}${time === undefined ? '' : ` of ${time} ms`}`;
}

export const ACK_OF_ANOTHER: Rule = {
  name: 'ack-of-another',
  sentence: 'A record was acknowledged at an offset, or with a term or time, that is not the one it is read with.',
  source: 'P2; Kafka workload: inconsistent-offsets, of sends',
  *find(view) {
    for (const { attempts, values } of view.batches) {
      for (const { answer } of attempts) {
        if (answer?.kind !== 'acked' || answer.offset === null) continue;
        for (const [at, value] of values.entries()) {
          const offset = answer.offset + at;
          const there = view.byOffset.get(offset) ?? view.byValue.get(value);
          if (there === undefined) continue;
          const isOther = there.offset !== offset || there.value !== value;
          if (isOther || differs(there.term, answer.term) || differs(there.time, answer.time))
            yield `${told({ ...answer, value })} was acknowledged at ${offset}; ${told(there)} is read at ${there.offset}`;
        }
      }
    }
  },
};

function differs(a: number | undefined, b: number | undefined): boolean {
  return a !== undefined && b !== undefined && a !== b;
}

export const OFFSET_REUSE: Rule = {
  name: 'offset-reuse',
  sentence: 'Two batches were acknowledged at one offset.',
  source: 'P2; L4',
  *find(view) {
    const taken = new Map<number, Batch>();
    for (const batch of view.batches) {
      if (batch.ackedOffset === undefined) continue;
      for (const [at, value] of batch.values.entries()) {
        const other = taken.get(batch.ackedOffset + at);
        if (other !== undefined)
          yield `${other.values[0]} and ${value} were both acknowledged at ${batch.ackedOffset + at}`;
        taken.set(batch.ackedOffset + at, batch);
      }
    }
  },
};

export const TWO_ACKS: Rule = {
  name: 'two-acks',
  sentence: 'Two attempts at one batch were acknowledged at different offsets.',
  source: 'P7; rp#5355',
  *find(view) {
    for (const { attempts, values, ackedOffset } of view.batches) {
      for (const { answer } of attempts) {
        if (answer?.kind === 'acked' && answer.offset !== null && answer.offset !== ackedOffset)
          yield `${values[0]} was acknowledged at ${ackedOffset} and at ${answer.offset}`;
      }
    }
  },
};

export const DUPLICATE: Rule = {
  name: 'duplicate',
  sentence: 'One record lies at two offsets.',
  source: 'P7; Kafka workload: duplicate',
  *find(view) {
    for (const { first, second } of view.duplicates)
      yield `${first.value} lies at ${first.offset} (${first.who}) and at ${second.offset} (${second.who})`;
  },
};

export const TORN_BATCH: Rule = {
  name: 'torn-batch',
  sentence: 'A batch lies in pieces, or only a part of it is there, or the log was said to end within it.',
  source: 'W7; F73',
  *find(view) {
    const inside = new Map<number, string>();
    for (const { values } of view.batches) {
      const seen = values.flatMap((value, at) => {
        const witness = view.byValue.get(value);
        return witness === undefined ? [] : [{ value, first: witness.offset - at }];
      });
      if (seen.length === 0) continue;
      const { first, value } = seen[0]!;
      const stray = seen.find((other) => other.first !== first);
      if (stray !== undefined) yield `${stray.value} lies apart from ${value}`;
      const absent = values.find((other, at) => !view.byValue.has(other) && isElsewhere(view, first + at));
      if (absent !== undefined) yield `${value} is there without ${absent}`;
      for (let at = 1; at < values.length; at += 1) inside.set(first + at, values[at]!);
    }
    for (const { call, answer } of view.answered) {
      const cut = inside.get(toldTail(answer) ?? -1);
      if (cut !== undefined) yield `${call.client} was told that the log ends before ${cut}, within its batch`;
    }
  },
};

/** The place is known to hold something else, or nothing. */
function isElsewhere(view: PartitionView, offset: number): boolean {
  return view.byOffset.has(offset) || (view.finalTail !== undefined && offset >= view.finalTail);
}
