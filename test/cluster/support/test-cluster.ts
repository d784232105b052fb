/** Some real nodes that form one cluster, in a temporary directory, on free ports. Disposed of with everything. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../../support/eventually.ts';
import { freePorts } from '../../support/free-ports.ts';
import { TestNode } from './test-node.ts';

export interface TestClusterOptions {
  readonly nodes?: number;
  /** Flags for every node. */
  readonly flags?: readonly string[];
  readonly start?: boolean;
  /** Variables of every node. */
  readonly env?: Readonly<Record<string, string>>;
}

interface TopicAnswer {
  readonly partitions: readonly { readonly leader: string | null; readonly tail: number }[];
}

export class TestCluster implements AsyncDisposable {
  readonly dir: string;
  readonly nodes: readonly TestNode[];

  private constructor(dir: string, nodes: readonly TestNode[]) {
    this.dir = dir;
    this.nodes = nodes;
  }

  /** Resolves when every node is ready, unless told not to start them. */
  static async create(options: TestClusterOptions = {}): Promise<TestCluster> {
    const { nodes: count = 3, flags = [], start = true, env = {} } = options;
    const dir = await mkdtemp(join(tmpdir(), 'logdrive-test-'));
    const ports = await freePorts(2 * count);
    const ids = Array.from({ length: count }, (_, at) => `n${at + 1}`);
    const peers = count === 1 ? '' : ids.map((id, at) => `${id}=127.0.0.1:${ports[count + at]}`).join(',');
    const nodes = ids.map(
      (id, at) =>
        new TestNode({
          id,
          dataDir: join(dir, id),
          clientPort: ports[at]!,
          peerPort: ports[count + at]!,
          peers,
          flags,
          env,
        }),
    );
    const cluster = new TestCluster(dir, nodes);
    if (start) await cluster.start();
    return cluster;
  }

  /** Starts the nodes that do not run; resolves when all are ready. */
  async start(): Promise<void> {
    for (const node of this.nodes) if (!node.isRunning) node.start();
    try {
      await Promise.all(this.nodes.map((node) => node.ready()));
    } catch (error) {
      const logs = this.nodes.map((node) => `${node.id}: ${node.log.slice(-4_000)}`);
      throw new Error(`${(error as Error).message}; the logs of all:\n${logs.join('\n')}`, { cause: error });
    }
  }

  /** For -s: all nodes, separated by commas. */
  get servers(): string {
    return this.nodes.map((node) => node.address).join(',');
  }

  node(id: string): TestNode {
    const node = this.nodes.find((each) => each.id === id);
    if (node === undefined) throw new Error(`no node ${id}`);
    return node;
  }

  others(node: TestNode): readonly TestNode[] {
    return this.nodes.filter((each) => each !== node);
  }

  /** The node that leads partition 0 of a topic, as one of the running nodes (`unless` left out) sees it. */
  async leaderOf(topic: string, unless?: TestNode): Promise<TestNode> {
    return eventually(
      async () => {
        for (const asked of this.nodes) {
          if (!asked.isRunning || asked === unless) continue;
          const answer = (await asked.get(`/v1/topics/${topic}`)) as TopicAnswer;
          const leader = answer.partitions[0]?.leader;
          const node = this.nodes.find((each) => each.id === leader);
          if (node?.isRunning && node !== unless) return node;
        }
        return undefined;
      },
      { what: `a leader of ${topic}` },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()));
    await rm(this.dir, { recursive: true, force: true });
  }
}
