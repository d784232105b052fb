/**
 * Writes a backup beside its name (`<file>.partial`), flushed and renamed when it is whole: a file with the plain name
 * is always a finished one. An unfinished one can be gone on with: what does not check at its end is cut off and saved
 * again.
 */
import { type FileHandle, open, rename, stat, truncate } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type BackupPlan, type Block, encodeBlock, encodeFileHeader } from './backup-format.ts';
import { BackupCheck, BackupError, readBlocks } from './backup-reader.ts';

export class BackupWriter {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #check: BackupCheck;
  #blocks: number;
  #position: number;

  private constructor(path: string, file: FileHandle, check: BackupCheck, blocks: number, position: number) {
    this.#path = path;
    this.#file = file;
    this.#check = check;
    this.#blocks = blocks;
    this.#position = position;
  }

  /** @throws with code EEXIST when there is an unfinished one already. */
  static async create(path: string, plan: BackupPlan): Promise<BackupWriter> {
    const file = await open(partialOf(path), 'wx', 0o600);
    const header = encodeFileHeader();
    await file.write(header, 0, header.length, 0);
    const writer = new BackupWriter(path, file, new BackupCheck(path), 0, header.length);
    await writer.write({ kind: 'plan', plan });
    return writer;
  }

  /** Goes on with an unfinished one, behind its last sound block. */
  static async resume(path: string): Promise<BackupWriter> {
    const partial = partialOf(path);
    const check = new BackupCheck(partial);
    let [blocks, position] = [0, 0];
    try {
      for await (const read of readBlocks(partial)) {
        check.take(read);
        position = read.end;
        blocks++;
      }
    } catch (error) {
      if (!(error instanceof BackupError)) throw error;
    }
    if (check.plan === undefined) throw new BackupError(partial, 0, 'it has no sound plan: remove it and begin anew');
    await truncate(partial, position);
    return new BackupWriter(path, await open(partial, 'r+'), check, blocks, position);
  }

  get plan(): BackupPlan {
    return this.#check.plan!;
  }

  /** What is written already. */
  get check(): BackupCheck {
    return this.#check;
  }

  get bytes(): number {
    return this.#position;
  }

  async write(block: Block): Promise<void> {
    // What a reader would refuse is never written.
    this.#check.take({ block, position: this.#position });
    for (const chunk of encodeBlock(block, this.#blocks)) {
      for (let done = 0; done < chunk.length; ) {
        const { bytesWritten } = await this.#file.write(chunk, done, chunk.length - done, this.#position);
        done += bytesWritten;
        this.#position += bytesWritten;
      }
    }
    this.#blocks++;
  }

  /** Durable under its name when it resolves. */
  async finish(): Promise<void> {
    await this.#file.sync();
    await this.#file.close();
    await rename(partialOf(this.#path), this.#path);
    const directory = await open(dirname(this.#path), 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }

  /** Leaves the unfinished file for a resume. */
  async abandon(): Promise<void> {
    await this.#file.close();
  }
}

export function partialOf(path: string): string {
  return `${path}.partial`;
}

export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
