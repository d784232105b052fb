/** Every scenario, in the order `all` runs them: first what the machine gives, then the parts, then the whole. */
import type { Scenario } from '../scenario.ts';
import { codec } from './codec.ts';
import { consume } from './consume.ts';
import { failover } from './failover.ts';
import { fanout } from './fanout.ts';
import { growth } from './growth.ts';
import { http } from './http.ts';
import { idle } from './idle.ts';
import { journal } from './journal.ts';
import { latency } from './latency.ts';
import { limit } from './limit.ts';
import { memory } from './memory.ts';
import { peers } from './peers.ts';
import { produce } from './produce.ts';
import { raftCore } from './raft-core.ts';
import { rate } from './rate.ts';
import { recovery } from './recovery.ts';
import { singles } from './singles.ts';
import { snapshot } from './snapshot.ts';
import { start } from './start.ts';
import { topics } from './topics.ts';
import { workers } from './workers.ts';

export const SCENARIOS: readonly Scenario[] = [
  limit,
  codec,
  raftCore,
  snapshot,
  journal,
  workers,
  produce,
  latency,
  rate,
  singles,
  consume,
  fanout,
  http,
  failover,
  start,
  recovery,
  growth,
  topics,
  memory,
  idle,
  peers,
];
