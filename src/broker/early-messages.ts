/**
 * Raft messages of groups that are not open here yet, e.g. the first vote in a partition that was just made. Kept until
 * the group is opened; beyond the caps they are lost, which raft messages may be.
 */
const MESSAGES_PER_GROUP_MAX = 16;
const GROUPS_MAX = 1_024;
/** Of all groups together: what comes early is votes and no-ops. Larger messages are sent again. */
const BYTES_MAX = 4 * 1024 * 1024;

export interface EarlyMessage {
  readonly from: string;
  readonly bytes: Uint8Array;
}

export class EarlyMessages {
  readonly #groups = new Map<number, EarlyMessage[]>();
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  keep(groupId: number, { from, bytes }: EarlyMessage): void {
    const kept = this.#groups.get(groupId);
    const hasRoom = kept === undefined ? this.#groups.size < GROUPS_MAX : kept.length < MESSAGES_PER_GROUP_MAX;
    if (!hasRoom || this.#bytes + bytes.length > BYTES_MAX) return;
    // A copy: what is small must not keep the large frame it came in.
    const message = { from, bytes: new Uint8Array(bytes) };
    if (kept === undefined) this.#groups.set(groupId, [message]);
    else kept.push(message);
    this.#bytes += bytes.length;
  }

  /** What came for a group, in order; it is kept no longer. */
  take(groupId: number): readonly EarlyMessage[] {
    const kept = this.#groups.get(groupId) ?? [];
    this.#groups.delete(groupId);
    for (const { bytes } of kept) this.#bytes -= bytes.length;
    return kept;
  }

  /** The link to that node broke, of which groups that are not open yet do not hear: opened later, one would take its
   *  word for that of a leader that is watched, and rest under it for ever. */
  dropFrom(peer: string): void {
    for (const groupId of [...this.#groups.keys()]) {
      for (const message of this.take(groupId)) if (message.from !== peer) this.keep(groupId, message);
    }
  }

  dropIf(isGone: (groupId: number) => boolean): void {
    for (const groupId of [...this.#groups.keys()]) if (isGone(groupId)) this.take(groupId);
  }
}
