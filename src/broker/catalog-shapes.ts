/** What the catalog says of nodes, topics and replicas, and what comes of a command. Shapes only. */
import type { Compaction, Retention } from './verbs.ts';

export interface CatalogNode {
  readonly id: string;
  /** With the id: who this is. An empty disk with a known id is a stranger (R18). */
  readonly diskUuid: string;
}

export interface CatalogPartition {
  readonly partition: number;
  readonly groupId: number;
  /** The first is the preferred leader. */
  readonly replicas: readonly string[];
  /** The replicas it was made with, once others took their place: the membership its log begins with. */
  readonly founders?: readonly string[];
  /** Of its first record; absent: 0. A restored partition goes on counting where the saved one did. */
  readonly firstOffset?: number;
  /** The replica on `from` goes, and one on `to` comes in its place; without `to`, one replica less is left. */
  readonly move?: { readonly from: string; readonly to?: string | undefined } | undefined;
  /** Nodes the move was to end at until they had to leave themselves. They may be voters by now, and so keep their
   *  replica until the move is done. */
  readonly formerTargets?: readonly string[] | undefined;
}

export interface CatalogTopic {
  /** Index of the catalog entry that made it: never reused, so that a topic made anew is another topic (L5). */
  readonly id: number;
  readonly name: string;
  readonly partitions: readonly CatalogPartition[];
  readonly retention: Retention;
  readonly compaction: Compaction | undefined;
}

export type CatalogOutcome =
  | 'done'
  | 'exists'
  | 'not-found'
  | 'too-many'
  | 'invalid'
  /** Another node is coming or going. */
  | 'busy'
  /** A node of that id was removed. */
  | 'used-up'
  /** Nobody would be left. */
  | 'last';
