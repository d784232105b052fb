/**
 * The same work done by other systems in the same run: for each peer that is installed, a fresh logdrive and a fresh
 * peer stand side by side, and each work goes to the one and to the other in turn. Ratios are those of such pairs. A
 * peer that is not installed is skipped with a notice; one that fails is told of, and the others go on.
 */
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Cleanup, removeDir } from '../cleanup.ts';
import { chosenPeers, PEER_TEXTS } from '../peers/index.ts';
import { startLogdrive } from '../peers/logdrive.ts';
import { Pairing, type PairingOptions } from '../peers/pairing.ts';
import type { Peer } from '../peers/peer.ts';
import { PeersDir } from '../peers/peers-dir.ts';
import type { Figure, ProcessUse, Ratio } from '../result.ts';
import { type BenchContext, defineScenario, type Scenario } from '../scenario.ts';

const NOTES = [
  'Each figure names system, version, replicas and what it flushed before it answered; logdrive flushes on a majority.',
  'Clients run in processes of their own, one library each, on the processors of the servers.',
  'Processes: their use over all counted repeats of a pairing, half of which they idle; not over the same work.',
];

export const peers: Scenario = defineScenario({
  name: 'peers',
  sentence: 'Kafka, NATS, etcd, Redis, RabbitMQ: the same work in the same run, as ratios.',
  options: {
    seconds: { default: 1.5, least: 0.1, sentence: 'seconds of each measurement' },
    repeats: { default: 3, least: 1, sentence: 'pairs of each work, after one that is not counted' },
    connections: { default: 200, least: 1, sentence: 'connections of the singles' },
    kills: { default: 2, least: 0, sentence: 'leaders killed on each side' },
  },
  texts: PEER_TEXTS,
  async run(context, options, texts) {
    const tools = new PeersDir(resolve(texts['peers-dir']!));
    const figures: Figure[] = [];
    const ratios: Ratio[] = [];
    const processes: ProcessUse[] = [];
    const notes = [...NOTES];
    const tell = (line: string): void => {
      context.say(line);
      notes.push(`${line}.`);
    };
    for (const peer of chosenPeers(texts.only!)) {
      const missing = await peer.missing(tools);
      if (missing.length > 0) {
        tell(`${peer.name} is skipped, for it lacks ${missing.join('; ')}`);
        continue;
      }
      try {
        const pairing = await compareWith(context, tools, peer, options);
        figures.push(...pairing.figures());
        ratios.push(...pairing.ratios());
        processes.push(...pairing.processes.map((use) => ({ ...use, name: `${peer.name}: ${use.name}` })));
        notes.push(...pairing.failures.map((failure) => `${failure}.`));
      } catch (error) {
        // Interrupted: what failed was ended by the runner, and a result with holes is none.
        if (context.cleanup.hasBegun) throw error;
        tell(`${peer.name} FAILED: ${String(error)}`);
      }
    }
    return {
      durability: 'as each figure says; logdrive: fsync on a majority of 3 nodes',
      figures,
      ratios,
      processes,
      notes,
    };
  },
});

/** What it starts is gone when it ends, in whatever way: the next pair has the machine for itself. */
async function compareWith(
  context: BenchContext,
  tools: PeersDir,
  peer: Peer,
  options: PairingOptions,
): Promise<Pairing> {
  const cleanup = new Cleanup();
  context.cleanup.defer(peer.name, () => cleanup.run());
  const dir = join(context.dir, peer.name);
  cleanup.defer(dir, () => removeDir(dir));
  const [ourDir, theirDir] = [join(dir, 'logdrive'), join(dir, 'peer')];
  for (const each of [dir, ourDir, theirDir]) await mkdir(each);
  try {
    const own = { ...context, cleanup };
    const ours = await startLogdrive(own, ourDir);
    const theirs = await peer.start(own, tools, theirDir);
    const pairing = await Pairing.open(own, tools, ours, theirs);
    await pairing.run(options);
    return pairing;
  } finally {
    await cleanup.run();
  }
}
