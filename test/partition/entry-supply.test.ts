import { afterEach, describe, expect, test } from 'vitest';
import { supplyEntry } from '../../src/partition/entry-supply.ts';
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

describe('an entry for a peer', () => {
  test('that is committed is supplied whatever term the peer has there', async () => {
    const supplied = await supplyEntry(await log(), { index: 1, term: 7 }, 1);
    expect(supplied).toMatchObject({ isCommitted: true, entry: { header: { index: 1, term: 1 } } });
  });

  test('that is not committed is supplied when it is the one asked for, and no other', async () => {
    const made = await log();
    expect(await supplyEntry(made, { index: 3, term: 2 }, 1)).toMatchObject({
      isCommitted: false,
      entry: { header: { index: 3, term: 2 } },
    });
    expect(await supplyEntry(made, { index: 3, term: 1 }, 1)).toBeUndefined();
  });

  test('that is not there is not supplied', async () => {
    const made = await log();
    for (const index of [0, 4, 99]) expect(await supplyEntry(made, { index, term: 1 }, 3)).toBeUndefined();
  });

  test('that is replaced while it is read is not supplied for the other one', async () => {
    const made = await log();
    const read = made.read.bind(made);
    made.read = async (from, bytesMax) => {
      made.truncateSuffix(2);
      made.append(entriesAfter(follow(THREE[0]), { term: 5 }));
      return read(from, bytesMax);
    };
    expect(await supplyEntry(made, { index: 2, term: 1 }, 1)).toBeUndefined();
  });

  test.each(['CORRUPT', 'TRIMMED', 'CLOSED', 'IO'] as const)(
    'that cannot be read (%s) is left to another peer',
    async (code) => {
      const made = await log();
      made.read = () => Promise.reject(new StorageError(code, 'no'));
      expect(await supplyEntry(made, { index: 1, term: 1 }, 3)).toBeUndefined();
    },
  );
});
