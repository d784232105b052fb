/** How long an idle process is kept from running: other programs, a throttled container, a stolen processor. */
import { type Finding, failure, ok, warning } from './finding.ts';

export interface EventLoopReadings {
  readonly observedMs: number;
  /** Lateness of timers beyond what they asked for. */
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Of the configuration: silence after which a follower may campaign. */
  readonly electionMsMin: number;
}

export function checkEventLoop({ observedMs, p99Ms, maxMs, electionMsMin }: EventLoopReadings): Finding {
  const check = 'event loop';
  const found = `stalls of ${p99Ms.toFixed(1)} ms (p99), ${maxMs.toFixed(1)} ms (longest) in ${observedMs} ms at rest`;
  if (maxMs >= electionMsMin) {
    const reason = `a leader that stands still for ${electionMsMin} ms is deposed`;
    return failure(check, found, `${reason}: give the node a processor of its own, or raise raft.electionMsMin`);
  }
  if (maxMs >= electionMsMin / 4) {
    const advice =
      'under load this comes close to an election: look for throttling (cgroup cpu.max) and busy neighbours';
    return warning(check, found, advice);
  }
  return ok(check, found);
}
