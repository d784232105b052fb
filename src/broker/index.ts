/** The only door of this room: the broker, what it is made of, and the verbs doors call. */
export { Broker } from './broker.ts';
export type { BrokerOptions, BrokerWorld } from './options.ts';
export type { PeerDescription, PeerHandler, PeerMethod, Peers } from './peers.ts';
export type {
  AppendRequest,
  AppendResult,
  BrokerVerbs,
  ClientHandle,
  ClusterDescription,
  Compaction,
  CreateTopicRequest,
  HealthCheck,
  NewNode,
  NodeDescription,
  PartitionDescription,
  Reader,
  ReadLevel,
  ReadRequest,
  ReadResult,
  ReadStamp,
  ReadToken,
  Retention,
  StartAt,
  SubscribeRequest,
  TailResult,
  TopicDescription,
  TopicRef,
  WantedLevel,
} from './verbs.ts';
