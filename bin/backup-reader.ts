/**
 * Reads a backup front to back, one block in memory at a time, and believes nothing: every block and every record batch
 * is checked against its checksum, every partition must go on where it stopped. Damage is named with file and byte.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { readBatchHeader, splitBatches, verifyBatch } from '../src/protocol/index.ts';
import { crc32c } from '../storage/index.ts';
import {
  type BackupEnd,
  type BackupPlan,
  type BatchesBlock,
  BLOCK_HEADER_BYTES,
  type Block,
  bodyBytesOf,
  decodeBlock,
  FILE_HEADER_BYTES,
  fileHeaderProblem,
} from './backup-format.ts';

/** The file is no backup, is damaged, or is not whole. */
export class BackupError extends Error {
  override readonly name = 'BackupError';
  readonly file: string;
  readonly position: number;

  constructor(file: string, position: number, what: string) {
    super(`${file}:${position}: ${what}`);
    this.file = file;
    this.position = position;
  }
}

export interface ReadBlock {
  readonly block: Block;
  readonly position: number;
  /** Where the next block begins. */
  readonly end: number;
}

/** All blocks, each sound by itself. Ends with the file, whether or not there was an end block. */
export async function* readBlocks(path: string): AsyncGenerator<ReadBlock, void, undefined> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const problem = fileHeaderProblem(await readAt(file, 0, Math.min(FILE_HEADER_BYTES, size)));
    if (problem !== undefined) throw new BackupError(path, 0, problem);
    let position = FILE_HEADER_BYTES;
    for (let number = 0; position < size; number++) {
      const header = await readAt(file, position, Math.min(BLOCK_HEADER_BYTES, size - position));
      const bodyBytes = header.length < BLOCK_HEADER_BYTES ? undefined : bodyBytesOf(header);
      const end = position + BLOCK_HEADER_BYTES + (bodyBytes ?? 0);
      if (bodyBytes === undefined || end > size) throw new BackupError(path, position, 'a block ends too early');
      const block = decodeBlock(header, await readAt(file, position + BLOCK_HEADER_BYTES, bodyBytes), number);
      if (typeof block === 'string') throw new BackupError(path, position, block);
      yield { block, position, end };
      position = end;
    }
  } finally {
    await file.close();
  }
}

async function readAt(file: FileHandle, position: number, bytes: number): Promise<Buffer> {
  const into = Buffer.alloc(bytes);
  const { bytesRead } = await file.read(into, 0, bytes, position);
  return into.subarray(0, bytesRead);
}

/** What was found of one partition so far. */
export interface Progress {
  readonly firstOffset: number;
  readonly nextOffset: number;
  readonly bytes: number;
  /** The end of the last hole between two blocks: legal only below what was saved in the end. */
  readonly holeEnd: number;
}

/** Follows a backup block by block and refuses what does not fit the blocks before it. */
export class BackupCheck {
  readonly #path: string;
  readonly #progress = new Map<string, Progress>();
  plan: BackupPlan | undefined;
  end: BackupEnd | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  progressOf(topic: number, partition: number): Progress | undefined {
    return this.#progress.get(`${topic}/${partition}`);
  }

  /** @throws BackupError */
  take({ block, position }: Pick<ReadBlock, 'block' | 'position'>): void {
    if (this.end !== undefined) throw this.#error(position, 'a block behind the end');
    if ((block.kind === 'plan') !== (this.plan === undefined)) {
      throw this.#error(position, this.plan === undefined ? 'the plan is missing' : 'a second plan');
    }
    if (block.kind === 'plan') this.plan = block.plan;
    else if (block.kind === 'batches') this.#takeBatches(block.batches, position);
    else {
      this.end = block.end;
      this.#checkEnd(this.plan!, block.end, position);
    }
  }

  #takeBatches(found: BatchesBlock, position: number): void {
    const { topic, partition, firstOffset, nextOffset, batches } = found;
    if (this.plan?.topics[topic]?.partitions[partition] === undefined) {
      throw this.#error(position, `batches of partition ${partition} of topic ${topic}, which the plan does not have`);
    }
    const before = this.progressOf(topic, partition);
    let next = firstOffset;
    for (const batch of checkedBatches(batches, (what) => this.#error(position, what))) {
      const { baseOffset, lastOffsetDelta } = readBatchHeader(batch);
      if (baseOffset !== next) throw this.#error(position, `a batch begins at ${baseOffset}, ${next} was next`);
      next = baseOffset + lastOffsetDelta + 1;
    }
    if (next !== nextOffset) throw this.#error(position, `batches end at ${next}, the block says ${nextOffset}`);
    if (before !== undefined && firstOffset < before.nextOffset) {
      throw this.#error(position, `offset ${firstOffset} comes behind ${before.nextOffset}`);
    }
    const hasHole = before !== undefined && firstOffset > before.nextOffset;
    this.#progress.set(`${topic}/${partition}`, {
      firstOffset: before?.firstOffset ?? firstOffset,
      nextOffset,
      bytes: (before?.bytes ?? 0) + batches.length,
      holeEnd: hasHole ? firstOffset : (before?.holeEnd ?? 0),
    });
  }

  #checkEnd(plan: BackupPlan, end: BackupEnd, position: number): void {
    plan.topics.forEach(({ name, partitions }, topic) => {
      partitions.forEach((_, partition) => {
        const saved = end.topics[topic]?.[partition];
        const where = `partition ${partition} of topic ${name}`;
        if (saved === undefined) throw this.#error(position, `the end says nothing of ${where}`);
        const found = this.progressOf(topic, partition);
        if (saved.earliest === saved.tail) return;
        const isFollowed = found !== undefined && found.nextOffset === saved.tail && found.holeEnd <= saved.earliest;
        if (!isFollowed || found.firstOffset > saved.earliest)
          throw this.#error(position, `the records of ${where} are not those the end names`);
      });
    });
  }

  #error(position: number, what: string): BackupError {
    return new BackupError(this.#path, position, what);
  }
}

function* checkedBatches(bytes: Uint8Array, error: (what: string) => BackupError): Generator<Uint8Array> {
  try {
    for (const batch of splitBatches(bytes)) {
      verifyBatch(batch, crc32c);
      yield batch;
    }
  } catch (cause) {
    throw cause instanceof BackupError ? cause : error((cause as Error).message);
  }
}

export interface WholeBackup {
  readonly plan: BackupPlan;
  readonly end: BackupEnd;
  readonly bytes: number;
  readonly check: BackupCheck;
}

/** Reads and checks all of it. @throws BackupError also for a backup that was not finished. */
export async function verifyBackup(path: string): Promise<WholeBackup> {
  const check = new BackupCheck(path);
  let position = 0;
  for await (const read of readBlocks(path)) {
    check.take(read);
    position = read.end;
  }
  const { plan, end } = check;
  if (plan === undefined || end === undefined) {
    throw new BackupError(path, position, 'the backup was not finished: it has no end; save --resume goes on with it');
  }
  return { plan, end, bytes: position, check };
}
