import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type Broker, type BrokerConfig, connect, createBroker, utf8 } from '../../src/index.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function broker(config: BrokerConfig = {}): Promise<Broker> {
  const created = await createBroker({ storage: 'memory', listen: false, ...config });
  closers.push(() => created.stop());
  await created.ready();
  return created;
}

async function valuesFrom(client: ReturnType<Broker['client']>, count: number): Promise<string[]> {
  const values: string[] = [];
  for await (const record of client.topic('t', utf8).subscribe({ from: 'earliest' })) {
    values.push(record.value);
    if (values.length === count) break;
  }
  return values;
}

describe('a broker in this process', () => {
  test('takes records and gives them back, without a socket', async () => {
    const embedded = await broker();
    expect([embedded.url, embedded.status]).toEqual([undefined, 'ready']);
    const client = embedded.client();
    await client.admin.createTopic({ name: 't' });
    const topic = client.topic('t', utf8);
    const acks = await Promise.all(Array.from({ length: 100 }, (_, i) => topic.append({ value: `v${i}` })));
    expect(acks.map(({ offset }) => Number(offset)).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 100 }, (_, i) => i),
    );
    expect((await valuesFrom(embedded.client(), 100)).sort()).toEqual(
      Array.from({ length: 100 }, (_, i) => `v${i}`).sort(),
    );
    expect(await embedded.metrics()).toContain('logdrive_append_records_total{face="embedded"} 100');
  });

  test('copies what it is given, as a socket would', async () => {
    const embedded = await broker();
    const client = embedded.client();
    await client.admin.createTopic({ name: 't' });
    const bytes = Buffer.from('before');
    const append = client.topic('t').append({ value: bytes });
    await append;
    bytes.fill(0);
    expect(await valuesFrom(embedded.client(), 1)).toEqual(['before']);
  });

  test('carries large batches both ways, whole', async () => {
    const embedded = await broker();
    const client = embedded.client();
    await client.admin.createTopic({ name: 't' });
    const values = Array.from({ length: 20 }, (_, i) => `${i}`.padEnd(500_000, 'x'));
    const topic = client.topic('t', utf8);
    for (const value of values) await topic.append({ value });
    expect(await valuesFrom(client, 20)).toEqual(values);
  });

  test('serves other processes too when it listens', async () => {
    const embedded = await broker({ listen: '127.0.0.1:0' });
    await embedded.client().admin.createTopic({ name: 't' });
    const remote = await connect(embedded.url as string);
    closers.push(() => remote.close());
    await remote.topic('t', utf8).append({ value: 'over a socket' });
    expect(await valuesFrom(embedded.client(), 1)).toEqual(['over a socket']);
  });

  test('keeps what was appended on disk', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'logdrive-embedded-'));
    closers.push(() => rm(dataDir, { recursive: true, force: true }));
    const first = await broker({ storage: 'disk', dataDir });
    const client = first.client();
    await client.admin.createTopic({ name: 't' });
    await client.topic('t', utf8).append({ value: 'kept' });
    await first.stop();
    const second = await broker({ storage: 'disk', dataDir });
    expect(await valuesFrom(second.client(), 1)).toEqual(['kept']);
  });

  test('ends its clients when it stops, and says so', async () => {
    const embedded = await broker();
    const client = embedded.client();
    await client.admin.listTopics();
    await embedded[Symbol.asyncDispose]();
    expect([embedded.status, client.state]).toEqual(['stopped', 'closed']);
    await expect(client.topic('t').append({ value: new Uint8Array(1) })).rejects.toMatchObject({ code: 'CLOSED' });
  });

  test('refuses a configuration that makes no sense before anything starts', async () => {
    await expect(createBroker({ raft: { heartbeatMs: 100 } })).rejects.toThrow('electionMsMin');
  });
});
