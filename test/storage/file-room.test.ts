/** Zeros ahead of the frames: what they save, where they may lie, and what happens when they cannot be written. */
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { File } from '../../storage/disk.ts';
import { StorageError } from '../../storage/errors.ts';
import { FileRoom } from '../../storage/file-room.ts';
import { NodeDisk } from '../../storage/index.ts';
import { ModelDisk } from '../support/model-disk.ts';
import { seededRandom } from '../support/model-tree.ts';
import { nextEntries, openLog, readAll } from '../support/storage-fixture.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const ENDLESS = 1024 * MIB;

/** A file that remembers what was asked of it; fills end when the test says so. */
function roomOf(bytes = 4 * KIB): {
  readonly room: FileRoom;
  readonly fills: { readonly from: number; readonly to: number; end(error?: StorageError): void }[];
  readonly sizes: number[];
  /** Runs at once, as a disk with nothing to do does; collected instead once `isBusy`. */
  readonly run: (fill: () => Promise<void>) => Promise<void>;
  readonly queued: (() => Promise<void>)[];
  isBusy: boolean;
} {
  const fills: ReturnType<typeof roomOf>['fills'] = [];
  const sizes: number[] = [];
  const file = {
    write: (from: number, chunks: readonly Uint8Array[]) =>
      new Promise<void>((resolve, reject) => {
        expect(chunks.every((chunk) => chunk.every((byte) => byte === 0))).toBe(true);
        const to = from + chunks.reduce((sum, chunk) => sum + chunk.length, 0);
        fills.push({ from, to, end: (error) => (error === undefined ? resolve() : reject(error)) });
      }),
    setBytes: async (size: number) => {
      sizes.push(size);
    },
  } as unknown as File;
  const made = {
    room: new FileRoom(file, bytes),
    fills,
    sizes,
    queued: [] as (() => Promise<void>)[],
    isBusy: false,
    run: async (fill: () => Promise<void>) => {
      if (made.isBusy) made.queued.push(fill);
      else await fill();
    },
  };
  return made;
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('room for frames', () => {
  test('is filled a whole number of pages at a time, behind every frame that may be on its way', async () => {
    const random = seededRandom(7);
    const { room, fills, run } = roomOf();
    let dataEnd = 4 * KIB;
    for (let n = 0; n < 3_000; n++) {
      const frameBytes = 100 + Math.floor(random() * (n % 50 === 0 ? 300 * KIB : 4 * KIB));
      const running = fills.at(-1);
      let isWaiting = true;
      const reached = room.reach(dataEnd + frameBytes).then(() => {
        isWaiting = false;
      });
      await turn();
      if (isWaiting) {
        // Only what is being filled is waited for.
        expect(dataEnd + frameBytes).toBeGreaterThan(running!.from);
        running!.end();
      }
      await reached;
      dataEnd += frameBytes;
      if (random() < 0.3) fills.at(-1)?.end();
      await turn();
      const before = fills.length;
      room.fillAhead({ dataEnd, frameBytes, endMax: ENDLESS }, run);
      if (fills.length === before) continue;
      const { from, to } = fills.at(-1)!;
      expect([from % 4096, to % 4096]).toEqual([0, 0]);
      expect(from).toBeGreaterThanOrEqual(dataEnd);
      expect(to - from).toBeLessThanOrEqual(MIB);
    }
    expect(fills.length).toBeGreaterThan(5);
  });

  test.each([
    ['for a log with little in it', { dataEnd: 31 * KIB, frameBytes: KIB, endMax: ENDLESS }],
    ['behind large frames', { dataEnd: MIB, frameBytes: 200 * KIB, endMax: ENDLESS }],
    ['beyond the segment', { dataEnd: MIB, frameBytes: KIB, endMax: MIB }],
  ])('is not filled %s', (_, at) => {
    const { room, fills, run } = roomOf();
    room.fillAhead(at, run);
    expect(fills).toEqual([]);
  });

  test('that waits for its turn is taken back by whoever needs the file, and waited for once it is being filled', async () => {
    const made = roomOf();
    const { room, fills, queued, run } = made;
    const at = { dataEnd: MIB, frameBytes: KIB, endMax: ENDLESS };
    made.isBusy = true;
    room.fillAhead(at, run);
    await room.settled();
    await queued[0]!();
    expect(fills).toEqual([]);

    made.isBusy = false;
    room.fillAhead(at, run);
    let isSettled = false;
    const settled = room.settled().then(() => {
      isSettled = true;
    });
    await turn();
    expect([fills.length, isSettled]).toEqual([1, false]);
    fills[0]!.end();
    await settled;
  });

  test('that the disk does not have is given back and asked for no more; frames are not held up by it', async () => {
    const { room, fills, sizes, run } = roomOf();
    const at = { dataEnd: MIB, frameBytes: KIB, endMax: ENDLESS };
    room.fillAhead(at, run);
    fills[0]!.end(new StorageError('FULL', 'no room'));
    await room.settled();
    expect(sizes).toEqual([fills[0]!.from]);
    room.fillAhead(at, run);
    expect(fills).toHaveLength(1);
    await room.reach(MIB + 300 * KIB);
    expect(room.bytes).toBeGreaterThanOrEqual(MIB + 300 * KIB);
  });
});

describe('a log of small frames', () => {
  const FRAME = { payloadBytes: KIB };

  async function appendTo(opened: Awaited<ReturnType<typeof openLog>>, frames: number): Promise<void> {
    for (let n = 0; n < frames; n++) {
      opened.log.append(nextEntries(opened.log, [FRAME]));
      await opened.log.flush();
    }
  }

  test('is written into blocks the file system has given it before: fifteen fills for two thousand frames', async () => {
    const disk = new ModelDisk();
    const opened = await openLog(disk, { segmentBytes: 64 * MIB });
    const before = { write: disk.count('write'), flush: disk.count('writeDurable') };
    await appendTo(opened, 2_000);
    expect(disk.count('writeDurable') - before.flush).toBe(2_000);
    const fills = disk.count('write') - before.write;
    expect(fills).toBeGreaterThan(4);
    expect(fills).toBeLessThanOrEqual(15);
    expect(await readAll(opened.log, MIB)).not.toEqual([]);
  });

  test('loses nothing to a disk that has no zeros to spare', async () => {
    let isFull = false;
    const disk = new ModelDisk({
      onCall: ({ kind, path }) => (isFull && kind === 'write' && path.endsWith('.segment') ? 'ENOSPC' : undefined),
    });
    const full: unknown[] = [];
    const opened = await openLog(disk, { segmentBytes: 64 * MIB, onFull: (cause) => full.push(cause) });
    isFull = true;
    await appendTo(opened, 300);
    expect([full, opened.fatal, opened.log.flushed.index]).toEqual([[], [], 300]);
  });

  test('ends with a write of zeros that fails, as with any other (W4)', async () => {
    let isBroken = false;
    const disk = new ModelDisk({
      onCall: ({ kind, path }) => (isBroken && kind === 'write' && path.endsWith('.segment') ? 'EIO' : undefined),
    });
    const opened = await openLog(disk, { segmentBytes: 64 * MIB });
    isBroken = true;
    await expect(appendTo(opened, 300)).rejects.toMatchObject({ code: 'FLUSH_FAILED' });
    expect(opened.fatal).toHaveLength(1);
  });

  test('is sealed, cut and closed only when nothing is being filled', async () => {
    for (const end of ['roll', 'cut', 'close'] as const) {
      const disk = new ModelDisk();
      const opened = await openLog(disk, { segmentBytes: 64 * MIB });
      let release: () => void = () => undefined;
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      let heldPath: string | undefined;
      const enter = disk.enter.bind(disk);
      disk.enter = async (kind, path, begin) => {
        if (path === heldPath) expect(['setBytes', 'write', 'flush', 'close']).not.toContain(kind);
        if (kind === 'write' && path.endsWith('.segment') && heldPath === undefined) {
          heldPath = path;
          await released;
          heldPath = '';
        }
        return enter(kind, path, begin);
      };
      await appendTo(opened, 40);
      expect(heldPath).toMatch(/\.segment$/);
      if (end === 'cut') opened.log.truncateSuffix(20);
      const done = end === 'roll' ? opened.log.roll() : end === 'close' ? opened.log.close() : opened.log.flush();
      for (let n = 0; n < 20; n++) await turn();
      release();
      await done;
      expect(opened.fatal).toEqual([]);
    }
  });

  test('has blocks ahead of its data on a real disk', async () => {
    const path = await mkdtemp(join(tmpdir(), 'logdrive-room-'));
    try {
      const opened = await openLog(new NodeDisk(), { path, segmentBytes: 64 * MIB });
      await appendTo(opened, 200);
      const segment = (await readdir(path, { recursive: true })).find((name) => name.endsWith('.segment'))!;
      const { blocks } = await stat(join(path, segment));
      expect(blocks * 512).toBeGreaterThan(opened.log.bytes + 64 * KIB);
      await opened.log.close();
      await opened.directory.close();
    } finally {
      await rm(path, { recursive: true });
    }
  });
});
