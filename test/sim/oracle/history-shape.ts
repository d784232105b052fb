/** The shape of each event of a history file, checked before the judge believes it: a typo must not judge as "fine". */
import type { HistoryEvent } from './history.ts';

type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === 'string' && value !== '';
const isNumber: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const oneOf =
  (...allowed: readonly unknown[]): Check =>
  (value) =>
    allowed.includes(value);
const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);
const either =
  (...checks: readonly Check[]): Check =>
  (value) =>
    checks.some((check) => check(value));
const listOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);
const object =
  (fields: Readonly<Record<string, Check>>): Check =>
  (value) =>
    typeof value === 'object' && value !== null && mismatch(fields, value) === undefined;

const isProducer = object({ id: isText, epoch: isNumber, sequence: isNumber });
const areSightings = listOf(
  object({
    offset: isNumber,
    value: (value) => typeof value === 'string',
    time: optional(isNumber),
    term: optional(isNumber),
    isDamaged: optional(oneOf(true, false)),
  }),
);
const isLevel = oneOf('any', 'atLeast', 'linearizable', 'lease');
const call = { op: isNumber, client: isText, partition: isText };

const SHAPES: Readonly<Record<HistoryEvent['kind'], Readonly<Record<string, Check>>>> = {
  append: {
    ...call,
    values: (value) => listOf(isText)(value) && (value as unknown[]).length > 0,
    producer: optional(isProducer),
    keys: optional(listOf(isText)),
    tombstones: optional(listOf(isText)),
    order: optional(isNumber),
  },
  read: {
    ...call,
    from: either(isNumber, oneOf('next', 'earliest', 'latest')),
    level: isLevel,
    atLeast: optional(isNumber),
  },
  tail: { ...call, level: isLevel },
  trim: { ...call, before: isNumber },
  create: call,
  delete: call,
  acked: { op: isNumber, offset: either(isNumber, oneOf(null)), time: optional(isNumber), term: optional(isNumber) },
  records: {
    op: isNumber,
    from: isNumber,
    next: isNumber,
    earliest: optional(isNumber),
    tail: optional(isNumber),
    records: areSightings,
    node: optional(isText),
  },
  trimmed: { op: isNumber, earliest: isNumber },
  tailIs: { op: isNumber, earliest: isNumber, tail: isNumber },
  done: { op: isNumber },
  failed: { op: isNumber, outcome: oneOf('none', 'unknown'), code: optional(isText) },
  retention: { partition: isText },
  compacted: { partition: isText, isForgetful: oneOf(true, false) },
  healed: {},
  drained: { client: isText, partition: isText },
  replica: {
    partition: isText,
    node: isText,
    earliest: isNumber,
    tail: isNumber,
    records: areSightings,
    chain: optional(listOf(object({ offset: isNumber, sum: isText }))),
  },
};

/** @throws Error that names the field. */
export function checkEvent(value: unknown): HistoryEvent {
  if (typeof value !== 'object' || value === null) throw new Error('an event is an object');
  const { kind, ...rest } = value as { kind?: string };
  if (kind === undefined || !Object.hasOwn(SHAPES, kind)) throw new Error(`there is no event of kind ${kind}`);
  const wrong = mismatch(SHAPES[kind as HistoryEvent['kind']], rest);
  if (wrong !== undefined) throw new Error(`${wrong} of ${kind} is wrong`);
  return value as HistoryEvent;
}

/** The first field that is missing, malformed or unknown. */
function mismatch(fields: Readonly<Record<string, Check>>, value: object): string | undefined {
  const given = value as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(fields, name));
  return unknown ?? Object.keys(fields).find((name) => !fields[name]!(given[name]));
}
