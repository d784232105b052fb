/**
 * How long the disk takes to confirm a write, and whether that can be true. A flush that returns faster than its medium
 * can work was answered by a cache: fine when the cache has power of its own, loss of acknowledged records when it has
 * not. From inside a machine the two cannot be told apart, so this is a suspicion and never a proof.
 */
import { type Finding, ok, warning } from './finding.ts';

export type Medium = 'rotational' | 'solid state' | 'virtual' | 'unknown';

export interface FlushTimes {
  readonly count: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
}

export interface FlushReadings {
  readonly medium: Medium;
  /** 'write back': the device says that it has a volatile cache, which a flush must empty. */
  readonly writeCache: 'write back' | 'write through' | undefined;
  /** 4 KiB with O_DSYNC, as a node writes its log. */
  readonly durableWrite: FlushTimes;
  /** 4 KiB, then fdatasync. */
  readonly writeAndFlush: FlushTimes;
  /** The median of the same write without any flush, ms. */
  readonly plainWriteMs: number;
}

/** Below this, ms, a median is faster than the medium can be. */
const PLAUSIBLE_MS: Readonly<Record<Medium, number>> = {
  // A plate turns in 8.3 ms (7,200/min); the block to be written passes the head half a turn later on average.
  rotational: 1,
  // The fastest drives with a protected cache take about 20 us for a write, and the kernel adds its part.
  'solid state': 0.02,
  // The same drives behind a hypervisor: two more crossings.
  virtual: 0.04,
  unknown: 0.02,
};
/** A flush that adds less than this much to a write into the page cache does nothing. */
const PLAIN_FACTOR = 2;
/** Every acknowledged append waits for one of these: beyond it, users notice. */
const SLOW_P99_MS = 50;

export function checkFlush(readings: FlushReadings): Finding {
  const check = 'flush';
  const { medium, durableWrite, writeAndFlush, plainWriteMs, writeCache } = readings;
  const times = ({ p50Ms, p99Ms, p999Ms }: FlushTimes): string =>
    [p50Ms, p99Ms, p999Ms].map((each) => each.toFixed(3)).join(' / ');
  const cache = writeCache === undefined ? '' : `, device cache ${writeCache}`;
  const found =
    `4 KiB durable in ${times(durableWrite)} ms (p50 / p99 / p99.9) with O_DSYNC, ` +
    `${times(writeAndFlush)} with fdatasync; medium ${medium}${cache}`;
  const fastest = Math.min(durableWrite.p50Ms, writeAndFlush.p50Ms);
  const isEmpty = fastest < PLAIN_FACTOR * plainWriteMs;
  if (fastest < PLAUSIBLE_MS[medium] || isEmpty) {
    const why = isEmpty
      ? `a flush costs no more than a write that is not flushed (${plainWriteMs.toFixed(3)} ms)`
      : `a ${medium} medium cannot confirm in ${fastest.toFixed(3)} ms`;
    return warning(
      check,
      found,
      `${why}: some cache answers. If it has no power of its own, a power cut loses acknowledged records. ` +
        'Find out what lies under this disk (hypervisor cache mode, RAID controller battery), ' +
        'or test it by a power cut',
    );
  }
  if (durableWrite.p99Ms > SLOW_P99_MS) {
    const advice = `one append in a hundred waits longer than ${SLOW_P99_MS} ms for this disk alone; use a faster one`;
    return warning(check, found, advice);
  }
  return ok(check, found);
}
