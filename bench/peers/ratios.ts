/** Pairs of samples as ratios: noise that lasts longer than a pair falls on both of its sides. */
import type { FigureSpec, Ratio } from '../result.ts';
import { median } from '../statistics.ts';

export interface Pairs {
  readonly spec: FigureSpec;
  readonly peer: string;
  readonly client: string;
  /** One a repeat; the two of a repeat were taken one after the other. */
  readonly logdrive: readonly number[];
  readonly theirs: readonly number[];
}

/** @throws when a repeat has no partner: a ratio of medians alone would hide what disturbed one side. */
export function ratioOf({ spec, peer, client, logdrive, theirs }: Pairs): Ratio {
  if (logdrive.length !== theirs.length) {
    throw new RangeError(`${spec.name}: ${logdrive.length} samples of logdrive, ${theirs.length} of ${peer}`);
  }
  const ratios = logdrive.map((value, at) => value / theirs[at]!);
  const { name: work, unit, better, target } = spec;
  return {
    ...{ work, unit, better, peer, client, ratio: median(ratios), ratios },
    logdriveMedian: median(logdrive),
    peerMedian: median(theirs),
    ...(target !== undefined && { target }),
  };
}
