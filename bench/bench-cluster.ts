/** Real nodes that form one cluster, in the directory of the bench, on free ports; ended by the bench's clean-up. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { BenchNode } from './bench-node.ts';
import { isVolatile } from './machine.ts';
import type { ProcessSample } from './process-use.ts';
import type { ProcessUse } from './result.ts';
import type { BenchContext } from './scenario.ts';
import { flushUse, type Scrape } from './scrape.ts';

const POLL_MS = 5;

export interface BenchClusterOptions {
  readonly nodes: number;
  readonly flags?: readonly string[];
  /** Client ports, then peer ports; free ones when not given. */
  readonly ports?: readonly number[];
}

interface TopicAnswer {
  readonly partitions: readonly { readonly leader: string | null; readonly tail: number }[];
}

/** A look at all processes at one moment; two of them make a ProcessUse each. */
export interface Look {
  readonly nodes: readonly { readonly sample: ProcessSample; readonly scrape: Scrape }[];
  readonly client: ProcessSample;
}

export class BenchCluster {
  readonly nodes: readonly BenchNode[];

  private constructor(nodes: readonly BenchNode[]) {
    this.nodes = nodes;
  }

  /** Resolves when every node is ready. */
  static async start(context: BenchContext, options: BenchClusterOptions): Promise<BenchCluster> {
    const { nodes: count, flags = [], ports = await freePorts(2 * count) } = options;
    const ids = Array.from({ length: count }, (_, at) => `n${at + 1}`);
    const peers = count === 1 ? '' : ids.map((id, at) => `${id}=127.0.0.1:${ports[count + at]}`).join(',');
    const nodes = ids.map(
      (id, at) =>
        new BenchNode({
          id,
          dataDir: join(context.dir, id),
          clientPort: ports[at]!,
          peerPort: ports[count + at]!,
          peers,
          flags,
          profileDir: context.profileDir,
        }),
    );
    const cluster = new BenchCluster(nodes);
    context.cleanup.defer('the nodes', () => cluster.#end());
    for (const node of nodes) node.start();
    context.say(`nodes run as ${nodes.map((node) => node.pid).join(', ')}`);
    await Promise.all(nodes.map((node) => node.ready()));
    return cluster;
  }

  /** One URL a node. */
  get servers(): string[] {
    return this.nodes.map((node) => `ws://${node.address}`);
  }

  node(id: string): BenchNode {
    const node = this.nodes.find((each) => each.id === id);
    if (node === undefined) throw new Error(`there is no node ${id}`);
    return node;
  }

  /** A topic on all nodes; resolves when its partitions have leaders. */
  async createTopic(name: string, partitions = 1): Promise<void> {
    const { address } = this.nodes[0]!;
    const answer = await fetch(`http://${address}/v1/topics`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name, partitions, replicas: this.nodes.length }),
    });
    if (answer.status !== 201)
      throw new Error(`creating ${name} was answered ${answer.status}: ${await answer.text()}`);
  }

  /** The node that leads partition 0, as soon as there is one. */
  async leaderOf(topic: string, timeoutMs = 10_000): Promise<BenchNode> {
    return this.#until(`a leader of ${topic}`, timeoutMs, async () => {
      for (const node of this.nodes) {
        const { partitions } = (await node.get(`/v1/topics/${topic}`)) as TopicAnswer;
        const leader = partitions[0]?.leader;
        // Only the leader itself is believed: the others may not have heard of a change yet.
        if (leader === node.id) return node;
      }
      return undefined;
    });
  }

  /** Rejects unless the topic holds exactly what the bench was told it appended. */
  async checkTail(topic: string, expected: number): Promise<void> {
    const leader = await this.leaderOf(topic);
    const { partitions } = (await leader.get(`/v1/topics/${topic}`)) as TopicAnswer;
    const tail = partitions[0]?.tail;
    if (tail !== expected) throw new Error(`${topic} holds ${tail} records, ${expected} were acknowledged`);
  }

  /** Resolves when `node` serves the topic up to `tail`. */
  async caughtUp(node: BenchNode, topic: string, tail: number, timeoutMs = 30_000): Promise<void> {
    await this.#until(`${node.id} to hold ${tail} records of ${topic}`, timeoutMs, async () => {
      const answer = await fetch(`http://${node.address}/v1/topics/${topic}/records?offset=${tail - 1}&limit=1`);
      if (!answer.ok) return undefined;
      return ((await answer.json()) as { appliedOffset: number }).appliedOffset >= tail || undefined;
    });
  }

  async #until<T>(what: string, timeoutMs: number, ask: () => Promise<T | undefined>): Promise<T> {
    const deadlineMs = performance.now() + timeoutMs;
    let last: unknown;
    while (performance.now() < deadlineMs) {
      try {
        const answer = await ask();
        if (answer !== undefined) return answer;
      } catch (error) {
        // A node that is just starting or was just killed; shown when it stays so.
        last = error;
      }
      await delay(POLL_MS);
    }
    throw new Error(`waited ${timeoutMs} ms in vain for ${what}${last === undefined ? '' : `: ${String(last)}`}`);
  }

  async look(): Promise<Look> {
    const nodes = await Promise.all(
      this.nodes.map(async (node) => ({ sample: await node.sample(), scrape: await node.scrape() })),
    );
    return { nodes, client: lookAtClient() };
  }

  useBetween(before: Look, after: Look): ProcessUse[] {
    const nodes = this.nodes.map((node, at) => {
      const [then, now] = [before.nodes[at]!, after.nodes[at]!];
      return { ...useOf(node.id, then.sample, now.sample), flushes: flushUse(then.scrape, now.scrape) };
    });
    return [...nodes, useOf('client', before.client, after.client)];
  }

  async #end(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.end()));
  }
}

/** What an ack means in a cluster of so many nodes on such a file system. */
export function durabilityOf(nodes: number, fileSystem: string): string {
  const level = nodes === 1 ? 'fsync on one node' : `fsync on a majority of ${nodes} nodes`;
  return isVolatile(fileSystem) ? `none: ${level}, but ${fileSystem} keeps nothing` : level;
}

function lookAtClient(): ProcessSample {
  const { user, system } = process.cpuUsage();
  return {
    atMs: performance.now(),
    cpuSeconds: (user + system) / 1e6,
    rssBytes: process.memoryUsage.rss(),
    rssBytesPeak: process.resourceUsage().maxRSS * 1024,
  };
}

export function useOf(name: string, before: ProcessSample, after: ProcessSample): ProcessUse {
  return {
    name,
    cpuSeconds: after.cpuSeconds - before.cpuSeconds,
    elapsedSeconds: (after.atMs - before.atMs) / 1_000,
    rssBytes: after.rssBytes,
    rssBytesPeak: after.rssBytesPeak,
  };
}

/** Ports nobody uses right now: taken from the system all at once, so that they differ, then given back. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  for (const server of servers) {
    server.close();
    await once(server, 'close');
  }
  return ports;
}
