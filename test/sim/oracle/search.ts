/**
 * The same question asked the slow way: is there any order of these calls, each between its beginning and its end, in
 * which a plain log would have given these answers and ended as it did? Exponential, for a dozen calls of one
 * partition; it shares no line with the judge and is there to be compared with it (agreement.test.ts).
 *
 * It knows appends (plain and idempotent), reads from an offset at levels any and linearizable, tails, and one replica
 * at the end. A read at level any is a linearizable one that may have happened at any earlier time.
 */
import type { Answer, Call, HistoryEvent, Sighting } from './history.ts';

interface Step {
  readonly call: Call;
  readonly answer: Answer | undefined;
  readonly beganLine: number;
  readonly endedLine: number;
  /** May be left out: nobody knows whether it happened. */
  readonly isOptional: boolean;
}

interface LogState {
  readonly values: readonly string[];
  /** Per producer: its epoch and the sequence that is due. */
  readonly due: ReadonlyMap<string, { readonly epoch: number; readonly next: number }>;
}

export function isExplained(history: readonly HistoryEvent[]): boolean {
  const end = history.find((event) => event.kind === 'replica');
  if (end?.kind !== 'replica') throw new Error('the search needs to know how the log ended');
  if (end.records.some(({ offset }, at) => offset !== at)) return false;
  const steps = stepsOf(history);
  const final = end.records.map(({ value }) => value);
  const visited = new Set<string>();

  const search = (left: readonly Step[], state: LogState): boolean => {
    const key = [
      left.map(({ beganLine }) => beganLine).join(),
      state.values.join(),
      JSON.stringify([...state.due]),
    ].join('|');
    if (visited.has(key)) return false;
    visited.add(key);
    const isEnd = state.values.length === final.length && state.values.every((value, at) => value === final[at]);
    if (isEnd && left.every(({ isOptional }) => isOptional)) return true;
    // Whoever must have ended by then cannot come later.
    const deadline = Math.min(...left.map(({ endedLine }) => endedLine));
    return left.some((step) => {
      if (step.beganLine > deadline) return false;
      const after = apply(state, step);
      return (
        after !== undefined &&
        search(
          left.filter((other) => other !== step),
          after,
        )
      );
    });
  };
  return search(steps, { values: [], due: new Map() });
}

function stepsOf(history: readonly HistoryEvent[]): Step[] {
  const steps: Step[] = [];
  for (const [line, event] of history.entries()) {
    if (!('client' in event) || !('op' in event)) continue;
    const at = history.findIndex((other, index) => index > line && 'op' in other && other.op === event.op);
    const answer = at === -1 ? undefined : (history[at] as Answer);
    const isKnown = answer !== undefined && answer.kind !== 'failed';
    // What surely had no effect, and what only asked and was not told, explains itself.
    if (!isKnown && (event.kind !== 'append' || (answer?.kind === 'failed' && answer.outcome === 'none'))) continue;
    steps.push({
      call: event,
      answer,
      beganLine: event.kind === 'read' && event.level === 'any' ? -1 - line : line,
      endedLine: isKnown ? at : Number.POSITIVE_INFINITY,
      isOptional: !isKnown,
    });
  }
  return steps;
}

/** The log after this call; undefined: a log in this state would have answered otherwise. */
function apply(state: LogState, { call, answer }: Step): LogState | undefined {
  const { values } = state;
  if (call.kind === 'append') return applyAppend(state, call, answer);
  if (answer?.kind === 'tailIs') return answer.tail === values.length ? state : undefined;
  if (answer?.kind !== 'records' || answer.tail !== values.length) return undefined;
  if (call.kind === 'read' && call.from !== answer.from) return undefined;
  const given = values.slice(answer.from, answer.next);
  return isSame(given, answer.records, answer.from) ? state : undefined;
}

function isSame(values: readonly string[], records: readonly Sighting[], from: number): boolean {
  return (
    values.length === records.length &&
    records.every(({ offset, value }, at) => offset === from + at && value === values[at])
  );
}

function applyAppend(
  state: LogState,
  call: Extract<Call, { kind: 'append' }>,
  answer: Answer | undefined,
): LogState | undefined {
  const { values, due } = state;
  const told = answer?.kind === 'acked' ? answer.offset : null;
  const there = values.indexOf(call.values[0]!);
  if (call.producer !== undefined && there !== -1) return told === null || told === there ? state : undefined;
  const after = { values: [...values, ...call.values], due };
  const isTold = told === null || told === values.length;
  if (call.producer === undefined) return isTold ? after : undefined;
  const { id, epoch, sequence } = call.producer;
  const known = due.get(id) ?? { epoch: 0, next: 0 };
  const isDue = epoch === known.epoch ? sequence === known.next : epoch > known.epoch && sequence === 0;
  if (!isTold || !isDue) return undefined;
  return { ...after, due: new Map(due).set(id, { epoch, next: sequence + call.values.length }) };
}
