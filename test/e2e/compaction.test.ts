/**
 * A compacted topic on real nodes with real files: over every door, on every replica, on one that was away meanwhile.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Client, connect, LogError, utf8 } from '../../src/client/index.ts';
import { eventually, within } from '../support/eventually.ts';
import { LiveCluster } from './support/live-cluster.ts';

const KEYS = 20;
const ROUNDS = 200;
/** Together several times what a node keeps in memory: readers are served what lies on the disk. */
const VALUE_BYTES = 800;

let cluster: LiveCluster;
let client: Client;

beforeAll(async () => {
  cluster = await LiveCluster.start({
    nodes: ['n1', 'n2', 'n3'],
    storage: 'disk',
    config: {
      wal: { segmentBytes: 262_144 },
      limits: { recordBytesMax: 65_536, batchBytesMax: 262_144, cacheBytesMax: 1_048_576 },
    },
  });
  client = await connect(cluster.urls);
  await client.admin.createTopic({ name: 'latest', compaction: { tombstoneRetentionMs: 3_600_000 } });
}, 30_000);

afterAll(async () => {
  await client.close();
  await cluster.stop();
});

const expected = new Map<string, string>();

async function fill(from: number, rounds: number): Promise<void> {
  const topic = client.topic('latest', utf8);
  for (let round = from; round < from + rounds; round++) {
    const records = Array.from({ length: KEYS }, (_, key) => ({
      key: `key-${key}`,
      value: `${round}`.padEnd(VALUE_BYTES, '.'),
    }));
    await topic.appendBatch(records);
    for (const { key, value } of records) expected.set(key, value);
  }
}

interface HttpRead {
  readonly records: readonly { readonly offset: number; readonly key: string; readonly value: string }[];
  readonly nextOffset: number;
  readonly compacted: boolean;
  readonly tail: number;
}

/** Everything one node has, over HTTP. */
async function readOver(id: string): Promise<{ records: HttpRead['records']; wasFlagged: boolean }> {
  const records: HttpRead['records'][number][] = [];
  let wasFlagged = false;
  for (let offset = 0; ; ) {
    const path = `/v1/topics/latest/records?partition=0&offset=${offset}&limit=10000`;
    const response = await fetch(`${cluster.httpUrl(id)}${path}`);
    const page = (await response.json()) as HttpRead;
    expect(response.status, JSON.stringify(page)).toBe(200);
    // A hole is said to be one.
    if (page.nextOffset - offset > page.records.length) expect(page.compacted).toBe(true);
    wasFlagged ||= page.compacted;
    records.push(...page.records);
    if (page.nextOffset === offset) return { records, wasFlagged };
    offset = page.nextOffset;
  }
}

/** The values a reader ends up with who takes records in order. */
function latest(records: readonly { readonly key: unknown; readonly value: string }[]): Map<string, string> {
  return new Map(records.map(({ key, value }) => [String(key), value]));
}

const isSmall = (records: readonly unknown[]): boolean => records.length < (KEYS * ROUNDS) / 2;

describe('a compacted topic', () => {
  test('says what it is, and takes no record without a key', async () => {
    const { compaction } = await client.admin.describeTopic('latest');
    expect(compaction).toEqual({ tombstoneRetentionMs: 3_600_000 });
    const response = await fetch(`${cluster.httpUrl('n2')}/v1/topics/latest`);
    expect(await response.json()).toMatchObject({ compaction: { tombstoneRetentionMs: 3_600_000 } });
    const refused = await client
      .topic('latest', utf8)
      .append({ value: 'no key' })
      .catch((error: unknown) => error);
    expect(LogError.is(refused) && [refused.code, refused.outcome]).toEqual(['INVALID', 'none']);
    const path = `${cluster.httpUrl('n1')}/v1/topics/latest/records`;
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify({ records: [{ key: 'k', value: 'v' }, { value: 'v' }] });
    const posted = await fetch(path, { method: 'POST', headers, body });
    expect([posted.status, await posted.json()]).toMatchObject([400, { code: 'INVALID', outcome: 'none' }]);
  });

  test('shrinks to the latest records, on every replica, for every kind of reader', { timeout: 60_000 }, async () => {
    await fill(0, ROUNDS);
    for (const id of cluster.ids) {
      const { records, wasFlagged } = await eventually(
        async () => {
          const read = await readOver(id);
          return isSmall(read.records) && read;
        },
        { what: `${id} to have compacted`, timeoutMs: 30_000, pollMs: 250 },
      );
      expect(wasFlagged).toBe(true);
      expect(latest(records)).toEqual(expected);
    }
    for (const reader of [client, cluster.node('n2').client()]) {
      const seen: { key: string; value: string }[] = [];
      for await (const { key, value } of reader.topic('latest', utf8).subscribe({ to: 'tail' })) {
        seen.push({ key: key!, value });
      }
      expect(isSmall(seen)).toBe(true);
      expect(latest(seen)).toEqual(expected);
      const page = await reader.topic('latest', utf8).read({ from: { offset: 0 } });
      expect(page.nextOffset).toBeGreaterThan(page.records.length);
    }
  });

  test('is caught up with by a replica that was away, and by readers who stay', { timeout: 60_000 }, async () => {
    const subscription = client.topic('latest', utf8).subscribe();
    const seen: { key: string; value: string }[] = [];
    const reading = (async () => {
      for await (const { key, value } of subscription) {
        seen.push({ key: key!, value });
        if (value.startsWith('done')) return;
      }
    })();
    await cluster.stopNode('n3');
    await fill(ROUNDS, ROUNDS);
    await eventually(async () => isSmall((await readOver('n1')).records), {
      what: 'n1 to have compacted what is new',
      timeoutMs: 30_000,
      pollMs: 250,
    });
    await cluster.startNode('n3');
    await cluster.ready();
    await client.topic('latest', utf8).append({ key: 'last', value: 'done' });
    expected.set('last', 'done');
    const { records } = await eventually(
      async () => {
        const read = await readOver('n3');
        return read.records.at(-1)?.value === 'done' && read;
      },
      { what: 'n3 to catch up', timeoutMs: 30_000, pollMs: 100 },
    );
    expect(latest(records)).toEqual(expected);
    await within(reading, { what: 'the reader that stayed', timeoutMs: 15_000 });
    expect(latest(seen)).toEqual(expected);
  });
});
