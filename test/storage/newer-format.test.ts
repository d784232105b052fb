/**
 * Files of a format version that this build does not know, each with a right checksum: refused by name, and not one
 * byte of the directory changed (F88). A wrong version under a wrong checksum is damage, and damage.test.ts's.
 */
import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { crc32c, isStorageError, repairDirectory, verifyFiles } from '../../storage/index.ts';
import { ModelDisk } from '../support/model-disk.ts';
import { bytesOf, CLUSTER_ID, nextEntries, openLog, readAll } from '../support/storage-fixture.ts';

const PATH = '/data';
const LOG = `${PATH}/logs/0000000001`;
const SEALED = `${LOG}/0000000000000001.segment`;
const ACTIVE = `${LOG}/0000000000000002.segment`;

let pristine: ModelDisk;

beforeAll(async () => {
  pristine = new ModelDisk();
  const { directory, log } = await openLog(pristine);
  await directory.setClusterId(CLUSTER_ID);
  await log.saveHardState({ term: 3, votedFor: 'n2' });
  log.append(nextEntries(log, [{ payloadBytes: 60 }, {}]));
  const { index, term } = await log.roll();
  const { nextOffset, lastAppendTimeMs: appendTimeMs, lastChain: chain } = log;
  await log.saveSnapshot({ index, term, nextOffset, appendTimeMs, chain, state: bytesOf('state', 50) });
  log.append(nextEntries(log, [{ payloadBytes: 70 }]));
  await log.flush();
  await directory.close();
  // What a start would tidy up in a directory it may touch: nothing of it may happen beside a newer file.
  await (await pristine.open(`${LOG}/manifest.new`, 'create')).close();
  pristine.damage(ACTIVE, (bytes) => new Uint8Array([...bytes, 1, 2, 3]));
});

/** Makes every envelope with that magic one of version 2, with the checksum that belongs to it. */
function newerEnvelope(magic: string): (bytes: Uint8Array) => Uint8Array {
  return (bytes) => {
    const copy = Buffer.from(bytes);
    for (let at = copy.indexOf(magic); at >= 0; at = copy.indexOf(magic, at + 1)) {
      copy.writeUInt32LE(copy.readUInt32LE(at + 8) + 1, at + 8);
      const body = copy.subarray(at + 20, at + 20 + copy.readUInt32LE(at + 12));
      copy.writeUInt32LE(crc32c(body, crc32c(copy.subarray(at, at + 16))), at + 16);
    }
    return new Uint8Array(copy);
  };
}

/** The first entry of a segment, of entry version 2; its header checksum covers bytes 4..95. */
function newerEntry(bytes: Uint8Array): Uint8Array {
  const copy = Buffer.from(bytes);
  const at = 4096 + 96;
  copy[at + 8]! += 1;
  copy.writeUInt32LE(crc32c(copy.subarray(at + 4, at + 96)), at);
  return new Uint8Array(copy);
}

const contentOf = (disk: ModelDisk): Map<string, string> =>
  new Map(disk.files().map((file) => [file, createHash('sha256').update(disk.peek(file)).digest('hex')]));

const kinds: readonly { name: string; file: string; change: (bytes: Uint8Array) => Uint8Array; says: RegExp }[] = [
  { name: 'identity', file: `${PATH}/identity`, change: newerEnvelope('LDIDENT '), says: /LDIDENT format version 2/ },
  { name: 'manifest', file: `${LOG}/manifest`, change: newerEnvelope('LDMANIF '), says: /LDMANIF format version 2/ },
  {
    name: 'hard state',
    file: `${LOG}/hard-state`,
    change: newerEnvelope('LDHARDS '),
    says: /LDHARDS format version 2/,
  },
  {
    name: 'snapshot',
    file: `${LOG}/snapshot-0000000000000002`,
    change: newerEnvelope('LDSNAPS '),
    says: /LDSNAPS format version 2/,
  },
  {
    name: 'standing',
    file: `${PATH}/standing/0000000001`,
    change: newerEnvelope('LDSTAND '),
    says: /LDSTAND format version 2/,
  },
  { name: 'sealed segment', file: SEALED, change: newerEnvelope('LDSEGMT '), says: /LDSEGMT format version 2/ },
  { name: 'active segment', file: ACTIVE, change: newerEnvelope('LDSEGMT '), says: /LDSEGMT format version 2/ },
  { name: 'entry of the active segment', file: ACTIVE, change: newerEntry, says: /an entry of an unknown version/ },
];

describe('a newer format', () => {
  test.each(kinds)('of the $name is refused by name, and nothing is touched', async ({ file, change, says }) => {
    const disk = pristine.afterCrash(0);
    disk.damage(file, change);
    const before = contentOf(disk);
    const refused = await openLog(disk).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(isStorageError(refused, 'UNSUPPORTED'), String(refused)).toBe(true);
    expect(String(refused)).toMatch(says);
    expect(String(refused)).toContain(file);
    expect(contentOf(disk)).toEqual(before);

    const found = [];
    for await (const { file: of, findings } of verifyFiles(disk, PATH)) {
      found.push(...findings.map(({ state }) => `${of} ${state}`));
    }
    expect(found).toContain(`${file} unsupported`);
    expect(await repairDirectory(disk, PATH)).toMatchObject([{ file, needs: 'replica' }]);
    expect(contentOf(disk)).toEqual(before);
  });

  test.each([
    { name: 'footer', magic: 'LDFOOTR ' },
    { name: 'sparse index', magic: 'LDINDEX ' },
  ])('of a $name is refused by the read that needs it; the entries stay as they are', async ({ magic }) => {
    const disk = pristine.afterCrash(0);
    disk.damage(SEALED, newerEnvelope(magic));
    const before = disk.peek(SEALED).slice();
    const { log, directory } = await openLog(disk);
    await expect(readAll(log)).rejects.toMatchObject({ code: 'UNSUPPORTED', file: SEALED });
    await directory.close();
    expect(Buffer.compare(disk.peek(SEALED), before)).toBe(0);
  });

  test('of an entry in a sealed segment is refused by the read that meets it', async () => {
    const disk = pristine.afterCrash(0);
    disk.damage(SEALED, newerEntry);
    const { log, directory } = await openLog(disk);
    await expect(readAll(log)).rejects.toMatchObject({ code: 'UNSUPPORTED', file: SEALED, index: 1 });
    await directory.close();
  });
});
