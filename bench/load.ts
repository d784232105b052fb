/** The producing half of several scenarios: as many records as asked through the SDK, all of them acknowledged. */
import { type Client, connect, type ProducerOptions } from '../src/client/index.ts';
import type { BenchCluster } from './bench-cluster.ts';
import type { BenchContext } from './scenario.ts';

/** Values a load goes round; enough that no cache of a processor holds them all for large records. */
export const VALUES = 1_024;

export async function connectTo(context: BenchContext, cluster: BenchCluster): Promise<Client> {
  const client = await connect(cluster.servers, { requestTimeoutMs: 30_000 });
  context.cleanup.defer('the client', () => client.close());
  return client;
}

/**
 * Resolves with the milliseconds from the first record handed to the SDK to the last acknowledgement. One producer
 * keeps as much in flight as its options and its buffer let it.
 */
export async function produceAll(
  client: Client,
  load: { readonly topic: string; readonly values: readonly Uint8Array[]; readonly count: number },
  options: ProducerOptions = {},
): Promise<number> {
  const { topic, values, count } = load;
  const producer = client.topic(topic).producer(options);
  const begunMs = performance.now();
  for (let n = 0; n < count; n++) {
    if (!producer.enqueue({ value: values[n % values.length]! })) await producer.drained();
  }
  await producer.flush();
  const elapsedMs = performance.now() - begunMs;
  await producer.close();
  return elapsedMs;
}
