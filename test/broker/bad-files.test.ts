/**
 * What disks and people do to the files of a stopped node: deleted, swapped, zeroed, written in the wrong place, left
 * with garbage behind them. The node comes back with everything it had, from its peers, or says by name what is wrong.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { crashAll, endLater } from './support/endings.ts';
import { fileBytes, overwrite, putFile, segmentsOf } from './support/files.ts';
import { append } from './support/records.ts';
import { SimCluster } from './support/sim-cluster.ts';

const THREE = ['n1', 'n2', 'n3'] as const;
const RECORDS = 40;
const LOG = '/data/logs/0000000001';
const BLOCK = 4_096;
afterEach(crashAll);

async function filled(): Promise<SimCluster> {
  const cluster = new SimCluster(THREE, { segmentBytes: 65_536, cacheBytesMax: 1 });
  endLater(cluster);
  await cluster.startAll();
  await cluster.ready();
  await cluster.createTopic('t');
  for (let i = 0; i < RECORDS; i += 1) await append(cluster, 'n1', textOf(i));
  await cluster.time.advance(500);
  return cluster;
}

function textOf(i: number): string {
  // No two blocks of a log are the same bytes.
  return Array.from({ length: 1_000 }, (_, word) => `${i}.${word}`).join(' ');
}

/** Every record there is on a node, as bytes; none twice, none left out. */
async function expectAll(cluster: SimCluster, on: string): Promise<void> {
  let offset = 0;
  while (offset < RECORDS) {
    const start = { kind: 'offset', offset } as const;
    const request = { topic: { name: 't' }, partition: 0, start, bytesMax: 1, waitMs: 0, level: 'any' } as const;
    const { nextOffset, batches } = await cluster.wait(cluster.broker(on).read(request));
    expect(Buffer.from(batches[0]!).includes(textOf(offset))).toBe(true);
    expect(nextOffset).toBe(offset + 1);
    offset = nextOffset;
  }
}

function errors(cluster: SimCluster, id: string): string {
  return cluster
    .node(id)
    .lines.filter(({ level }) => level === 'error' || level === 'warn')
    .map(({ message, fields }) => `${message} ${JSON.stringify(fields)} ${String((fields as { err?: Error }).err)}`)
    .join('\n');
}

async function removeFile(cluster: SimCluster, id: string, path: string): Promise<void> {
  const { disk } = cluster.node(id);
  await disk.remove(path);
  await disk.syncDirectory(LOG);
}

/** Sound on every node, which each take part again: any two of them are a majority. */
async function expectWhole(cluster: SimCluster): Promise<void> {
  await cluster.ready(60_000);
  for (const id of THREE) await expectAll(cluster, id);
  await cluster.until(
    () => THREE.every((id) => cluster.damageOn(id) === 'no damage known'),
    'no damage is left',
    60_000,
  );
  expect((await append(cluster, 'n3', 'one more')).baseOffset).toBe(RECORDS);
}

describe('a deleted sealed segment', () => {
  test('on one node is named and fetched again, and its replica votes meanwhile', async () => {
    const cluster = await filled();
    const path = (await segmentsOf(cluster, 'n2', LOG))[1]!;
    const before = await fileBytes(cluster, 'n2', path);
    for (const id of THREE) await cluster.crash(id);
    await removeFile(cluster, 'n2', path);
    // The peer that could supply it is away: with it alone missing a majority votes, and the group has a leader.
    await cluster.start('n1');
    await cluster.start('n2');
    await cluster.ready();
    expect(errors(cluster, 'n2')).toContain('a segment that the manifest lists is missing');
    expect(errors(cluster, 'n2')).toContain(path);
    await cluster.start('n3');
    await expectWhole(cluster);
    // Its entries lie where they lay; frames may be fewer.
    expect((await fileBytes(cluster, 'n2', path)).length).toBeGreaterThanOrEqual(before.length - BLOCK);
    expect(errors(cluster, 'n2')).not.toContain('a log is lost');
  });

  test('on each node another one heals: the data is there, only not in one place', async () => {
    const cluster = await filled();
    for (const id of THREE) await cluster.crash(id);
    for (const [at, id] of THREE.entries()) await removeFile(cluster, id, (await segmentsOf(cluster, id, LOG))[at]!);
    await cluster.startAll();
    await expectWhole(cluster);
    for (const id of THREE) expect(errors(cluster, id)).not.toContain('a log is lost');
  });
});

type Harm = (cluster: SimCluster, id: string, segments: readonly string[]) => Promise<void>;

async function copyBlock(
  cluster: SimCluster,
  id: string,
  from: readonly [string, number],
  to: readonly [string, number],
): Promise<void> {
  const bytes = await fileBytes(cluster, id, from[0]);
  await overwrite(cluster, id, to[0], to[1] * BLOCK, bytes.subarray(from[1] * BLOCK, (from[1] + 1) * BLOCK));
}

const HARMS: readonly { readonly what: string; readonly harm: Harm }[] = [
  {
    what: 'a block written over another one of its segment',
    harm: (cluster, id, [first]) => copyBlock(cluster, id, [first!, 3], [first!, 6]),
  },
  {
    what: 'a block written over the same one of another segment',
    harm: (cluster, id, [first, second]) => copyBlock(cluster, id, [first!, 4], [second!, 4]),
  },
  {
    what: 'a block of a sealed segment written into the active one',
    harm: (cluster, id, segments) => copyBlock(cluster, id, [segments[0]!, 3], [segments.at(-1)!, 2]),
  },
  {
    what: 'zeros in the middle of a sealed segment',
    harm: (cluster, id, [first]) => overwrite(cluster, id, first!, 2 * BLOCK, new Uint8Array(3 * BLOCK)),
  },
  {
    what: 'zeros in the middle of the active segment',
    harm: (cluster, id, segments) => overwrite(cluster, id, segments.at(-1)!, BLOCK, new Uint8Array(BLOCK)),
  },
  {
    what: 'garbage behind the end of the active segment',
    harm: async (cluster, id, segments) => {
      const end = (await fileBytes(cluster, id, segments.at(-1)!)).length;
      await overwrite(
        cluster,
        id,
        segments.at(-1)!,
        end,
        Uint8Array.from({ length: 5_000 }, (_, i) => (i * 7) % 251),
      );
    },
  },
];

describe('a stopped node comes back whole from', () => {
  test.each(HARMS)('$what', async ({ harm }) => {
    const cluster = await filled();
    await cluster.stop('n2');
    await harm(cluster, 'n2', await segmentsOf(cluster, 'n2', LOG));
    await cluster.start('n2');
    await expectWhole(cluster);
    expect(errors(cluster, 'n2')).toMatch(/0000000001/);
  });
});

test('two swapped segment files are damage of all their entries, and heal', async () => {
  const cluster = await filled();
  const [first, second] = await segmentsOf(cluster, 'n2', LOG);
  await cluster.stop('n2');
  const [a, b] = [await fileBytes(cluster, 'n2', first!), await fileBytes(cluster, 'n2', second!)];
  await putFile(cluster, 'n2', first!, b);
  await putFile(cluster, 'n2', second!, a);
  await cluster.start('n2');
  await expectWhole(cluster);
});
