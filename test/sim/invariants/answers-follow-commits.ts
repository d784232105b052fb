/**
 * A producer is told that its batch is appended when it is committed, a duplicate of it included, however old. Looked
 * at as the answer is given: what a client sees of an answer that came too early is a batch that is lost later,
 * perhaps. Source: P1, P7.
 */
import { type Invariant, Violation } from './view.ts';

export function answersFollowCommits(): Invariant {
  /** By group, producer and epoch: the sequence behind its last batch that was applied anywhere. */
  const applied = new Map<string, number>();
  return {
    name: 'producers are answered when their batches are committed',
    source: 'P1, P7',
    applied({ id }, { producer, recordCount }) {
      if (producer === undefined) return;
      const key = `${id}/${producer.id}/${producer.epoch}`;
      applied.set(key, Math.max(applied.get(key) ?? 0, producer.sequence + recordCount));
    },
    answered({ id, commit }, { producer, recordCount, outcome }) {
      if (outcome.kind !== 'appended') return;
      // 0: of a duplicate so old that its place is not remembered.
      if (outcome.index > commit)
        throw new Violation(`group ${id}: a producer is answered for entry ${outcome.index}, committed is ${commit}`);
      if (producer === undefined) return;
      const end = applied.get(`${id}/${producer.id}/${producer.epoch}`) ?? 0;
      if (producer.sequence + recordCount <= end) return;
      throw new Violation(
        `group ${id}: a producer is answered for sequence ${producer.sequence} of epoch ${producer.epoch}, ` +
          `of which ${end} is committed`,
      );
    },
  };
}
