/**
 * What a client can do, in words that every face can say: the SDK over a WebSocket, the SDK of an embedded broker, and
 * plain HTTP. verbs-sdk.ts and verbs-http.ts fulfil this contract, verbs-cases.ts is what all of them must do alike.
 * Failures are LogErrors on every face.
 */

import type { ReadLevel } from '../../src/client/index.ts';

export type Face = 'WebSocket' | 'embedded' | 'HTTP';

export type Start =
  | 'earliest'
  | 'latest'
  | { readonly offset: number }
  | { readonly timestamp: number }
  | { readonly last: number };

export interface Outgoing {
  readonly value: Uint8Array;
  readonly key?: Uint8Array;
  readonly headers?: readonly { readonly key: string; readonly value: Uint8Array }[];
  readonly timestamp?: number;
}

export interface Incoming {
  readonly offset: number;
  readonly timestamp: number;
  readonly key: Uint8Array | undefined;
  readonly value: Uint8Array;
  readonly headers: readonly { readonly key: string; readonly value: Uint8Array }[];
}

export interface Appended {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number | undefined;
  readonly lastOffset: number | undefined;
  readonly count: number;
  readonly timestamp: number;
  readonly term: number;
  readonly duplicate: boolean;
  /** null or undefined with an offset that is not remembered. */
  readonly token: string | null | undefined;
}

export interface Page {
  readonly records: readonly Incoming[];
  readonly nextOffset: number;
  readonly earliest: number;
  readonly tail: number;
  readonly level: string;
  readonly node: string;
  readonly appliedOffset: number;
  readonly term: number;
  /** Absent without records. */
  readonly token?: string | undefined;
}

export interface TopicFacts {
  readonly name: string;
  readonly id: number;
  readonly partitions: readonly {
    readonly partition: number;
    readonly leader: string | undefined;
    readonly replicas: readonly string[];
    readonly earliest: number;
    readonly tail: number;
  }[];
}

export interface TopicSpec {
  readonly name: string;
  readonly partitions?: number;
  readonly replicas?: number;
}

export interface ReadRequest {
  readonly from: Start;
  readonly partition?: number;
  readonly waitMs?: number;
  readonly limit?: number;
  readonly level?: ReadLevel;
  readonly token?: string;
}

/** Numbers its records from 0 within its epoch. */
export interface NumberedProducer {
  send(value: Uint8Array): Promise<Omit<Appended, 'lastOffset' | 'count'>>;
  close(): Promise<void>;
}

export interface Verbs {
  readonly face: Face;
  /** The node that is asked, and no other. */
  readonly node: string;
  create(spec: TopicSpec): Promise<TopicFacts>;
  describe(name: string): Promise<TopicFacts>;
  list(): Promise<readonly TopicFacts[]>;
  remove(name: string): Promise<void>;
  trim(topic: string, before: number): Promise<void>;
  append(topic: string, record: Outgoing, partition?: number): Promise<Appended>;
  appendBatch(topic: string, records: readonly Outgoing[]): Promise<Appended>;
  read(topic: string, request: ReadRequest): Promise<Page>;
  /** One past the last committed record, as the leader knows it. */
  tail(topic: string, partition?: number): Promise<number>;
  /** Where callers number their records themselves; the SDK does that for them. */
  readonly appendNumbered?: (
    topic: string,
    value: Uint8Array,
    producer: { readonly id: string; readonly epoch: number; readonly sequence: number },
  ) => Promise<Appended>;
  producer(topic: string, identity: { readonly id: string; readonly epoch: number }): NumberedProducer;
  close(): Promise<void>;
}
