/**
 * Handles of the operating system: each is closed in the end, and nothing is done through one that was. The number of a
 * closed handle is soon another file's, which a late write would land in.
 */
import { describe, expect, test } from 'vitest';
import type { File, OpenMode } from '../../storage/index.ts';
import { ModelDisk } from '../support/model-disk.ts';
import { nextEntries, openLog } from '../support/storage-fixture.ts';
import { WrappedDisk, WrappedFile } from '../support/wrapped-disk.ts';
import { holdCalls } from './support/hold-calls.ts';

const SMALL = { payloadBytes: 100 };

/** Knows which files are open. */
class HandleDisk extends WrappedDisk {
  /** Paths of open files, once for each handle. */
  readonly handles: string[] = [];
  /** Calls through a handle that was closed before they ended. */
  readonly late: string[] = [];

  override async open(path: string, mode: OpenMode): Promise<File> {
    const file = await super.open(path, mode);
    this.handles.push(path);
    return new Handle(file, path, this);
  }

  openOf(suffix: string): number {
    return this.handles.filter((path) => path.endsWith(suffix)).length;
  }
}

class Handle extends WrappedFile {
  readonly #path: string;
  readonly #disk: HandleDisk;
  #isClosed = false;

  constructor(below: File, path: string, disk: HandleDisk) {
    super(below);
    this.#path = path;
    this.#disk = disk;
  }

  override setBytes(bytes: number): Promise<void> {
    return this.#during('setBytes', super.setBytes(bytes));
  }

  override write(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    return this.#during('write', super.write(position, chunks));
  }

  override writeDurable(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    return this.#during('writeDurable', super.writeDurable(position, chunks));
  }

  override close(): Promise<void> {
    this.#isClosed = true;
    this.#disk.handles.splice(this.#disk.handles.indexOf(this.#path), 1);
    return super.close();
  }

  async #during(what: string, call: Promise<void>): Promise<void> {
    try {
      await call;
    } finally {
      if (this.#isClosed) this.#disk.late.push(`${what} of ${this.#path}`);
    }
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('the files of a log', () => {
  test('are closed behind the write that is tried again on a full disk', async () => {
    const model = new ModelDisk();
    const disk = new HandleDisk(model);
    const full: unknown[] = [];
    const { log, timers } = await openLog(disk, {
      segmentBytes: 1024 * 1024,
      onFull: (cause) => full.push(cause),
    });
    log.append(nextEntries(log, [SMALL]));
    await log.flush();
    model.capacityBytes = model.usedBytes();
    log.append(nextEntries(log, [{ payloadBytes: 100_000 }]));
    log.flush().catch(() => undefined);
    await model.until(() => full.length > 0 && timers.pending > 0);
    model.capacityBytes = Number.MAX_SAFE_INTEGER;
    const held = holdCalls(model, 'writeDurable', '.segment');
    timers.fire();
    await model.until(() => held.waiting > 0);
    const closing = log.close();
    for (let n = 0; n < 20; n++) await turn();
    held.release();
    await closing;
    for (let n = 0; n < 20; n++) await turn();
    expect(disk.late).toEqual([]);
    expect(disk.handles).toEqual([]);
  });

  test('that were begun for a roll which found no room are closed', async () => {
    let isFull = false;
    const model = new ModelDisk({
      onCall: ({ kind, path }) => (isFull && kind === 'write' && path.endsWith('1.segment') ? 'EDQUOT' : undefined),
    });
    const disk = new HandleDisk(model);
    const { log, timers } = await openLog(disk, { segmentBytes: 1024 * 1024 });
    log.append(nextEntries(log, [SMALL]));
    await log.flush();
    isFull = true;
    const rolling = log.roll();
    for (let n = 0; n < 5; n++) {
      await model.until(() => timers.pending > 0);
      timers.fire();
    }
    await model.until(() => timers.pending > 0);
    expect(disk.openOf('.segment')).toBe(1);
    isFull = false;
    timers.fire();
    await rolling;
    expect(disk.openOf('.segment')).toBe(1);
  });

  test('are not kept open behind a trim by who read them meanwhile', async () => {
    const model = new ModelDisk();
    const disk = new HandleDisk(model);
    const { log } = await openLog(disk, { segmentBytes: 1024 * 1024 });
    for (let n = 0; n < 2; n++) {
      log.append(nextEntries(log, [SMALL]));
      const { index, term } = await log.roll();
      const point = { nextOffset: 0, appendTimeMs: log.lastAppendTimeMs, chain: log.lastChain };
      await log.saveSnapshot({ index, term, ...point, state: new Uint8Array(10) });
    }
    const held = holdCalls(model, 'remove', '1.segment');
    const reading = holdCalls(model, 'read', '1.segment');
    // Looks for its place in the sparse index, and then at the entries.
    const read = log.read(1, 1).catch((error: unknown) => error);
    await model.until(() => reading.waiting > 0);
    const trimming = log.trimPrefix(2);
    await model.until(() => held.waiting > 0);
    reading.release();
    for (let n = 0; n < 50; n++) await turn();
    held.release();
    await trimming;
    await read;
    expect(disk.openOf('0001.segment')).toBe(0);
  });
});
