import { afterEach, describe, expect, test } from 'vitest';
import { isTermKnown, supplyEntry, type WantedEntry, wantedEntry } from '../../src/partition/entry-supply.ts';
import { type Log, StorageError } from '../../storage/index.ts';
import { entries, entriesAfter, follow } from './support/entries.ts';
import { type OpenLog, openLog } from './support/open-log.ts';

const THREE = entries({ term: 1 }, { term: 1 }, { term: 2 });
const opened: OpenLog[] = [];

afterEach(async () => {
  for (const { close } of opened.splice(0)) await close();
});

async function log(): Promise<Log> {
  const made = await openLog();
  opened.push(made);
  made.log.append(THREE);
  await made.log.flush();
  return made.log;
}

/** As a peer asks that knows the term of the entry it lacks. */
function asked(index: number, term: number): WantedEntry {
  return { index, witness: { index, term } };
}

describe('an entry for a peer', () => {
  test('that is committed is supplied whatever term the peer has there', async () => {
    const supplied = await supplyEntry(await log(), asked(1, 7), 1);
    expect(supplied).toMatchObject({ isCommitted: true, entry: { header: { index: 1, term: 1 } } });
  });

  test('that is not committed is supplied when it is the one asked for, and no other', async () => {
    const made = await log();
    expect(await supplyEntry(made, asked(3, 2), 1)).toMatchObject({
      isCommitted: false,
      entry: { header: { index: 3, term: 2 } },
    });
    expect(await supplyEntry(made, asked(3, 1), 1)).toBeUndefined();
  });

  test('that is not committed is supplied when an entry behind it shows that the logs are one (paper 5.3)', async () => {
    const made = await log();
    expect(await supplyEntry(made, { index: 2, witness: { index: 3, term: 2 } }, 1)).toMatchObject({
      entry: { header: { index: 2, term: 1 } },
    });
    expect(await supplyEntry(made, { index: 2, witness: { index: 3, term: 1 } }, 1)).toBeUndefined();
  });

  test('is not supplied by a log that can only guess at the term of the entry that is to show it', async () => {
    const made = await log();
    const damage = [{ file: '/log', position: 512, firstIndex: 2, lastIndex: 3, where: 'tail' }] as const;
    Object.defineProperty(made, 'damage', { value: damage });
    made.termAt = (index) => (index < 2 ? 1 : 2);
    expect(await supplyEntry(made, { index: 1, witness: { index: 2, term: 2 } }, 0)).toBeUndefined();
    expect(await supplyEntry(made, { index: 1, witness: { index: 3, term: 2 } }, 0)).toBeDefined();
  });

  test('that was trimmed away is said to be', async () => {
    const made = await log();
    Object.defineProperty(made, 'firstIndex', { value: 3 });
    expect(await supplyEntry(made, asked(2, 1), 3)).toBe('trimmed');
  });

  test('that is not there is not supplied', async () => {
    const made = await log();
    for (const index of [4, 99]) expect(await supplyEntry(made, asked(index, 1), 3)).toBeUndefined();
  });

  test('that is replaced while it is read is not supplied for the other one', async () => {
    const made = await log();
    const read = made.read.bind(made);
    made.read = async (from, bytesMax) => {
      made.truncateSuffix(2);
      made.append(entriesAfter(follow(THREE[0]), { term: 5 }));
      return read(from, bytesMax);
    };
    expect(await supplyEntry(made, asked(2, 1), 1)).toBeUndefined();
  });

  test.each(['CORRUPT', 'TRIMMED', 'CLOSED', 'IO'] as const)(
    'that cannot be read (%s) is left to another peer',
    async (code) => {
      const made = await log();
      made.read = () => Promise.reject(new StorageError(code, 'no'));
      expect(await supplyEntry(made, asked(1, 1), 3)).toBeUndefined();
    },
  );
});

describe('the term of an entry', () => {
  const region = (where: 'tail' | 'sealed', firstIndex: number, lastIndex: number) => ({
    damage: [{ file: '/log', position: 512, firstIndex, lastIndex, where }],
    termAt: (index: number) => THREE[index - 1]?.header.term ?? 0,
  });

  test('is a guess in a damaged tail between two terms, but for the last of it', () => {
    const log = region('tail', 2, 3);
    expect([1, 2, 3].map((index) => isTermKnown({ ...log, termAt: (at) => (at < 2 ? 1 : 2) }, index))).toEqual([
      true,
      false,
      true,
    ]);
    expect(wantedEntry({ ...log, termAt: (at) => (at < 2 ? 1 : 2) }, 2)).toEqual({
      index: 2,
      witness: { index: 3, term: 2 },
    });
  });

  test('is known where the terms on both sides are one, and in sealed segments', () => {
    expect(isTermKnown({ ...region('tail', 2, 3), termAt: () => 1 }, 2)).toBe(true);
    expect(isTermKnown({ ...region('sealed', 2, 3), termAt: (at) => (at < 2 ? 1 : 2) }, 2)).toBe(true);
    expect(wantedEntry(region('sealed', 2, 3), 2)).toEqual(asked(2, 1));
  });
});
