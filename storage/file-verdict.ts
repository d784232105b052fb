/**
 * What `logdrive wal verify` says of one file: the words, and the few sentences that every kind of file shares.
 */
import { isStorageError } from './errors.ts';
import type { ByteCount, GroupId, LogIndex } from './types.ts';

export type FileKind =
  | 'identity'
  | 'lock'
  | 'reserve'
  | 'standing'
  | 'manifest'
  | 'hard state'
  | 'segment'
  | 'snapshot'
  | 'incoming snapshot'
  | 'leftover'
  | 'unknown';

/** From harmless to grave; a file is as bad as its worst finding. */
export type FileState =
  | 'sound'
  /** A derived part (footer, sparse index) is not there or does not check; it is made anew from the entries. */
  | 'derived'
  /** What a stop left of an unfinished change: nobody was told of it, a start removes it. */
  | 'leftover'
  | 'torn end'
  /** Proven bytes fail, and what they said is known from elsewhere on this disk. */
  | 'mendable'
  | 'damaged'
  /** A newer format: nothing is judged, nothing is touched. */
  | 'unsupported';

const GRAVITY: readonly FileState[] = [
  'sound',
  'derived',
  'leftover',
  'torn end',
  'mendable',
  'damaged',
  'unsupported',
];

export interface Finding {
  readonly state: FileState;
  /** First byte of the file that is meant. */
  readonly position?: ByteCount;
  /** Entries that are meant, inclusive. */
  readonly firstIndex?: LogIndex;
  readonly lastIndex?: LogIndex;
  readonly what: string;
  /** What a node does about it. */
  readonly remedy: string;
}

export interface FileVerdict {
  readonly file: string;
  readonly kind: FileKind;
  readonly groupId: GroupId | undefined;
  readonly bytes: ByteCount;
  /** Sound ones in a segment; 0 for other files. */
  readonly entries: number;
  readonly state: FileState;
  readonly findings: readonly Finding[];
}

/** What cannot be mended here. */
export interface Unmended {
  readonly file: string;
  /** Undefined: the identity, and so the whole directory. */
  readonly groupId: GroupId | undefined;
  readonly position: ByteCount | undefined;
  /** Of damaged entries, inclusive. */
  readonly indexes: { readonly first: LogIndex; readonly last: LogIndex } | undefined;
  readonly what: string;
  /** 'peer': entries that a node fetches from its peers. 'replica': a start refuses this log as a whole. */
  readonly needs: 'peer' | 'replica';
}

/** States that say that the disk lost or changed something, or that this build cannot tell. */
export function isBad(state: FileState): boolean {
  return GRAVITY.indexOf(state) >= GRAVITY.indexOf('mendable');
}

export type FileFacts = Pick<FileVerdict, 'file' | 'kind' | 'groupId' | 'bytes'> & { readonly entries?: number };

export function verdictOn(facts: FileFacts, findings: readonly Finding[]): FileVerdict {
  const worst = findings.reduce((at, { state }) => Math.max(at, GRAVITY.indexOf(state)), 0);
  return { entries: 0, ...facts, state: GRAVITY[worst]!, findings };
}

export const MENDED = 'a start writes it anew from the sound copy';
export const FETCHED = 'a node fetches its entries from its peers, and votes on meanwhile';
export const REFUSES_NODE =
  'the node refuses to start; give the node a new data directory and let it rejoin under a new id';
export const REFUSES_LOG =
  'a node sets the log aside and makes it anew from the other replicas; without any, it stops this partition, by name';

/** A file that no log counts on. */
export function strange(file: string, isLeft: boolean, groupId: GroupId | undefined, bytes: ByteCount): FileVerdict {
  const finding: Finding = isLeft
    ? { state: 'leftover', what: 'the leftover of an unfinished change', remedy: 'a start removes it' }
    : { state: 'sound', what: 'not a file of logdrive', remedy: 'it is left alone' };
  return verdictOn({ file, kind: isLeft ? 'leftover' : 'unknown', groupId, bytes }, [finding]);
}

export function missing(file: string, kind: FileKind, groupId: GroupId | undefined, remedy: string): FileVerdict {
  return verdictOn({ file, kind, groupId, bytes: 0 }, [{ state: 'damaged', what: 'it is missing', remedy }]);
}

/** A refusal of the bytes as findings; anything else is the disk's failure, and the caller's. */
export function refusal(error: unknown, remedy: string): Finding {
  if (!isStorageError(error)) throw error;
  const { position, index, message: what } = error;
  const where = {
    ...(position !== undefined && { position }),
    ...(index !== undefined && { firstIndex: index, lastIndex: index }),
  };
  if (error.code === 'UNSUPPORTED') {
    return { state: 'unsupported', ...where, what, remedy: 'nothing is touched; run the version that wrote it' };
  }
  if (error.code !== 'CORRUPT' && error.code !== 'FOREIGN') throw error;
  return { state: 'damaged', ...where, what, remedy };
}

/** A twin file: which copies are sound. */
export function judgeTwin(
  bytes: Uint8Array,
  decode: (copies: Uint8Array) => { readonly isWhole: boolean } | undefined,
  remedy: string,
): Finding[] {
  try {
    const found = decode(bytes);
    if (found === undefined) return [{ state: 'damaged', position: 0, what: 'both copies are damaged', remedy }];
    if (found.isWhole) return [];
    const half = Math.floor(bytes.length / 2);
    const position = decode(bytes.subarray(0, half)) === undefined ? 0 : half;
    return [{ state: 'mendable', position, what: 'one of its two copies is damaged', remedy: MENDED }];
  } catch (error) {
    return [refusal(error, remedy)];
  }
}
