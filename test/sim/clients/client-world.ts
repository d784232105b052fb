/**
 * What simulated clients share: their processes, the SDK on each, chance, and the history they write for the oracle.
 */
import { createHash } from 'node:crypto';
import { type Client, createClient } from '../../../src/client/client.ts';
import type { Platform } from '../../../src/client/platform.ts';
import { crc32cPortable, LogError } from '../../../src/protocol/index.ts';
import { Prng } from '../../raft/support/prng.ts';
import type { Answer, Recorder } from '../oracle/index.ts';
import type { SimCluster } from '../world/cluster.ts';
import type { SimProcess } from '../world/process.ts';

/** One topic of the run, all of whose life the oracle judges. */
export interface SimTopic {
  readonly name: string;
  readonly replicas: number;
  readonly compaction?: { readonly tombstoneRetentionMs: number };
}

export interface ClientWorld {
  readonly cluster: SimCluster;
  readonly recorder: Recorder;
  /** Faults are over: whoever waits for a better moment goes on. */
  isHealed: boolean;
  /** Everybody ends what is under way and stops. */
  isOver: boolean;
  /** Records acknowledged so far, per topic. */
  readonly acked: Map<string, number>;
  /** What operators got done, by name. */
  readonly done: Record<string, number>;
}

export class SimClient {
  readonly world: ClientWorld;
  readonly process: SimProcess;
  readonly random: Prng;
  readonly sdk: Client;

  constructor(world: ClientWorld, name: string, seed: number) {
    this.world = world;
    this.process = world.cluster.process(name);
    this.random = new Prng(seed);
    const servers = [...world.cluster.nodes.keys()].map((id) => `ws://${id}/v1/ws`);
    this.sdk = createClient(platformOf(world.cluster, this.process), servers, {
      clientId: name,
      requestTimeoutMs: this.random.pick([1_000, 3_000, 10_000]),
      connectTimeoutMs: 1_000,
      heartbeatMs: 2_000,
      reconnect: { minDelayMs: 20, maxDelayMs: 400 },
    });
  }

  get name(): string {
    return this.process.name;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.process.in(ms, 'timer', resolve));
  }

  /** Counts one operation of a client as an event of the run. */
  operates(): void {
    this.process.scheduler.count('client', this.process.number);
  }
}

function platformOf(cluster: SimCluster, process: SimProcess): Platform {
  const { clock, timers, random } = process.env;
  return {
    clock,
    timers,
    random,
    crc32c: crc32cPortable,
    // Synchronous in truth: Web Crypto answers from a thread, in no particular order.
    sha256: async (bytes) => new Uint8Array(createHash('sha256').update(bytes).digest()),
    openSocket: (url) => cluster.clients.open(process, url),
    agent: 'logdrive-client sim',
  };
}

/** Ends a call of the history by the error it ended with. Anything but an error of the table is a defect. */
export function failure(error: unknown): Answer {
  if (!LogError.is(error) || error.code === 'INTERNAL') throw error;
  const { earliest } = error.details;
  if (error.code === 'TRIMMED' && earliest !== undefined) return { kind: 'trimmed', earliest };
  return { kind: 'failed', outcome: error.outcome, code: error.code };
}
