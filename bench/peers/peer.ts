/**
 * What a peer is to the bench: a system that does the same work as logdrive, set up by script on loopback, and the
 * client libraries its users would take. logdrive itself is one more of them, so that nothing is measured in two ways.
 *
 * A peer's servers are started by the bench; its client works in a process of its own (client-main.ts), which loads
 * only that library. What the two say to each other is JSON: `settings`.
 */
import type { ProcessSample } from '../process-use.ts';
import type { BenchContext } from '../scenario.ts';
import type { PeersDir } from './peers-dir.ts';

/** One connection with as many sends in flight as are called. */
export interface Sender {
  /** Resolves when the record is acknowledged as the peer's label says. */
  send(value: Uint8Array): Promise<unknown>;
  close(): Promise<void>;
}

/** A request that stores one record, for autocannon. */
export interface HttpRequest {
  readonly url: string;
  readonly body: string | Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

/** A client library at work against one running system. What it does not offer is left out, and not measured. */
export interface Driver {
  createTopic(topic: string): Promise<void>;
  /** Frees its disk space, as far as the system does that. */
  deleteTopic?(topic: string): Promise<void>;
  sender?(topic: string): Promise<Sender>;
  /** As fast as the library can, batching as it likes, for so long. @returns how many were sent in what time. */
  produce?(topic: string, load: ProduceLoad): Promise<Throughput>;
  /** Reads a topic of so many records from its start, once. @throws when they are not there. */
  consume?(topic: string, records: number): Promise<Throughput>;
  /** Reading takes the records away: the same topic cannot be read twice. */
  readonly consumesOnce?: true;
  /** The system's own way is HTTP: its many single connections are those of autocannon, too. */
  readonly singlesOverHttp?: true;
  /** Stores one record a request. */
  httpRequest?(topic: string, value: Uint8Array): Promise<HttpRequest>;
  /** Which of the system's nodes leads the topic, counted from 0. Undefined while nobody does. */
  leader?(topic: string): Promise<number | undefined>;
  close(): Promise<void>;
}

export interface ProduceLoad {
  readonly values: readonly Uint8Array[];
  readonly seconds: number;
}

export interface Throughput {
  readonly records: number;
  readonly seconds: number;
}

/** What an opened driver can be asked for. */
export type Offer = Partial<
  Record<'sender' | 'produce' | 'consume' | 'httpRequest' | 'leader' | 'singlesOverHttp', true>
>;

/** Names the file that opens a driver, as the client process knows it. */
export type DriverName = 'logdrive' | 'nats' | 'etcd' | 'kafkajs' | 'platformatic' | 'kafka-java' | 'redis' | 'amqplib';

export interface ClientSpec {
  /** Library and version, such as 'kafkajs 2.2.4'. */
  readonly label: string;
  readonly driver: DriverName;
  readonly settings: unknown;
  /** What a work of this client is held to: logdrive / peer. Only works the client offers. */
  readonly targets?: Partial<Record<RatioName, number>>;
}

/** The works that make a figure each, as ratios name them. */
export type RatioName =
  | 'produce 100 B'
  | 'produce 1 KiB'
  | 'consume 100 B'
  | 'one in flight p50'
  | 'one in flight p99'
  | 'singles'
  | 'HTTP POST'
  | 'failover gap';

export interface NamedSample {
  readonly name: string;
  readonly sample: ProcessSample;
}

/** A system that runs; the clean-up it was started with ends it. */
export interface RunningPeer {
  /** Version, replicas and what was flushed when a record is acknowledged: 'NATS JetStream 2.15.2, R3, ...'. */
  readonly label: string;
  readonly clients: readonly ClientSpec[];
  /** What its servers have used so far. */
  look(): Promise<readonly NamedSample[]>;
  /** SIGKILL; undefined where a failover makes no sense. */
  killNode?(at: number): Promise<void>;
  /** Starts it again and resolves when it serves. */
  restartNode?(at: number): Promise<void>;
}

export interface Peer {
  /** As --only takes it. */
  readonly name: string;
  /** What is missing here, each with how to get it; empty when the peer can run. */
  missing(tools: PeersDir): Promise<string[]>;
  /** In a directory of its own below that of the context, which exists. */
  start(context: BenchContext, tools: PeersDir, dir: string): Promise<RunningPeer>;
}
