/**
 * Words the whole storage room shares. Brands are tags in the type alone: free at run time, and structurally equal to
 * the same brand in src/raft, so the two rooms agree without importing each other.
 */

/** Position of an entry in one log: 1, 2, 3 ... without holes. 0 means "before the first entry". */
export type LogIndex = number & { readonly unit?: 'LogIndex' };
/** Raft's logical time, >= 1 once an election was held; 0 before that. */
export type Term = number & { readonly unit?: 'Term' };
/** Position of a record in a partition: 0, 1, 2 ... dense; entries that hold no records use none. */
export type Offset = number & { readonly unit?: 'Offset' };
/** A log on a node. Assigned by the catalog, never reused; the catalog itself is group 0. */
export type GroupId = number & { readonly unit?: 'GroupId' };
export type ByteCount = number & { readonly unit?: 'ByteCount' };
/** Milliseconds since the epoch (append times) or a duration in ms. */
export type Ms = number & { readonly unit?: 'Ms' };

/** The kinds of entry. A kind that is not in this list stops the log by name: UNSUPPORTED, nothing is guessed. */
export type EntryKind = 'batch' | 'no-op' | 'membership' | 'control';

/** Who sent a batch, for de-duplication. */
export interface ProducerTuple {
  /** 16 bytes as 32 lower-case hex digits. */
  readonly id: string;
  /** u32. A higher epoch fences the lower ones. */
  readonly epoch: number;
  /** Sequence number of the batch's first record, 0 .. 2^53-1. */
  readonly sequence: number;
}

/** The running 8-byte checksum over all entries up to and including one, as two unsigned 32-bit halves. */
export interface ChainSum {
  readonly high: number;
  readonly low: number;
}

/** Fields of an entry header; the byte layout is drawn in format.ts. */
export interface EntryHeader {
  readonly kind: EntryKind;
  /** Reserved; 0. A reader that meets an unknown flag refuses the entry. */
  readonly flags: number;
  readonly groupId: GroupId;
  readonly index: LogIndex;
  readonly term: Term;
  /** Offset of the first record; for an entry without records: the offset the next record will get. */
  readonly baseOffset: Offset;
  /** Records in the payload; 0 unless kind is 'batch'. */
  readonly recordCount: number;
  /** Given by the leader; never lower than that of the entry before. */
  readonly appendTimeMs: Ms;
  readonly producer: ProducerTuple | undefined;
  readonly payloadBytes: ByteCount;
  /** CRC-32C. For a batch: the batch's own checksum. */
  readonly payloadChecksum: number;
  readonly chain: ChainSum;
  /** Set when compaction took records out of the payload: what is left of it. Everything else is as it was appended. */
  readonly compacted?: CompactedPayload | undefined;
}

/** What compaction left of a batch's payload; no bytes when none of its records is left. */
export interface CompactedPayload {
  readonly payloadBytes: ByteCount;
  /** CRC-32C of all of it. */
  readonly payloadChecksum: number;
}

/** One entry as it travels: decoded header, the header's bytes and the payload. All frozen: shared, nobody writes. */
export interface LogEntry {
  readonly header: EntryHeader;
  /** In front of them, of a compacted entry, what says what is left (compacted-entry.ts). */
  readonly headerBytes: Uint8Array;
  readonly payload: Uint8Array;
}

/** Term and vote: must survive a crash before any message that depends on them leaves (W13, W14). */
export interface HardState {
  readonly term: Term;
  readonly votedFor: string | undefined;
}

/** A position in the log together with the term there: an index alone does not say which entry is meant. */
export interface EntryId {
  readonly term: Term;
  readonly index: LogIndex;
}

/** A run of entries of one term. */
export interface TermRun {
  readonly term: Term;
  /** Inclusive. */
  readonly lastIndex: LogIndex;
}

/**
 * State as of `index`: what a log needs to go on after the entries up to it are gone. It holds no records, so it
 * never replaces retained ones (design: "A snapshot holds no records").
 */
export interface Snapshot {
  readonly index: LogIndex;
  readonly term: Term;
  /** The offset the first record after `index` gets. */
  readonly nextOffset: Offset;
  readonly appendTimeMs: Ms;
  readonly chain: ChainSum;
  /** Opaque to storage: the partition's state (producer table, positions, membership, log start). */
  readonly state: Uint8Array;
}

/** Bytes that fail their checksum although they were proven flushed. They stay untouched until repaired. */
export interface Damage {
  readonly file: string;
  /** First damaged byte of the file. */
  readonly position: number;
  /** Indexes that cannot be served, inclusive on both ends. */
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  /** 'sealed': last (term, index) and promises are intact, the replica may vote and ack. 'tail': it may not. */
  readonly where: 'sealed' | 'tail';
}
