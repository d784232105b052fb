/**
 * Hard state (term and vote) of one log: two slots in different 4 KiB blocks of a file of fixed size, each an envelope
 * with a sequence number. Overwriting allocates nothing, so that a full disk does not stop an election.
 *
 *   envelope 'LDHARDS ', body: 16B disk UUID, u32 group id, u64 sequence, u64 term, u8 1 when a vote follows, text vote
 *
 * A save writes slot 0, flushes, writes slot 1, flushes, and resolves then. So at any moment at least one slot holds
 * the state that was promised last, or the newer one whose save has not resolved; one torn or rotten slot never brings
 * an older promise back (W13). Both bad: CORRUPT, and this replica must not vote (F44).
 */
import { type Disk, type File, joinPath, PAGE_BYTES } from './disk.ts';
import { decodeEnvelope, type EnvelopeKind, encodeEnvelope } from './envelope.ts';
import { StorageError } from './errors.ts';
import { FieldReader, FieldWriter, fromHex, toHex } from './fields.ts';
import type { GroupId, HardState } from './types.ts';

export const HARD_STATE_NAME = 'hard-state';
export const HARD_STATE_BYTES: number = 2 * PAGE_BYTES;

const KIND: EnvelopeKind = { magic: 'LDHARDS ', version: 1, bodyBytesMax: 512 };
const SLOTS: readonly number[] = [0, PAGE_BYTES];

export const FIRST_HARD_STATE: HardState = Object.freeze({ term: 0, votedFor: undefined });

interface Owner {
  readonly groupId: GroupId;
  readonly diskUuid: string;
}

interface Slot {
  readonly sequence: number;
  readonly state: HardState;
}

export function encodeHardStateSlot(slot: Slot, owner: Owner): Uint8Array {
  const body = new FieldWriter().bytes(fromHex(owner.diskUuid, 16)).u32(owner.groupId).u64(slot.sequence);
  body.u64(slot.state.term).u8(slot.state.votedFor === undefined ? 0 : 1);
  if (slot.state.votedFor !== undefined) body.text(slot.state.votedFor);
  const block = new Uint8Array(PAGE_BYTES);
  block.set(encodeEnvelope(KIND, body.finish()));
  return block;
}

export function decodeHardStateSlot(block: Uint8Array, owner: Owner, file: string): Slot | undefined {
  const body = decodeEnvelope(KIND, block, file);
  if (body === undefined) return undefined;
  const fields = new FieldReader(body);
  const diskUuid = toHex(fields.bytes(16));
  const groupId = fields.u32();
  if (diskUuid !== owner.diskUuid || groupId !== owner.groupId) {
    throw new StorageError('FOREIGN', `hard state of group ${groupId} on disk ${diskUuid}`, { file });
  }
  const sequence = fields.u64();
  const term = fields.u64();
  return { sequence, state: { term, votedFor: fields.u8() === 0 ? undefined : fields.text() } };
}

/** The hard-state file of a log. Saves are written one after the other, in the order they were asked for. */
export class HardStateFile {
  readonly #file: File;
  readonly #owner: Owner;
  #sequence: number;
  #state: HardState;

  private constructor(file: File, owner: Owner, slot: Slot) {
    this.#file = file;
    this.#owner = owner;
    this.#sequence = slot.sequence;
    this.#state = slot.state;
  }

  /** Makes the file of a new log; durable except for its directory entry, which the caller flushes. */
  static async create(disk: Disk, directory: string, owner: Owner): Promise<void> {
    const file = await disk.open(joinPath(directory, HARD_STATE_NAME), 'create');
    const first = encodeHardStateSlot({ sequence: 1, state: FIRST_HARD_STATE }, owner);
    try {
      await file.write(0, [first, first]);
      await file.flush();
    } finally {
      await file.close();
    }
  }

  /** Reads both slots. Writes nothing: a bad slot is mended by mend(), once all of the log was validated (W25). */
  static async open(disk: Disk, directory: string, owner: Owner): Promise<{ file: HardStateFile; isWhole: boolean }> {
    const path = joinPath(directory, HARD_STATE_NAME);
    if ((await disk.stat(path)) === undefined) {
      throw new StorageError('CORRUPT', 'the hard state is missing', { file: path });
    }
    const file = await disk.open(path, 'write', 'durable-writes');
    try {
      const slots = await readSlots(file, owner, path);
      const newest = newestOf(slots);
      if (newest === undefined) {
        throw new StorageError('CORRUPT', 'both slots of the hard state are damaged; remove this replica', {
          file: path,
        });
      }
      const isWhole = slots.every((slot) => slot?.sequence === newest.sequence);
      return { file: new HardStateFile(file, owner, newest), isWhole };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  get state(): HardState {
    return this.#state;
  }

  /** Durable in both slots when it resolves. Calls must not overlap. */
  async save(state: HardState): Promise<void> {
    this.#sequence++;
    this.#state = state;
    const block = encodeHardStateSlot({ sequence: this.#sequence, state }, this.#owner);
    // Slot 1 is touched only when slot 0 is durable: a power cut never tears both.
    for (const position of SLOTS) await this.#file.writeDurable(position, [block]);
  }

  /** Makes both slots hold what was recovered. */
  async mend(): Promise<void> {
    await this.save(this.#state);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** The recovered hard state, for an onlooker; undefined when both slots are damaged. */
export async function readHardState(disk: Disk, directory: string, owner: Owner): Promise<HardState | undefined> {
  const path = joinPath(directory, HARD_STATE_NAME);
  const file = await disk.open(path, 'read');
  try {
    return newestOf(await readSlots(file, owner, path))?.state;
  } finally {
    await file.close();
  }
}

function newestOf(slots: readonly (Slot | undefined)[]): Slot | undefined {
  return slots.reduce((a, b) => (a === undefined || (b !== undefined && b.sequence > a.sequence) ? b : a), undefined);
}

async function readSlots(file: File, owner: Owner, path: string): Promise<(Slot | undefined)[]> {
  const slots: (Slot | undefined)[] = [];
  for (const position of SLOTS) {
    const block = new Uint8Array(PAGE_BYTES);
    const count = await file.read(position, block);
    slots.push(decodeHardStateSlot(block.subarray(0, count), owner, path));
  }
  return slots;
}
