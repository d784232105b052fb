/**
 * Whether the wall clock goes with the monotonic one. logdrive times elections and leases by the monotonic clock alone;
 * the wall clock stamps records and ages them out, never backwards within a partition.
 */
import { type Finding, ok, warning } from './finding.ts';

export interface ClockReadings {
  /** Taken one after the other, ms. */
  readonly samples: readonly { readonly wallMs: number; readonly monotonicMs: number }[];
}

/** A difference that the resolution of Date.now() and a late sample do not explain. */
const STEP_MS = 5;
/** What a clock that is disciplined by NTP may drift: 500 in a million; a little more is allowed for rounding. */
const DRIFT_PPM_MAX = 1_000;

export function checkClock({ samples }: ClockReadings): Finding {
  const check = 'clock';
  const [first, last] = [samples[0]!, samples.at(-1)!];
  const observedMs = last.monotonicMs - first.monotonicMs;
  const offset = ({ wallMs, monotonicMs }: (typeof samples)[number]): number => wallMs - monotonicMs;
  let largestMs = 0;
  for (let at = 1; at < samples.length; at++) {
    const stepMs = offset(samples[at]!) - offset(samples[at - 1]!);
    if (Math.abs(stepMs) > Math.abs(largestMs)) largestMs = stepMs;
  }
  const over = `over ${(observedMs / 1e3).toFixed(1)} s`;
  if (Math.abs(largestMs) >= STEP_MS) {
    const advice =
      'append times stand still while it is behind, and retention by age is off by as much; let NTP slew, not step';
    return warning(check, `the wall clock jumped by ${largestMs.toFixed(1)} ms ${over}`, advice);
  }
  const driftMs = offset(last) - offset(first);
  const driftPpm = observedMs === 0 ? 0 : (driftMs / observedMs) * 1e6;
  // Over a short time a drift within the resolution of the clock says nothing.
  if (Math.abs(driftMs) >= STEP_MS && Math.abs(driftPpm) > DRIFT_PPM_MAX) {
    return warning(check, `the wall clock drifts by ${driftPpm.toFixed(0)} ppm ${over}`, 'check the time service');
  }
  return ok(check, `no step ${over}`);
}
