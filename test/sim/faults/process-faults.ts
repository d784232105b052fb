/** Faults of processes and of their clocks (reliability F1-F11, F26-F29). */
import { awhile, type Fault } from './fault.ts';

export const PROCESS_FAULTS: readonly Fault[] = [
  {
    name: 'kill',
    everyMs: 900,
    strike: ({ cluster, nodeIds }, random) => cluster.bounce(random.pick(nodeIds), 'kill', awhile(random)),
  },
  {
    name: 'power',
    everyMs: 900,
    strike: ({ cluster, nodeIds }, random) => cluster.bounce(random.pick(nodeIds), 'power', awhile(random)),
  },
  {
    name: 'blackout',
    everyMs: 2_500,
    strike({ cluster, nodeIds }, random) {
      const struck = nodeIds.map((id) => cluster.bounce(id, random.chance(0.8) ? 'power' : 'kill', random.below(800)));
      return struck.includes(true);
    },
  },
  {
    name: 'crash-at-call',
    everyMs: 700,
    strike({ cluster, nodeIds }, random) {
      const node = cluster.node(random.pick(nodeIds));
      if (node.process === undefined || node.crashIn !== undefined) return false;
      const how = random.chance(0.6) ? 'power' : 'kill';
      node.crashIn = { calls: 1 + random.below(random.pick([4, 30, 150])), how, downMs: awhile(random) };
      return true;
    },
  },
  {
    // In the middle of what replaces files, cuts and seals them: too few of all calls to be met by counting calls.
    name: 'crash-at-change',
    everyMs: 500,
    strike({ cluster, nodeIds }, random) {
      const node = cluster.node(random.pick(nodeIds));
      if (node.process === undefined || node.crashIn !== undefined) return false;
      const kind = random.pick(['rename', 'syncDirectory', 'setBytes', 'remove', 'flush'] as const);
      node.crashIn = { kind, calls: 1 + random.below(3), how: 'power', downMs: awhile(random) };
      return true;
    },
  },
  {
    // Killed in the middle of a write, so that the next process finds it in the cache and on no disk; then the power
    // goes.
    name: 'kill-then-power',
    everyMs: 1_200,
    strike({ cluster, nodeIds, later }, random) {
      const id = random.pick(nodeIds);
      const node = cluster.node(id);
      if (node.process === undefined || node.crashIn !== undefined) return false;
      node.crashIn = { kind: 'writeDurable', calls: 1 + random.below(8), how: 'kill', downMs: random.below(30) };
      later(100 + random.below(1_500), () => void cluster.bounce(id, 'power', awhile(random)));
      return true;
    },
  },
  {
    name: 'crash-loop',
    everyMs: 2_500,
    strike({ cluster, nodeIds, later }, random) {
      const id = random.pick(nodeIds);
      // Again and again, each time in the middle of its recovery.
      for (let round = 0, atMs = 0; round < 4; round += 1, atMs += 20 + random.below(80)) {
        const how = random.chance(0.5) ? 'power' : 'kill';
        later(atMs, () => void cluster.bounce(id, how, 5));
      }
      return cluster.isUp(id);
    },
  },
  {
    name: 'restart',
    everyMs: 1_500,
    strike: ({ cluster, nodeIds }, random) =>
      cluster.shutDown(random.pick(nodeIds), random.below(400), random.chance(0.5)),
  },
  {
    name: 'rolling-restart',
    everyMs: 4_000,
    strike({ cluster, nodeIds, later }, random) {
      nodeIds.forEach((id, at) => {
        later(at * 700, () => void cluster.shutDown(id, 20 + random.below(100), true));
      });
      return true;
    },
  },
  {
    name: 'pause',
    everyMs: 900,
    strike({ cluster, nodeIds }, random) {
      const { process } = cluster.node(random.pick(nodeIds));
      process?.hold(awhile(random));
      return process !== undefined;
    },
  },
  {
    name: 'stall',
    everyMs: 300,
    strike({ cluster, nodeIds }, random) {
      const { process } = cluster.node(random.pick(nodeIds));
      process?.hold(10 + random.below(150));
      return process !== undefined;
    },
  },
  {
    name: 'clock-jump',
    everyMs: 600,
    strike({ cluster, nodeIds }, random) {
      const { process, weather } = cluster.node(random.pick(nodeIds));
      weather.wallSkewMs = (random.below(3) - 1) * random.below(3_600_000);
      if (process !== undefined) process.wallSkewMs = weather.wallSkewMs;
      return true;
    },
  },
  {
    name: 'clock-drift',
    everyMs: 1_500,
    strike({ cluster, nodeIds }, random) {
      const { process, weather } = cluster.node(random.pick(nodeIds));
      weather.clockRate = 0.5 + 1.5 * random.next();
      if (process !== undefined) process.rate = weather.clockRate;
      return true;
    },
  },
];
