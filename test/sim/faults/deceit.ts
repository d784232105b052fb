/**
 * Memory that lies for a moment: an entry reaches the unlucky machine as another one, whole and in its place, which no
 * checksum of its own shows (R27). Only while every other replica holds the true one and the one behind it, committed:
 * so nobody needs the forged copy, its log is too short to be elected with, and the next entry finds it out.
 */
import { decodePeerMessage, encodePeerMessage } from '../../../src/partition/peer-codec.ts';
import { isTransferMessage } from '../../../src/partition/snapshot-codec.ts';
import { crc32c, encodeEntry, type LogEntry } from '../../../storage/index.ts';
import type { Fault } from './fault.ts';

/** How long an occasion is looked for. What the machine is sent comes late at first, so that the others are ahead. */
const LOOK_MS = 400;
const LATE_MS_MAX = 150;
/** Where a record batch has its checksum, what that covers, and the last byte of the time of its first record. */
const CRC_AT = 17;
const CRC_FROM = 21;
const TIME_END_AT = 34;

/** A batch with the same records, but for their times. */
function forge({ header, payload }: LogEntry, previousChain: LogEntry['header']['chain']): LogEntry {
  const batch = new Uint8Array(payload);
  batch[TIME_END_AT]! ^= 1;
  new DataView(batch.buffer).setUint32(CRC_AT, crc32c(batch.subarray(CRC_FROM)));
  return encodeEntry({ ...header, payload: batch }, previousChain);
}

export const DECEIT_FAULTS: readonly Fault[] = [
  {
    name: 'deceit',
    everyMs: 500,
    strike({ cluster, harm, nodeIds, later }, random) {
      const { unlucky } = harm;
      if (!cluster.isUp(unlucky) || cluster.forge !== undefined) return false;
      const lateMs = random.below(LATE_MS_MAX);
      for (const other of nodeIds) if (other !== unlucky) cluster.wires.stall(other, unlucky, lateMs);
      const attempt = (from: string, to: string, group: number, bytes: Uint8Array): Uint8Array => {
        if (to !== unlucky || isTransferMessage(bytes) || !harm.mayBeDeceived(group)) return bytes;
        // What comes while the log is opened is kept, and taken in another state of it.
        if (cluster.node(to).partitions.get(group)?.isClosed !== false) return bytes;
        const { message, entries, previousChain } = decodePeerMessage(bytes, from, to);
        const last = entries.at(-1);
        if (message.kind !== 'append' || last === undefined || last.header.kind !== 'batch') return bytes;
        const { index, compacted } = last.header;
        if (compacted !== undefined || !harm.canSpareEntry(group, index, message.previous.index)) return bytes;
        const chain = entries.at(-2)?.header.chain ?? previousChain!;
        const forged = forge(last, chain);
        harm.deceive(group, forged.header);
        cluster.forge = undefined;
        const received = [...entries.slice(0, -1), forged];
        return Buffer.concat(encodePeerMessage(message, { entries: received, previousChain: previousChain! }));
      };
      cluster.forge = attempt;
      later(lateMs + LOOK_MS, () => {
        if (cluster.forge === attempt) cluster.forge = undefined;
      });
      return true;
    },
  },
];
