import { expect, test } from 'vitest';
import { generatedIndex, parseStanzas } from './support/package-index.ts';
import { runPackageJob } from './support/package-job.ts';

test('a package index goes in while each node is killed in turn, and comes back byte for byte from each node alone', async () => {
  const records = generatedIndex(3_000);
  const report = await runPackageJob(records, () => undefined);
  expect(report.records).toBe(3_000);
}, 120_000);

test('stanzas become one JSON record a package, continued lines included', async () => {
  const text = 'Package: a\nTag: x,\n y\n\nPackage: b\nDescription: c: d\n';
  expect(await parseStanzas(text.split('\n'))).toEqual([
    { key: 'a', value: JSON.stringify({ Package: 'a', Tag: 'x,\n y' }) },
    { key: 'b', value: JSON.stringify({ Package: 'b', Description: 'c: d' }) },
  ]);
});

test('the generated index is the same every time, with names that differ', () => {
  const [one, two] = [generatedIndex(1_000), generatedIndex(1_000)];
  expect(one).toEqual(two);
  expect(new Set(one.map((record) => record.key)).size).toBe(1_000);
  expect(one.every((record) => !record.value.includes('\n') && !record.value.includes('\t'))).toBe(true);
});
