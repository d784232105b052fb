/** Backups: the bytes, what a reader refuses, and how an unfinished one is gone on with. */
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BackupPlan, Block } from '../../bin/backup-format.ts';
import { BackupError, readBlocks, verifyBackup } from '../../bin/backup-reader.ts';
import { BackupWriter, partialOf } from '../../bin/backup-writer.ts';
import { savePartition } from '../../bin/commands/snapshot-save.ts';
import { encodeRecordBatch, patchBatch } from '../../src/protocol/index.ts';
import { crc32c } from '../../storage/index.ts';

const GOLDEN = fileURLToPath(new URL('../golden/backup/backup.v1.hex', import.meta.url));
let directory: string;
let nextName = 0;
const newPath = (): string => join(directory, `backup-${nextName++}`);

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'logdrive-backup-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

const PLAN: BackupPlan = {
  clusterId: 'cluster-1',
  takenAtMs: 1_700_000_000_000,
  topics: [
    {
      ...{ name: 'orders', id: 7, replicas: 3, retention: { maxBytes: 1_000_000, maxAgeMs: null, maxRecords: null } },
      partitions: [
        { earliest: 5, tail: 9 },
        { earliest: 40, tail: 40 },
      ],
    },
  ],
};

/** Two records at `baseOffset`. */
function batchAt(baseOffset: number): Uint8Array {
  const records = ['a', 'b'].map((text) => ({
    ...{ timestampMs: 1_700_000_000_000, key: undefined, headers: [] },
    value: new TextEncoder().encode(`${text}${baseOffset}`),
  }));
  const bytes = encodeRecordBatch(records, { nowMs: 1_700_000_000_000, crc32c });
  patchBatch(bytes, baseOffset, 3);
  return bytes;
}

function blockOf(...bases: readonly number[]): Block {
  const batches = Buffer.concat(bases.map(batchAt));
  return {
    kind: 'batches',
    batches: { topic: 0, partition: 0, firstOffset: bases[0]!, nextOffset: bases.at(-1)! + 2, batches },
  };
}

const END: Block = {
  kind: 'end',
  end: {
    topics: [
      [
        { earliest: 5, tail: 8, bytes: 0 },
        { earliest: 40, tail: 40, bytes: 0 },
      ],
    ],
  },
};

async function written(blocks: readonly Block[]): Promise<string> {
  const path = newPath();
  const writer = await BackupWriter.create(path, PLAN);
  for (const block of blocks) await writer.write(block);
  await writer.finish();
  return path;
}

const WHOLE: readonly Block[] = [blockOf(4), blockOf(6), END];

async function refusal(path: string): Promise<string> {
  try {
    await verifyBackup(path);
  } catch (error) {
    if (error instanceof BackupError) return error.message.replace(path, '');
    throw error;
  }
  return 'sound';
}

test('a backup is written and read as it ever was', async () => {
  const bytes = readFileSync(await written(WHOLE));
  if (!existsSync(GOLDEN) && process.env.LOGDRIVE_UPDATE_GOLDEN !== undefined) {
    writeFileSync(GOLDEN, `${bytes.toString('hex').replace(/.{1,64}/g, '$&\n')}`);
  }
  const golden = Buffer.from(readFileSync(GOLDEN, 'utf8').replace(/\s/g, ''), 'hex');
  expect(bytes.toString('hex')).toBe(golden.toString('hex'));
  const path = newPath();
  writeFileSync(path, golden);
  const { plan, end, check } = await verifyBackup(path);
  expect(plan).toEqual(PLAN);
  expect(end).toEqual((END as { end: unknown }).end);
  expect(check.progressOf(0, 0)).toMatchObject({ firstOffset: 4, nextOffset: 8, holeEnd: 0 });
});

describe('a damaged backup', () => {
  test('is refused with file and byte, whichever bit was flipped', async () => {
    const sound = readFileSync(await written(WHOLE));
    const path = newPath();
    for (let at = 0; at < sound.length; at++) {
      const copy = Buffer.from(sound);
      copy[at]! ^= 1 << (at % 8);
      writeFileSync(path, copy);
      expect(await refusal(path), `byte ${at}`).toMatch(/^:\d+: /);
    }
  });

  test('is refused when it was cut, at any byte', async () => {
    const path = await written(WHOLE);
    const sound = readFileSync(path);
    for (let end = 0; end < sound.length; end++) {
      writeFileSync(path, sound.subarray(0, end));
      expect(await refusal(path), `cut at ${end}`).toMatch(/^:\d+: /);
    }
  });

  test('of a newer version is refused by that name', async () => {
    const path = await written(WHOLE);
    const bytes = readFileSync(path);
    bytes.writeUInt32LE(2, 8);
    bytes.writeUInt32LE(crc32c(bytes.subarray(0, 12)), 12);
    writeFileSync(path, bytes);
    expect(await refusal(path)).toBe(':0: backup format version 2, known is 1');
  });

  test('with blocks missing or out of order is refused, though each is sound', async () => {
    const path = await written(WHOLE);
    const bytes = readFileSync(path);
    const places: [number, number][] = [];
    for await (const { position, end } of readBlocks(path)) places.push([position, end]);
    const blocks = places.map(([from, to]) => bytes.subarray(from, to));
    const [plan, first, second, end] = blocks as [Buffer, Buffer, Buffer, Buffer];
    for (const order of [
      [plan, second, first, end],
      [plan, first, end],
      [first, plan, second, end],
    ]) {
      writeFileSync(path, Buffer.concat([bytes.subarray(0, 16), ...order]));
      expect(await refusal(path)).toMatch(/block \d lies where block \d is to be/);
    }
    writeFileSync(path, Buffer.concat([bytes, end]));
    expect(await refusal(path)).toMatch(/block 3 lies where block 4/);
  });
});

describe('what does not fit is not written', () => {
  const cases: readonly { name: string; blocks: readonly Block[]; says: RegExp }[] = [
    { name: 'batches that go back', blocks: [blockOf(6), blockOf(4)], says: /offset 4 comes behind 8/ },
    { name: 'a hole within a block', blocks: [blockOf(4, 8)], says: /a batch begins at 8, 6 was next/ },
    { name: 'an end beyond what was saved', blocks: [blockOf(4), END], says: /are not those the end names/ },
    {
      name: 'a hole above the saved start',
      blocks: [blockOf(2), blockOf(6), END],
      says: /are not those the end names/,
    },
  ];
  test.each(cases)('$name', async ({ blocks, says }) => {
    await expect(written(blocks)).rejects.toThrow(says);
  });

  test('but retention may have moved the start over a hole', async () => {
    const topics = [
      [
        { earliest: 6, tail: 8, bytes: 0 },
        { earliest: 40, tail: 40, bytes: 0 },
      ],
    ];
    const path = await written([blockOf(2), blockOf(6), { kind: 'end', end: { topics } }]);
    expect((await verifyBackup(path)).check.progressOf(0, 0)).toMatchObject({ holeEnd: 6 });
  });
});

describe('an unfinished backup', () => {
  test('has no plain name, and is gone on with behind its last sound block', async () => {
    const path = newPath();
    const writer = await BackupWriter.create(path, PLAN);
    await writer.write(blockOf(4));
    const soundBytes = writer.bytes;
    await writer.write(blockOf(6));
    await writer.abandon();
    expect(existsSync(path)).toBe(false);
    expect(await refusal(partialOf(path))).toMatch(/the backup was not finished/);
    await expect(BackupWriter.create(path, PLAN)).rejects.toMatchObject({ code: 'EEXIST' });

    truncateSync(partialOf(path), soundBytes + 30);
    const resumed = await BackupWriter.resume(path);
    expect(resumed.bytes).toBe(soundBytes);
    expect(resumed.plan).toEqual(PLAN);
    expect(resumed.check.progressOf(0, 0)?.nextOffset).toBe(6);
    await resumed.write(blockOf(6));
    await resumed.write(END);
    await resumed.finish();
    expect(readFileSync(path).equals(readFileSync(await written(WHOLE)))).toBe(true);
    expect(existsSync(partialOf(path))).toBe(false);
  });

  test('without a sound plan is to be begun anew', async () => {
    const path = newPath();
    await (await BackupWriter.create(path, PLAN)).abandon();
    truncateSync(partialOf(path), 20);
    await expect(BackupWriter.resume(path)).rejects.toThrow(/it has no sound plan/);
  });

  test.each([
    ['behind a hole', [4, 8]],
    ['without its begin', [8]],
  ])('is gone on with where retention was faster: %s', async (_, bases) => {
    const path = newPath();
    const first = await BackupWriter.create(path, PLAN);
    for (const base of bases) await first.write(blockOf(base));
    await first.abandon();
    const resumed = await BackupWriter.resume(path);
    const nothing = { topic: () => ({}) } as unknown as Parameters<typeof savePartition>[0];
    const saved = await savePartition(nothing, resumed, 0, 0);
    expect(saved).toMatchObject({ earliest: 8, tail: 10 });
    await resumed.write({ kind: 'end', end: { topics: [[saved, { earliest: 40, tail: 40, bytes: 0 }]] } });
    await resumed.finish();
    expect((await verifyBackup(path)).check.end).toBeDefined();
  });
});
