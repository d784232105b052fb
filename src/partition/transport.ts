/**
 * What a partition needs of the network: bytes to a peer, in order within a lane, or not at all. Fulfilled by the peer
 * links of src/server and by the simulated network of the tests.
 */
import type { NodeId } from '../raft/index.ts';

/** 'control': votes, heartbeats, small questions. 'bulk': entries and snapshots. Bulk never delays control. */
export type Lane = 'control' | 'bulk';

export interface Transport {
  /**
   * Queues one message for a peer. Chunks are frozen: the transport keeps them until they left. Within one lane
   * messages arrive in the order they were sent or are lost; there is no other promise. Returns false, and has taken
   * nothing, when the peer is down or the lane's queue is at its cap.
   */
  send(to: NodeId, lane: Lane, groupId: number, chunks: readonly Uint8Array[]): boolean;
  /** Bytes queued for the peer and not yet given to the operating system. */
  queuedBytes(to: NodeId, lane: Lane): number;
  isUp(to: NodeId): boolean;
}
