/** Every rule of the judge, in the order in which findings are reported: the worst first. */
import type { Rule } from './rule.ts';
import * as fates from './rules/fates.ts';
import * as freshness from './rules/freshness.ts';
import * as offsets from './rules/offsets.ts';
import * as order from './rules/order.ts';
import * as sessions from './rules/sessions.ts';

export const RULES: readonly Rule[] = [
  fates.LOST_WRITE,
  fates.LOST_ON_NODE,
  fates.DELETION_FORGOTTEN,
  fates.VANISHED_READ,
  fates.ABORTED_READ,
  fates.PHANTOM,
  fates.FUTURE_READ,
  fates.WRONG_BYTES,
  fates.REPLICA_DIVERGENCE,
  fates.UNSEEN,
  offsets.INCONSISTENT_OFFSET,
  offsets.ACK_OF_ANOTHER,
  offsets.OFFSET_REUSE,
  offsets.TWO_ACKS,
  offsets.DUPLICATE,
  offsets.TORN_BATCH,
  order.RT_ORDER,
  order.NONMONOTONIC_SEND,
  order.FENCED_APPEND,
  order.SEQUENCE_GAP,
  order.TIME_BACK,
  order.TERM_BACK,
  sessions.BARE_HOLE,
  sessions.POLL_SKIP,
  sessions.INT_POLL_SKIP,
  sessions.NONMONOTONIC_POLL,
  sessions.INT_NONMONOTONIC_POLL,
  sessions.WRONG_START,
  sessions.WRONG_NEXT,
  sessions.READ_PAST_TAIL,
  sessions.LOST_POSITION,
  sessions.TRIM_LIE,
  sessions.FALSE_TRIM,
  sessions.UNASKED_TRIM,
  freshness.STALE_TAIL,
  freshness.STALE_READ,
  freshness.BROKEN_TOKEN,
  freshness.EARLIEST_BACK,
  freshness.GHOST_TOPIC,
  freshness.VANISHED_TOPIC,
];
