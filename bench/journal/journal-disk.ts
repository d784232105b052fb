/**
 * A prototype, for measuring: a disk whose durable writes go to one journal file first, many of them in one flush, and
 * to their own files later, many of a file in one. To whoever writes it looks like any other disk, so that a log on it
 * writes the frames it always writes.
 *
 *   writeDurable --> collected --> one durable write to the journal --> resolves
 *                                         \--> kept in memory --> one durable write to each file, when half of the
 *                                              journal is full: then that half may be written over
 *
 * A read of a file whose bytes are in the journal alone writes them back first.
 *
 * What it is not: nothing replays the journal after a crash, and a full disk ends the process. It costs what a real one
 * would cost while all goes well: bytes, copies, checksums, trips to the disk.
 */
import { crc32c, type Disk, type DiskLock, type File, type OpenMode } from '../../storage/index.ts';

/** Like the head of a flush frame: magic, length, sequence, checksum. */
const HEAD_BYTES = 16;
/** Of each write in it: which file, where, how long. */
const WRITE_HEAD_BYTES = 16;
/** Files written back at once: the pool has twelve threads, and the journal needs one. */
const WRITE_BACKS_AT_ONCE = 4;

interface Write {
  readonly file: JournaledFile;
  readonly position: number;
  readonly chunks: readonly Uint8Array[];
  resolve(): void;
  reject(error: unknown): void;
}

export interface JournalOptions {
  readonly path: string;
  /** Half of it is written over while the other half's files are written back. */
  readonly bytes: number;
}

export class JournalDisk implements Disk {
  readonly #disk: Disk;
  readonly #journal: File;
  readonly #halfBytes: number;
  #collected: Write[] = [];
  #isFlushing = false;
  #position = 0;
  #sequence = 0;
  #files = 0;
  /** With bytes that are in the journal and not in their file. */
  #dirty = new Set<JournaledFile>();
  #writingBack: Promise<void> = Promise.resolve();
  /** The newest handle of each file that is written through the journal. */
  readonly #byPath = new Map<string, JournaledFile>();

  /** Makes the journal, all of it written once: a flush then changes nothing but bytes. */
  static async open(disk: Disk, { path, bytes }: JournalOptions): Promise<JournalDisk> {
    const journal = await disk.open(path, 'create', 'durable-writes');
    const zeros = new Uint8Array(1024 * 1024);
    for (let at = 0; at < bytes; at += zeros.length) await journal.write(at, [zeros]);
    await journal.flush();
    return new JournalDisk(disk, journal, bytes / 2);
  }

  private constructor(disk: Disk, journal: File, halfBytes: number) {
    this.#disk = disk;
    this.#journal = journal;
    this.#halfBytes = halfBytes;
  }

  async open(path: string, mode: OpenMode, hint?: 'durable-writes'): Promise<File> {
    const file = await this.#disk.open(path, mode, hint);
    if (hint === undefined) return new SettledFile(file, () => this.#byPath.get(path)?.writeBack());
    const journaled = new JournaledFile(file, this, ++this.#files);
    this.#byPath.set(path, journaled);
    return journaled;
  }

  /** Resolves when the bytes are durable in the journal. */
  write(file: JournaledFile, position: number, chunks: readonly Uint8Array[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#collected.push({ file, position, chunks, resolve, reject });
      if (this.#isFlushing) return;
      this.#isFlushing = true;
      // At the end of the turn, so that all that its messages brought shares the first flush.
      setImmediate(() => void this.#flushAll());
    });
  }

  async #flushAll(): Promise<void> {
    while (this.#collected.length > 0) {
      const writes = this.#collected;
      this.#collected = [];
      try {
        await this.#flush(writes);
      } catch (error) {
        for (const { reject } of writes) reject(error);
        continue;
      }
      for (const { resolve } of writes) resolve();
    }
    this.#isFlushing = false;
  }

  async #flush(writes: readonly Write[]): Promise<void> {
    let length = HEAD_BYTES;
    for (const { chunks } of writes) length += WRITE_HEAD_BYTES + bytesOf(chunks);
    const half = Math.floor(this.#position / this.#halfBytes);
    if (this.#position + length > (half + 1) * this.#halfBytes) await this.#turnTo(1 - half);
    const frame = Buffer.allocUnsafeSlow(length);
    let at = HEAD_BYTES;
    for (const { file, position, chunks } of writes) {
      const bytes = bytesOf(chunks);
      frame.writeUInt32LE(file.id, at);
      frame.writeUInt32LE(bytes, at + 4);
      frame.writeBigUInt64LE(BigInt(position), at + 8);
      at += WRITE_HEAD_BYTES;
      const begin = at;
      for (const chunk of chunks) {
        frame.set(chunk, at);
        at += chunk.length;
      }
      file.keep(position, frame.subarray(begin, at));
      this.#dirty.add(file);
    }
    frame.writeUInt32LE(0x4c444a31, 0);
    frame.writeUInt32LE(length, 4);
    frame.writeUInt32LE(++this.#sequence >>> 0, 8);
    frame.writeUInt32LE(crc32c(frame.subarray(HEAD_BYTES)), 12);
    await this.#journal.writeDurable(this.#position, [frame]);
    this.#position += length;
  }

  /** The other half may be written over once all that was in it is in its files. */
  async #turnTo(half: number): Promise<void> {
    await this.#writingBack;
    this.#position = half * this.#halfBytes;
    const files = [...this.#dirty];
    this.#dirty = new Set();
    this.#writingBack = this.#writeBack(files);
  }

  async #writeBack(files: JournaledFile[]): Promise<void> {
    const next = async (): Promise<void> => {
      for (let file = files.pop(); file !== undefined; file = files.pop()) await file.writeBack();
    };
    await Promise.all(Array.from({ length: WRITE_BACKS_AT_ONCE }, next));
  }

  async close(): Promise<void> {
    await this.#writingBack;
    await this.#journal.close();
  }

  stat(path: string): ReturnType<Disk['stat']> {
    return this.#disk.stat(path);
  }
  list(path: string): ReturnType<Disk['list']> {
    return this.#disk.list(path);
  }
  makeDirectory(path: string): Promise<void> {
    return this.#disk.makeDirectory(path);
  }
  removeDirectory(path: string): Promise<void> {
    return this.#disk.removeDirectory(path);
  }
  remove(path: string): Promise<void> {
    return this.#disk.remove(path);
  }
  rename(from: string, to: string): Promise<void> {
    return this.#disk.rename(from, to);
  }
  syncDirectory(path: string): Promise<void> {
    return this.#disk.syncDirectory(path);
  }
  space(path: string): ReturnType<Disk['space']> {
    return this.#disk.space(path);
  }
  lock(path: string): Promise<DiskLock> {
    return this.#disk.lock(path);
  }
}

/** A file that may also be written through the journal, by another handle. */
class SettledFile implements File {
  readonly #file: File;
  readonly #settle: () => Promise<void> | undefined;

  constructor(file: File, settle: () => Promise<void> | undefined) {
    this.#file = file;
    this.#settle = settle;
  }

  async read(position: number, into: Uint8Array): Promise<number> {
    await this.#settle();
    return this.#file.read(position, into);
  }
  bytes(): Promise<number> {
    return this.#file.bytes();
  }
  write(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    return this.#file.write(position, chunks);
  }
  writeDurable(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    return this.#file.writeDurable(position, chunks);
  }
  setBytes(bytes: number): Promise<void> {
    return this.#file.setBytes(bytes);
  }
  flush(): Promise<void> {
    return this.#file.flush();
  }
  close(): Promise<void> {
    return this.#file.close();
  }
}

class JournaledFile implements File {
  readonly id: number;
  readonly #file: File;
  readonly #disk: JournalDisk;
  /** In the journal and not in the file, in the order they came. */
  #kept: { readonly position: number; readonly bytes: Uint8Array }[] = [];
  #writing: Promise<void> = Promise.resolve();

  constructor(file: File, disk: JournalDisk, id: number) {
    this.#file = file;
    this.#disk = disk;
    this.id = id;
  }

  writeDurable(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    return this.#disk.write(this, position, chunks);
  }

  keep(position: number, bytes: Uint8Array): void {
    this.#kept.push({ position, bytes });
  }

  /** Frames of a segment lie behind each other, so this is one write as a rule. One after the other: who asks while one
   *  is under way waits for that as well. */
  writeBack(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#writeKept());
    return this.#writing;
  }

  async #writeKept(): Promise<void> {
    const kept = this.#kept;
    this.#kept = [];
    while (kept.length > 0) {
      const position = kept[0]!.position;
      const chunks: Uint8Array[] = [];
      for (let end = position; kept[0]?.position === end && chunks.length < 1_000; ) {
        const { bytes } = kept.shift()!;
        chunks.push(bytes);
        end += bytes.length;
      }
      await this.#file.writeDurable(position, chunks);
    }
  }

  bytes(): Promise<number> {
    return this.#file.bytes();
  }
  async read(position: number, into: Uint8Array): Promise<number> {
    await this.writeBack();
    return this.#file.read(position, into);
  }
  write(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    return this.#file.write(position, chunks);
  }
  setBytes(bytes: number): Promise<void> {
    return this.#file.setBytes(bytes);
  }
  async flush(): Promise<void> {
    await this.writeBack();
    await this.#file.flush();
  }
  async close(): Promise<void> {
    await this.writeBack();
    await this.#file.close();
  }
}

function bytesOf(chunks: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const chunk of chunks) bytes += chunk.length;
  return bytes;
}
