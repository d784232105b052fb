/** Percentiles and medians of samples. Averages are left out on purpose: they hide what users feel. */

/** Nearest rank: the smallest sample that at least the share `p` (0..1) of all samples does not exceed. */
export function percentile(ascending: ArrayLike<number>, p: number): number {
  if (ascending.length === 0) throw new RangeError('a percentile of no samples');
  if (!(p >= 0 && p <= 1)) throw new RangeError(`percentile ${p} is not within 0..1`);
  const rank = Math.max(1, Math.ceil(p * ascending.length));
  return ascending[rank - 1]!;
}

/** The middle one, or the mean of the middle two. */
export function median(samples: readonly number[]): number {
  if (samples.length === 0) throw new RangeError('a median of no samples');
  const ascending = Float64Array.from(samples).sort();
  const half = ascending.length >> 1;
  return ascending.length % 2 === 1 ? ascending[half]! : (ascending[half - 1]! + ascending[half]!) / 2;
}

export interface Distribution {
  readonly count: number;
  readonly min: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export function distributionOf(samples: ArrayLike<number>): Distribution {
  const ascending = Float64Array.from(samples).sort();
  return {
    count: ascending.length,
    min: percentile(ascending, 0),
    p50: percentile(ascending, 0.5),
    p90: percentile(ascending, 0.9),
    p99: percentile(ascending, 0.99),
    p999: percentile(ascending, 0.999),
    max: percentile(ascending, 1),
  };
}
