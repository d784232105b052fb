/**
 * The bytes of a backup: one file, written front to back, read front to back. Pure encode and decode; little-endian.
 *
 *   file    8B 'LDBACKUP', u32 version (1), u32 CRC-32C of the 12 bytes before; then blocks back to back
 *   block   byte  0  u32  CRC-32C of everything behind it in the block
 *                 4  u32  body bytes
 *                 8  u32  kind: 1 plan, 2 batches, 3 end
 *                12  u64  number of the block, from 0: one that is missing, doubled or out of place is noticed
 *                20       body
 *   plan    JSON: which cluster, when, and of each topic its settings and the offsets to save. The first block
 *   batches u32 topic (its place in the plan), u32 partition, u64 first offset, u64 next offset, record batches as they
 *           are stored (docs/protocol.md)
 *   end     JSON: of each partition the offsets that were saved. The last block: without it the backup is not whole
 */
import { crc32c } from '../storage/index.ts';

export const BACKUP_VERSION = 1;
export const FILE_HEADER_BYTES = 16;
export const BLOCK_HEADER_BYTES = 20;
/** Bounds what a reader believes of a length: a read's answer with one batch of the largest size behind it. */
export const BODY_BYTES_MAX: number = 64 * 1024 * 1024;

const MAGIC = 'LDBACKUP';
const BATCHES_HEADER_BYTES = 24;
const TWO_32 = 2 ** 32;

export interface SavedTopic {
  readonly name: string;
  readonly id: number;
  readonly replicas: number;
  readonly retention: Readonly<Record<string, number | null>>;
  /** Offsets when the backup began: [earliest, tail) is what is saved. */
  readonly partitions: readonly { readonly earliest: number; readonly tail: number }[];
}

export interface BackupPlan {
  readonly clusterId: string;
  readonly takenAtMs: number;
  readonly topics: readonly SavedTopic[];
}

export interface BatchesBlock {
  readonly topic: number;
  readonly partition: number;
  /** Of the first record of the first batch, which may lie below the partition's earliest offset. */
  readonly firstOffset: number;
  readonly nextOffset: number;
  /** Record batches back to back. */
  readonly batches: Uint8Array;
}

/** What was saved of a partition. Retention may have moved `earliest` up since the plan was made. */
export interface SavedPartition {
  readonly earliest: number;
  readonly tail: number;
  /** Of all batches in the backup, those below `earliest` too. */
  readonly bytes: number;
}

export interface BackupEnd {
  /** By topic and partition, as in the plan. */
  readonly topics: readonly (readonly SavedPartition[])[];
}

export type Block =
  | { readonly kind: 'plan'; readonly plan: BackupPlan }
  | { readonly kind: 'batches'; readonly batches: BatchesBlock }
  | { readonly kind: 'end'; readonly end: BackupEnd };

const KINDS: readonly Block['kind'][] = ['plan', 'batches', 'end'];

export function encodeFileHeader(): Buffer {
  const bytes = Buffer.alloc(FILE_HEADER_BYTES);
  bytes.write(MAGIC, 0, 'ascii');
  bytes.writeUInt32LE(BACKUP_VERSION, 8);
  bytes.writeUInt32LE(crc32c(bytes.subarray(0, 12)), 12);
  return bytes;
}

/** Why these are not the first bytes of a backup that can be read; undefined when they are. */
export function fileHeaderProblem(bytes: Buffer): string | undefined {
  if (bytes.length < FILE_HEADER_BYTES || bytes.toString('ascii', 0, 8) !== MAGIC) return 'this is not a backup';
  if (crc32c(bytes.subarray(0, 12)) !== bytes.readUInt32LE(12)) return 'the header fails its checksum';
  const version = bytes.readUInt32LE(8);
  return version === BACKUP_VERSION ? undefined : `backup format version ${version}, known is ${BACKUP_VERSION}`;
}

/** The block as chunks: the batches of a large one are not copied. */
export function encodeBlock(block: Block, number: number): Uint8Array[] {
  const body = bodyOf(block);
  const header = Buffer.alloc(BLOCK_HEADER_BYTES);
  header.writeUInt32LE(
    body.reduce((sum, chunk) => sum + chunk.length, 0),
    4,
  );
  header.writeUInt32LE(KINDS.indexOf(block.kind) + 1, 8);
  writeU64(header, number, 12);
  let crc = crc32c(header.subarray(4));
  for (const chunk of body) crc = crc32c(chunk, crc);
  header.writeUInt32LE(crc, 0);
  return [header, ...body];
}

function bodyOf(block: Block): Uint8Array[] {
  switch (block.kind) {
    case 'plan':
      return [Buffer.from(JSON.stringify(block.plan))];
    case 'end':
      return [Buffer.from(JSON.stringify(block.end))];
    case 'batches': {
      const { topic, partition, firstOffset, nextOffset, batches } = block.batches;
      const head = Buffer.alloc(BATCHES_HEADER_BYTES);
      head.writeUInt32LE(topic, 0);
      head.writeUInt32LE(partition, 4);
      writeU64(head, firstOffset, 8);
      writeU64(head, nextOffset, 16);
      return [head, batches];
    }
  }
}

/** How many bytes follow a block's header; undefined when it cannot be one. */
export function bodyBytesOf(header: Buffer): number | undefined {
  const bytes = header.readUInt32LE(4);
  return bytes <= BODY_BYTES_MAX ? bytes : undefined;
}

/** The block number `number`; a sentence about why it is none. */
export function decodeBlock(header: Buffer, body: Buffer, number: number): Block | string {
  if (crc32c(body, crc32c(header.subarray(4))) !== header.readUInt32LE(0)) return 'a block fails its checksum';
  const found = readU64(header, 12);
  if (found !== number) return `block ${found} lies where block ${number} is to be`;
  const kind = KINDS[header.readUInt32LE(8) - 1];
  switch (kind) {
    case 'plan':
      return { kind, plan: JSON.parse(body.toString()) as BackupPlan };
    case 'end':
      return { kind, end: JSON.parse(body.toString()) as BackupEnd };
    case 'batches': {
      if (body.length < BATCHES_HEADER_BYTES) return 'a block of batches is too short';
      const batches = {
        topic: body.readUInt32LE(0),
        partition: body.readUInt32LE(4),
        firstOffset: readU64(body, 8),
        nextOffset: readU64(body, 16),
        batches: body.subarray(BATCHES_HEADER_BYTES),
      };
      return { kind, batches };
    }
    default:
      return `a block of the unknown kind ${header.readUInt32LE(8)}`;
  }
}

function writeU64(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32LE(value % TWO_32, at);
  bytes.writeUInt32LE(Math.floor(value / TWO_32), at + 4);
}

function readU64(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at + 4) * TWO_32 + bytes.readUInt32LE(at);
}
