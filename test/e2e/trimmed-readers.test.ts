/** Readers that retention overtakes while they pause or are slow: told where the log begins now, never moved there. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Client, connect, LogError, type LogRecord, type Subscription } from '../../src/client/index.ts';
import { eventually, within } from '../support/eventually.ts';
import { LiveCluster } from './support/live-cluster.ts';

const RECORDS = 120;
const RECORD_BYTES = 50_000;
const TRIM_BEFORE = 110;

let cluster: LiveCluster;
let remote: Client;

beforeAll(async () => {
  cluster = await LiveCluster.start({ nodes: ['n1', 'n2', 'n3'], storage: 'memory' });
  remote = await connect(cluster.urls);
}, 30_000);

afterAll(async () => {
  await remote.close();
  await cluster.stop();
});

async function filled(name: string): Promise<void> {
  await remote.admin.createTopic({ name });
  const topic = remote.topic(name);
  for (let i = 0; i < RECORDS; i += 10) {
    await topic.appendBatch(Array.from({ length: 10 }, () => ({ value: new Uint8Array(RECORD_BYTES) })));
  }
}

/** Offsets up to the failure that ended the iterator. */
async function readOn(
  records: AsyncIterator<LogRecord<Uint8Array>>,
): Promise<{ readonly offsets: number[]; readonly error: unknown }> {
  const offsets: number[] = [];
  for (;;) {
    try {
      const { value } = await within(records.next(), { what: 'the next record or a failure', timeoutMs: 10_000 });
      offsets.push(value.offset);
    } catch (error) {
      return { offsets, error };
    }
  }
}

function expectTold(from: number, { offsets, error }: Awaited<ReturnType<typeof readOn>>): void {
  // What had arrived before the trim may still be read, in order; what had not is never skipped.
  expect(offsets).toEqual(offsets.map((_, at) => from + at));
  expect(from + offsets.length).toBeLessThan(TRIM_BEFORE);
  expect(LogError.is(error) && [error.code, error.outcome, error.details.earliest, error.details.tail]).toEqual([
    'TRIMMED',
    'none',
    TRIM_BEFORE,
    RECORDS,
  ]);
}

describe.each([
  ['over a WebSocket', () => remote],
  ['in the process of a broker', () => cluster.node('n2').client()],
])('a reader %s', (door, client) => {
  async function startedReader(name: string): Promise<{
    readonly subscription: Subscription<Uint8Array>;
    readonly records: AsyncIterator<LogRecord<Uint8Array>>;
  }> {
    await filled(name);
    const subscription = client()
      .topic(name)
      .subscribe({ maxBufferedBytes: 4 * RECORD_BYTES });
    const records = subscription[Symbol.asyncIterator]();
    expect((await records.next()).value.offset).toBe(0);
    return { subscription, records };
  }

  test('that pauses while its records are trimmed is told so when it goes on', async () => {
    const name = `paused-${door.length}`;
    const { subscription, records } = await startedReader(name);
    subscription.pause();
    await remote.admin.trim(name, TRIM_BEFORE);
    subscription.resume();
    expectTold(1, await readOn(records));
    await subscription.close();
  });

  test('that is slow and has records waiting for it is told behind them', async () => {
    const name = `slow-${door.length}`;
    const { subscription, records } = await startedReader(name);
    await remote.admin.trim(name, TRIM_BEFORE);
    expectTold(1, await readOn(records));
    subscription.seek({ offset: TRIM_BEFORE });
    const { value } = await subscription[Symbol.asyncIterator]().next();
    expect(value.offset).toBe(TRIM_BEFORE);
    await subscription.close();
  });
});

describe('a reader over HTTP', () => {
  test('is told on every node, whatever it asked for, and goes on at earliest', async () => {
    await filled('http');
    await remote.admin.trim('http', TRIM_BEFORE);
    for (const id of cluster.ids) {
      const read = (offset: number): Promise<Response> =>
        fetch(`${cluster.httpUrl(id)}/v1/topics/http/records?partition=0&offset=${offset}&limit=1&waitMs=0`);
      const refused = await eventually(
        async () => {
          const response = await read(TRIM_BEFORE - 1);
          const body = (await response.json()) as Record<string, unknown>;
          return response.status === 200 ? undefined : { status: response.status, ...body };
        },
        { what: `${id} to have applied the trim` },
      );
      expect(refused).toMatchObject({ status: 410, code: 'TRIMMED', outcome: 'none', earliest: TRIM_BEFORE });
      const { records } = (await (await read(TRIM_BEFORE)).json()) as { records: { offset: number }[] };
      expect(records[0]!.offset).toBe(TRIM_BEFORE);
    }
  });
});
