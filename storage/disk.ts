/**
 * What the log needs of a disk, and nothing more. Three implementations run one contract suite: NodeDisk (node:fs),
 * MemoryDisk (no disk), and the model disk of the tests, which forgets what was not flushed.
 *
 * Paths are '/'-separated. Durability is stated per method; what is not stated durable may be there after a crash, in
 * whole, in any subset of its 4 KiB pages, or not at all. Failures are StorageErrors: FULL for ENOSPC and EDQUOT, IO
 * for the rest. No memory maps (W27): an IO error is an error, never a signal.
 */

export interface DirectoryItem {
  readonly name: string;
  readonly kind: 'file' | 'directory';
}

export type OpenMode =
  /** Exists; reads only. */
  | 'read'
  /** Exists; reads and writes. */
  | 'write'
  /** Must not exist; reads and writes. The directory entry is durable after syncDirectory (W2). */
  | 'create';

export interface Disk {
  /** Opens a file; IO with cause ENOENT when it is missing, EEXIST when 'create' finds one. Files get mode 0600.
   *  The hint changes cost, never meaning: 'durable-writes' for a file that mostly sees writeDurable. */
  open(path: string, mode: OpenMode, hint?: 'durable-writes'): Promise<File>;
  /** Kind and size, or undefined when nothing is there. */
  stat(path: string): Promise<{ readonly kind: 'file' | 'directory'; readonly bytes: number } | undefined>;
  /** Direct children in name order; IO when the directory is missing. */
  list(path: string): Promise<DirectoryItem[]>;
  /** Makes a directory, its parents too, mode 0700; harmless when it exists. Durable after syncDirectory of parents. */
  makeDirectory(path: string): Promise<void>;
  /** Removes an empty directory. Durable after syncDirectory of its parent. */
  removeDirectory(path: string): Promise<void>;
  /** Removes a file; open handles go on working. Durable after syncDirectory. */
  remove(path: string): Promise<void>;
  /** Renames a file or directory, replacing a file atomically: a crash leaves the old or the new. Durable after
   *  syncDirectory. Both paths lie in one directory. */
  rename(from: string, to: string): Promise<void>;
  /** Makes creations, renames and removals in this directory durable (W2). */
  syncDirectory(path: string): Promise<void>;
  space(path: string): Promise<{ readonly freeBytes: number; readonly totalBytes: number }>;
  /** Takes a lock file for the life of this process; LOCKED with the holder's pid while a living process has it. */
  lock(path: string): Promise<DiskLock>;
}

export interface DiskLock {
  release(): Promise<void>;
}

/**
 * An open file. Reads may run beside anything. Writes to one file are issued one after the other by the caller (N4),
 * but for zeros beside a frame, which lie apart (file-room.ts); all of them name their position.
 */
export interface File {
  bytes(): Promise<number>;
  /** Fills `into` from `position` on; resolves with the bytes read, fewer only at the end of the file. */
  read(position: number, into: Uint8Array): Promise<number>;
  /** Writes the chunks back to back, all of them or an error (W5, N1). Chunks are borrowed until it resolves.
   *  Not durable before flush(). */
  write(position: number, chunks: readonly Uint8Array[]): Promise<void>;
  /** As write, and durable when it resolves, with the size it needs. Says nothing about earlier write() calls.
   *  At most CHUNKS_MAX chunks, so that it is one call of the operating system and one flush. */
  writeDurable(position: number, chunks: readonly Uint8Array[]): Promise<void>;
  /** Cuts, or grows with zeros. Not durable before flush(). */
  setBytes(bytes: number): Promise<void>;
  /** Makes everything written so far durable, the size included. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** IOV_MAX of Linux: the most buffers one vectored write takes. */
export const CHUNKS_MAX = 1024;

/** Files are thought of in pages of this size: a torn write tears between pages. */
export const PAGE_BYTES = 4096;

export function joinPath(directory: string, name: string): string {
  return directory.endsWith('/') ? directory + name : `${directory}/${name}`;
}

export function parentPath(path: string): string {
  const cut = path.lastIndexOf('/');
  return cut <= 0 ? '/' : path.slice(0, cut);
}

export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

export function totalBytes(chunks: readonly Uint8Array[]): number {
  let total = 0;
  for (const chunk of chunks) total += chunk.length;
  return total;
}
