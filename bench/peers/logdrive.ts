/** logdrive among its peers: three nodes as the other benches start them, through its own SDK and its HTTP door. */
import { type Client, connect } from '../../src/client/index.ts';
import { BenchCluster, durabilityOf } from '../bench-cluster.ts';
import type { BenchContext } from '../scenario.ts';
import { closeAll, timed, untilTimeIsUp } from './pace.ts';
import type { Driver, ProduceLoad, RunningPeer, Sender, Throughput } from './peer.ts';

const NODES = 3;
const CREATE_MS_MAX = 30_000;

interface LogdriveSettings {
  readonly servers: readonly string[];
  /** As the servers, by id. */
  readonly ids: readonly string[];
}

export async function startLogdrive(context: BenchContext, dir: string): Promise<RunningPeer> {
  const cluster = await BenchCluster.start({ ...context, dir }, { nodes: NODES });
  const settings: LogdriveSettings = { servers: cluster.servers, ids: cluster.nodes.map((node) => node.id) };
  return {
    label: `logdrive, ${durabilityOf(NODES, context.machine.fileSystem)}`,
    clients: [{ label: `its SDK, commit ${context.machine.commit}`, driver: 'logdrive', settings }],
    look: () => Promise.all(cluster.nodes.map(async (node) => ({ name: node.id, sample: await node.sample() }))),
    killNode: (at) => cluster.nodes[at]!.kill(),
    async restartNode(at) {
      cluster.nodes[at]!.start();
      await cluster.nodes[at]!.ready();
    },
  };
}

export async function openLogdrive(settings: LogdriveSettings): Promise<Driver> {
  const { servers, ids } = settings;
  const addresses = servers.map((server) => server.replace('ws:', 'http:'));
  const open = (): ReturnType<typeof connect> => connect([...servers], { requestTimeoutMs: CREATE_MS_MAX });
  const client = await open();
  const senders: Sender[] = [];
  const leader = async (topic: string): Promise<number | undefined> => {
    for (const [at, address] of addresses.entries()) {
      const answer = await fetch(`${address}/v1/topics/${topic}`).catch(() => undefined);
      if (answer?.ok !== true) continue;
      const { partitions } = (await answer.json()) as { partitions: readonly { leader: string | null }[] };
      // Only the leader itself is believed: the others may not have heard of a change yet.
      if (partitions[0]?.leader === ids[at]) return at;
    }
    return undefined;
  };
  return {
    async createTopic(topic) {
      await client.admin.createTopic({ name: topic, partitions: 1, replicas: servers.length });
    },
    deleteTopic: (topic) => client.admin.deleteTopic(topic),
    async sender(topic) {
      const own = await open();
      const appending = own.topic(topic);
      const sender: Sender = {
        send: (value) => appending.append({ value }),
        close: () => own.close(),
      };
      senders.push(sender);
      return sender;
    },
    produce: (topic, load) => produceAll(client, topic, load),
    consume: (topic, records) => readAll(client, topic, records),
    async httpRequest(topic, value) {
      const at = await leader(topic);
      return {
        url: `${addresses[at ?? 0]}/v1/topics/${topic}/records`,
        body: Buffer.from(value),
        headers: { 'content-type': 'application/octet-stream' },
      };
    },
    leader,
    async close() {
      await closeAll(senders);
      await client.close();
    },
  };
}

async function produceAll(client: Client, topic: string, { values, seconds }: ProduceLoad): Promise<Throughput> {
  const producer = client.topic(topic).producer();
  await producer.send({ value: values[0]! });
  const result = await timed(async () => {
    const isTimeLeft = untilTimeIsUp(seconds);
    let sent = 0;
    for (; isTimeLeft(); sent++) {
      if (!producer.enqueue({ value: values[sent % values.length]! })) await producer.drained();
    }
    await producer.flush();
    return sent;
  });
  await producer.close();
  return result;
}

function readAll(client: Client, topic: string, records: number): Promise<Throughput> {
  return timed(async () => {
    let next = 0;
    for await (const batch of client.topic(topic).subscribe({ from: 'earliest', to: 'tail' }).batches()) {
      for (const record of batch.records) {
        if (record.offset !== next) throw new Error(`offset ${record.offset} where ${next} was due`);
        next++;
      }
    }
    if (next < records) throw new Error(`${topic} gave ${next} of ${records} records`);
    return next;
  });
}
