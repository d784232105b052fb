/** The producing half of several scenarios: as many records as asked through the SDK, all of them acknowledged. */
import { type Client, type ConnectOptions, connect, type Producer, type ProducerOptions } from '../src/client/index.ts';
import type { BenchCluster } from './bench-cluster.ts';
import type { BenchContext } from './scenario.ts';

/** Values a load goes round; enough that no cache of a processor holds them all for large records. */
export const VALUES = 1_024;

export async function connectTo(
  context: Pick<BenchContext, 'cleanup'>,
  { servers }: Pick<BenchCluster, 'servers'>,
  options: ConnectOptions = {},
): Promise<Client> {
  const client = await connect(servers, { requestTimeoutMs: 30_000, ...options });
  context.cleanup.defer('the client', () => client.close());
  return client;
}

/** A producer that has found the leader of its topic, with one record acknowledged: what follows is steady work. */
export async function openProducer(
  client: Client,
  load: { readonly topic: string; readonly values: readonly Uint8Array[] },
  options: ProducerOptions = {},
): Promise<Producer<Uint8Array, Uint8Array>> {
  const producer = client.topic(load.topic).producer(options);
  await producer.send({ value: load.values[0]! });
  return producer;
}

/** Resolves when `count` more records are acknowledged; as much is in flight as the producer's options allow. */
export async function produceAll(
  producer: Producer<Uint8Array, Uint8Array>,
  values: readonly Uint8Array[],
  count: number,
): Promise<void> {
  for (let n = 0; n < count; n++) {
    if (!producer.enqueue({ value: values[n % values.length]! })) await producer.drained();
  }
  await producer.flush();
}
