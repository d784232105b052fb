/**
 * A state too large for one message, as bytes between nodes; smaller ones travel whole (peer-codec.ts). The leader
 * offers it, the follower says from where on it wants it, the leader sends one chunk, the follower wants the next.
 *
 *   every message    u8 kind   u53 term   then which snapshot: u53 term, u53 index, u53 bytes of the state, u32 CRC-32C
 *                    of that
 *  16 offer          u53 commit   text membership (JSON)   u53 nextOffset   u53 appendTimeMs   u32 x 2 chain
 *  17 wanted         u53 position: this much is here
 *  18 chunk          u53 position   u32 CRC-32C of the chunk   blob
 */
import { crc32c, type Snapshot, type SnapshotKey } from '../../storage/index.ts';
import type { InstallSnapshot } from '../raft/index.ts';
import { ByteReader, ByteWriter, MalformedBytes } from './bytes.ts';
import { parseMembershipText } from './membership.ts';

const KINDS = { 16: 'offer', 17: 'wanted', 18: 'chunk' } as const;
const OFFER = 16;
const WANTED = 17;
const CHUNK = 18;

interface About {
  /** The sender's. */
  readonly term: number;
  readonly key: SnapshotKey;
}

export interface SnapshotOffer extends About {
  readonly kind: 'offer';
  /** The message the core is to see once the state is here, `from` and `to` aside. */
  readonly message: Pick<InstallSnapshot, 'commit' | 'membership'>;
  /** All of the snapshot but its state. */
  readonly point: Omit<Snapshot, 'state'>;
}

export interface SnapshotWanted extends About {
  readonly kind: 'wanted';
  readonly position: number;
}

export interface SnapshotChunk extends About {
  readonly kind: 'chunk';
  readonly position: number;
  readonly bytes: Uint8Array;
}

export type TransferMessage = SnapshotOffer | SnapshotWanted | SnapshotChunk;

/** Whether a peer's message is one of these. */
export function isTransferMessage(bytes: Uint8Array): boolean {
  return bytes[0] !== undefined && bytes[0] in KINDS;
}

export function encodeTransfer(message: TransferMessage): Uint8Array[] {
  const writer = new ByteWriter(128);
  writer.u8(message.kind === 'offer' ? OFFER : message.kind === 'wanted' ? WANTED : CHUNK);
  writer.u53(message.term);
  const { key } = message;
  writer.u53(key.term);
  writer.u53(key.index);
  writer.u53(key.stateBytes);
  writer.u32(key.stateCrc);
  switch (message.kind) {
    case 'offer':
      writer.u53(message.message.commit);
      writer.text(JSON.stringify(message.message.membership));
      writer.u53(message.point.nextOffset);
      writer.u53(message.point.appendTimeMs);
      writer.u32(message.point.chain.high);
      writer.u32(message.point.chain.low);
      break;
    case 'wanted':
      writer.u53(message.position);
      break;
    case 'chunk':
      writer.u53(message.position);
      writer.u32(crc32c(message.bytes));
      // Referenced, not copied: the chunk is a view of the state.
      return [writer.finish(), message.bytes];
    default:
      message satisfies never;
  }
  return [writer.finish()];
}

/** @throws MalformedBytes */
export function decodeTransfer(bytes: Uint8Array): TransferMessage {
  const reader = new ByteReader(bytes);
  const code = reader.u8();
  const term = reader.u53();
  const key = { term: reader.u53(), index: reader.u53(), stateBytes: reader.u53(), stateCrc: reader.u32() };
  switch (code) {
    case OFFER: {
      const commit = reader.u53();
      const membership = parseMembershipText(reader.text());
      const nextOffset = reader.u53();
      const appendTimeMs = reader.u53();
      const chain = { high: reader.u32(), low: reader.u32() };
      reader.expectEnd();
      const point = { index: key.index, term: key.term, nextOffset, appendTimeMs, chain };
      return { kind: 'offer', term, key, message: { commit, membership }, point };
    }
    case WANTED: {
      const position = reader.u53();
      reader.expectEnd();
      return { kind: 'wanted', term, key, position };
    }
    case CHUNK: {
      const position = reader.u53();
      const checksum = reader.u32();
      const part = reader.rest();
      if (crc32c(part) !== checksum) throw new MalformedBytes('a chunk of a snapshot fails its checksum');
      return { kind: 'chunk', term, key, position, bytes: part };
    }
    default:
      throw new MalformedBytes(`unknown kind of snapshot message: ${code}`);
  }
}
