/**
 * The batches of an idempotent producer are in the log once each, in order and without a hole, and none of an epoch
 * that was fenced. Looked at as each entry is applied for the first time: records that are trimmed before anybody read
 * them are judged too. Source: P7, F71, F72.
 */
import { type Invariant, Violation } from './view.ts';

interface Stream {
  readonly epoch: number;
  readonly nextSequence: number;
}

export function producersInOrder(): Invariant {
  /** By group: the last index that was applied anywhere. */
  const seen = new Map<number, number>();
  const streams = new Map<string, Stream>();
  return {
    name: "a producer's batches are in the log once and in order",
    source: 'P7, F71, F72',
    applied({ id }, { index, producer, recordCount }) {
      if (index <= (seen.get(id) ?? 0)) return;
      seen.set(id, index);
      if (producer === undefined) return;
      const { epoch, sequence } = producer;
      const key = `${id}/${producer.id}`;
      const before = streams.get(key);
      const due = before === undefined || epoch > before.epoch ? 0 : before.nextSequence;
      streams.set(key, { epoch, nextSequence: sequence + recordCount });
      const what = `group ${id}: entry ${index} is sequence ${sequence} of epoch ${epoch}`;
      if (before !== undefined && epoch < before.epoch) throw new Violation(`${what}, and ${before.epoch} has begun`);
      if (sequence !== due) throw new Violation(`${what}, and ${due} was due`);
    },
  };
}
