/**
 * What a broker needs of its peers beyond raft messages: questions with answers, and word of who is up. Fulfilled by
 * src/server/peer-link.ts and by the tests' simulated network.
 */
import type { Transport } from '../partition/index.ts';

export interface PeerDescription {
  readonly id: string;
  readonly peerAddress: string;
  readonly isUp: boolean;
  /** As of the last handshake; undefined before the first. */
  readonly diskUuid: string | undefined;
  readonly clusterId: string | undefined;
  /** Where clients reach that node. */
  readonly clientUrl: string | undefined;
  readonly version: string | undefined;
  /** Why there is no link, when that is known. */
  readonly trouble?: string | undefined;
}

/** The questions nodes ask each other. Each has one body format, owned by the broker. */
export type PeerMethod =
  | 'append'
  | 'read'
  | 'read-index'
  | 'catalog'
  | 'status'
  | 'transfer'
  | 'trim'
  | 'snapshot'
  | 'fetch-entry'
  | 'rejoin'
  | 'lost-acks'
  | 'birth';

export interface Peers extends Transport {
  /** All configured and learnt peers, this node left out. */
  readonly list: readonly PeerDescription[];
  /**
   * Asks a peer and waits for its answer. Bodies are frozen. Rejects with LogError: CONNECTION 'none' when it was never
   * sent, CONNECTION 'unknown' when the link broke after, TIMEOUT 'unknown', or the error the peer's handler threw,
   * code, outcome and details intact.
   */
  call(
    to: string,
    method: PeerMethod,
    body: readonly Uint8Array[],
    options: { readonly timeoutMs: number },
  ): Promise<Uint8Array>;
  /** A node that is not configured, or whose address is known better by now: it is linked from here on. */
  learn(id: string, peerAddress: string): void;
  /** The end of that: its link is closed, and none is made again. Configured or not. */
  forget(id: string): void;
  /** The broker takes its place. Called once, before any link is made. */
  attach(handler: PeerHandler): void;
}

export interface PeerHandler {
  /** A raft message of a group; `bytes` is given. */
  onMessage(from: string, groupId: number, bytes: Uint8Array): void;
  onCall(from: string, method: PeerMethod, body: Uint8Array): Promise<readonly Uint8Array[]>;
  /** A link is up after both sides agreed on cluster id, node id and disk UUID. */
  onUp(peer: string): void;
  /** Its sockets closed: the process is gone or the network cut. */
  onDown(peer: string): void;
  /** Facts for the handshake, read anew at each. */
  identity(): {
    readonly nodeId: string;
    readonly diskUuid: string;
    readonly clusterId: string | undefined;
    readonly clientUrl: string | undefined;
    readonly version: string;
  };
  /** Whether that (node id, disk UUID) may take part: members after birth; any configured peer before it. */
  admits(peer: {
    readonly nodeId: string;
    readonly diskUuid: string;
    readonly clusterId: string | undefined;
  }): true | string;
}
