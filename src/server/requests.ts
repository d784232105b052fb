/** The REQUEST messages of a session as verbs of the broker, and the verbs' results as RESPONSE messages. */
import type { BrokerVerbs } from '../broker/index.ts';
import type { RequestBody, ResponseBody } from '../protocol/index.ts';

export interface Answer {
  readonly body: ResponseBody;
  /** Record batches that ride behind it. Frozen. */
  readonly payload: readonly Uint8Array[];
}

const NOTHING: readonly Uint8Array[] = [];
const DONE: Answer = { body: { kind: 'done' }, payload: NOTHING };

export async function answerRequest(broker: BrokerVerbs, request: RequestBody, signal: AbortSignal): Promise<Answer> {
  switch (request.kind) {
    case 'describe-topic':
      return plain({ kind: 'topic', ...(await broker.describeTopic(request.name)) });
    case 'list-topics':
      return plain({ kind: 'topics', topics: await broker.listTopics() });
    case 'create-topic': {
      const { kind: _kind, ...topic } = request;
      return plain({ kind: 'topic', ...(await broker.createTopic(topic)) });
    }
    case 'delete-topic':
      await broker.deleteTopic(request.name);
      return DONE;
    case 'cluster':
      return plain({ kind: 'cluster', ...broker.cluster() });
    case 'read': {
      const { kind: _, ...asked } = request;
      const { batches, ...read } = await broker.read({ ...asked, signal });
      return { body: { kind: 'read', ...read }, payload: batches };
    }
    case 'tail': {
      const { topic, partition, level, token } = request;
      return plain({ kind: 'tail', ...(await broker.tail(topic, partition, { level, token })) });
    }
    case 'transfer-leader':
      await broker.transferLeader(request.topic, request.partition, request.to);
      return DONE;
    case 'trim':
      await broker.trim(request.topic, request.partition, request.before);
      return DONE;
    case 'add-node':
      await broker.addNode({ id: request.id, peerAddress: request.peerAddress });
      return DONE;
    case 'remove-node':
      await broker.removeNode(request.id);
      return DONE;
    case 'replace-node':
      await broker.replaceNode(request.id, request.by, request.peerAddress);
      return DONE;
    case 'drain-node':
      await broker.drainNode(request.id, request.isDrained);
      return DONE;
    case 'take-snapshot':
      return plain({ kind: 'snapshot', ...(await broker.takeSnapshot(request.topic, request.partition)) });
  }
}

function plain(body: ResponseBody): Answer {
  return { body, payload: NOTHING };
}
