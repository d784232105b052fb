/** What a replica that is sent a compacted log shows its readers, and when. */
import { expect, test } from 'vitest';
import { compactEntry } from '../../storage/compacted-entry.ts';
import { entries } from './support/entries.ts';
import { Replica } from './support/replica.ts';

test('a hole is seen once what was compacted for it is there, and not before', async () => {
  const replica = await Replica.open();
  const [first, thinned, between, later] = entries({}, {}, {}, {});
  replica.feed([first!], { commit: 1 });
  await replica.settle(10);
  expect(replica.partition.tail).toBe(1);

  // Of the second record nothing is left at the leader, which has committed the fourth, of the same key.
  replica.feed([compactEntry(thinned!, new Uint8Array(0))], { previous: first!, commit: 4 });
  replica.feed([between!], { previous: thinned!, commit: 4 });
  await replica.settle(10);
  expect(replica.partition.status).toMatchObject({ commit: 3, tail: 1, appliedIndex: 1 });
  expect(await replica.wait(replica.partition.read(1, 1_000))).toEqual({ kind: 'at-tail' });

  replica.feed([later!], { previous: between!, commit: 4 });
  await replica.settle(10);
  expect(replica.partition.status).toMatchObject({ commit: 4, tail: 4, appliedIndex: 4 });
  expect(await replica.wait(replica.partition.read(1, 1_000))).toMatchObject({ nextOffset: 4, isCompacted: true });
});
