/** Answers that promise to be current are; a partition that exists is found, and one that was deleted is not. */
import type { Rule } from '../rule.ts';
import { type Done, type PartitionView, toldEarliest, toldTail } from '../view.ts';
import { knownEnds } from './order.ts';

/** Calls that promised to see all that was known when they began. */
function isStrong({ call }: Done): boolean {
  return (call.kind === 'read' || call.kind === 'tail') && (call.level === 'linearizable' || call.level === 'lease');
}

function* stale(view: PartitionView, kind: 'records' | 'tailIs'): Iterable<string> {
  const strong = view.answered.filter((done) => isStrong(done) && done.answer?.kind === kind);
  const ends = knownEnds(
    view,
    strong.map(({ beganLine }) => beganLine),
  );
  for (const { call, answer, beganLine } of strong) {
    const end = ends.get(beganLine)!;
    const tail = toldTail(answer);
    if (tail !== undefined && tail < end)
      yield `${call.client} was told that the tail is ${tail}; the log had reached ${end} before it asked`;
  }
}

export const STALE_TAIL: Rule = {
  name: 'stale-tail',
  sentence: 'A linearizable question for the tail was answered below what was known before it was asked.',
  source: 'P9; our own',
  find: (view) => stale(view, 'tailIs'),
};

export const STALE_READ: Rule = {
  name: 'stale-read',
  sentence: 'A linearizable or lease read was answered by a log shorter than was known before it began.',
  source: 'P9; etcd#20418',
  find: (view) => stale(view, 'records'),
};

export const BROKEN_TOKEN: Rule = {
  name: 'broken-token',
  sentence: 'A read at least as new as a token was answered by a replica that had not come so far.',
  source: 'P5; L3',
  *find(view) {
    for (const { call, answer } of view.answered) {
      if (call.kind !== 'read' || call.atLeast === undefined || answer?.kind !== 'records') continue;
      if (answer.tail !== undefined && answer.tail < call.atLeast)
        yield `${call.client} asked for at least ${call.atLeast} and was answered at ${answer.tail}`;
    }
  },
};

export const EARLIEST_BACK: Rule = {
  name: 'earliest-back',
  sentence: 'The log start of a linearizable answer is below one that was told before it was asked for.',
  source: 'P4; W21',
  *find(view) {
    const strong = view.answered.filter(isStrong).sort((a, b) => a.beganLine - b.beganLine);
    let earliest = 0;
    let at = 0;
    for (const { call, answer, beganLine } of strong) {
      for (; at < view.answered.length && view.answered[at]!.endedLine < beganLine; at += 1) {
        earliest = Math.max(earliest, toldEarliest(view.answered[at]!.answer) ?? 0);
      }
      const told = toldEarliest(answer);
      if (told !== undefined && told < earliest)
        yield `${call.client} was told that the log begins at ${told}; it had begun at ${earliest}`;
    }
  },
};

/** When the partition was there for good, or gone for good. */
function lifeOf(view: PartitionView): { deletedLine: number | undefined; deleteBeganLine: number | undefined } {
  const deletes = view.calls.filter(({ call }) => call.kind === 'delete');
  const done = deletes.filter(({ answer }) => answer?.kind === 'done').map(({ endedLine }) => endedLine);
  return {
    deletedLine: done.length === 0 ? undefined : Math.min(...done),
    deleteBeganLine: deletes[0]?.beganLine,
  };
}

export const GHOST_TOPIC: Rule = {
  name: 'ghost-topic',
  sentence: 'After healing, a partition was served whose deletion had been confirmed.',
  source: 'L5; our own',
  *find(view) {
    const { deletedLine } = lifeOf(view);
    if (deletedLine === undefined || view.healedLine === undefined) return;
    for (const { call, answer, beganLine } of view.answered) {
      const isServed = answer?.kind === 'acked' || answer?.kind === 'records' || answer?.kind === 'tailIs';
      if (isServed && beganLine > deletedLine && beganLine > view.healedLine)
        yield `${call.kind} of ${call.client} was served after the deletion`;
    }
  },
};

export const VANISHED_TOPIC: Rule = {
  name: 'vanished-topic',
  sentence: 'After healing, a partition that nobody deleted is said not to exist.',
  source: 'W21; nats#6888',
  *find(view) {
    if (view.healedLine === undefined || lifeOf(view).deleteBeganLine !== undefined) return;
    for (const { call, answer, beganLine } of view.answered) {
      if (answer?.kind === 'failed' && answer.code === 'TOPIC_NOT_FOUND' && beganLine > view.healedLine)
        yield `${call.kind} of ${call.client} was told TOPIC_NOT_FOUND`;
    }
  },
};
