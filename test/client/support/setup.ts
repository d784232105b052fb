/** A client connected to a fake cluster, in a world of its own. */
import { type Client, connectWith } from '../../../src/client/client.ts';
import type { ConnectOptions } from '../../../src/client/options.ts';
import { crc32cPortable, encodeRecordBatch, LogError } from '../../../src/protocol/index.ts';
import { FakeCluster } from './fake-cluster.ts';
import type { FakePartition, FakeTopic } from './fake-partition.ts';
import { World } from './world.ts';

export interface Scene {
  readonly world: World;
  readonly cluster: FakeCluster;
  readonly client: Client;
  readonly topic: FakeTopic;
  readonly partition: FakePartition;
}

export interface SceneOptions extends ConnectOptions {
  readonly nodes?: readonly string[];
  readonly partitions?: number;
  readonly seed?: number;
  readonly servers?: readonly string[];
  readonly arrange?: (cluster: FakeCluster) => void;
}

export async function scene(options: SceneOptions = {}): Promise<Scene> {
  const { nodes, partitions = 1, seed, servers, arrange, ...connectOptions } = options;
  const world = new World(seed);
  const cluster = new FakeCluster(world, nodes);
  const topic = cluster.createTopic('orders', partitions);
  arrange?.(cluster);
  const client = await world.run(
    connectWith(world.platform, servers ?? cluster.nodes.map(({ url }) => url), connectOptions),
  );
  return { world, cluster, client, topic, partition: topic.partitions[0]! };
}

const TEXT = new TextEncoder();

/** Appends batches to a partition behind the client's back. */
export function fill(partition: FakePartition, batches: readonly (readonly string[])[]): void {
  for (const values of batches) {
    const records = values.map((value) => ({ value: TEXT.encode(value) }));
    partition.append(encodeRecordBatch(records, { nowMs: 1_700_000_000_000, crc32c: crc32cPortable }), undefined);
  }
}

/** What the promise came to, as one line that says what matters. */
export async function outcomeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'ok';
  } catch (error) {
    if (!LogError.is(error)) throw error;
    return `${error.code} ${error.outcome}`;
  }
}
