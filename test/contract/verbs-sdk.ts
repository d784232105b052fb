/** The verbs through the SDK, over whatever transport its client has. */
import type { Client, Topic } from '../../src/client/index.ts';
import type { Appended, Face, NumberedProducer, Outgoing, Page, ReadRequest, TopicFacts, Verbs } from './verbs.ts';

/** @param client Knows the one node and looks for no others. */
export function sdkVerbs(face: Face, node: string, client: Client): Verbs {
  const topic = (name: string): Topic<Uint8Array, Uint8Array> => client.topic(name);
  return {
    face,
    node,
    create: (spec) => client.admin.createTopic(spec),
    describe: (name) => client.admin.describeTopic(name),
    async list() {
      const topics: TopicFacts[] = [];
      for await (const found of client.admin.listTopics()) topics.push(found);
      return topics;
    },
    remove: (name) => client.admin.deleteTopic(name),
    trim: (name, before) => client.admin.trim(name, before),
    async append(name, record, partition = 0) {
      const ack = await topic(name).append({ ...record, partition });
      return { ...ack, lastOffset: ack.offset, count: 1 };
    },
    appendBatch: async (name, records): Promise<Appended> =>
      await topic(name).appendBatch(records.map((record: Outgoing) => ({ ...record, partition: 0 }))),
    async read(name, { limit, ...request }: ReadRequest): Promise<Page> {
      return await topic(name).read({ ...request, ...(limit === undefined ? {} : { maxRecords: limit }) });
    },
    tail: async (name, partition) => (await topic(name).tail(partition)).offset,
    producer(name, identity): NumberedProducer {
      const producer = topic(name).producer(identity);
      return { send: (value) => producer.send({ value, partition: 0 }), close: () => producer.close() };
    },
    close: () => client.close(),
  };
}
