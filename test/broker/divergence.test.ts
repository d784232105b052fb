/**
 * Two logs that differ where they agree in index and term, which no checksum of their own shows (R27): who is alone
 * with what it has begins anew from the others; and nobody gives up a copy that a majority has because its leader
 * differs.
 */
import { afterEach, expect, test } from 'vitest';
import { decodePeerMessage, encodePeerMessage } from '../../src/partition/peer-codec.ts';
import { patchBatch } from '../../src/protocol/index.ts';
import { encodeEntry, type LogEntry } from '../../storage/index.ts';
import { crashAll, endLater } from './support/endings.ts';
import { segmentsOf } from './support/files.ts';
import { batchOf, SimCluster } from './support/sim-cluster.ts';

const THREE = ['n1', 'n2', 'n3'] as const;
const LOG = '/data/logs/0000000001';
afterEach(crashAll);

function append(cluster: SimCluster, value: string): Promise<unknown> {
  const batch = batchOf([value]);
  const request = { client: { inflightBytes: 0 }, topic: { name: 't' }, partition: 0, batch, producer: undefined };
  return cluster.wait(cluster.broker('n1').append({ ...request, redirect: false }));
}

async function values(cluster: SimCluster, on: string): Promise<string> {
  const start = { kind: 'offset', offset: 0 } as const;
  const request = { topic: { name: 't' }, partition: 0, start, bytesMax: 100_000, waitMs: 0, level: 'any' } as const;
  const { batches } = await cluster.wait(cluster.broker(on).read(request));
  return Buffer.concat(batches).toString('latin1');
}

/** Once, a node gets another record in place of 'true', in an entry that is whole. */
function deceive(cluster: SimCluster, id: string): void {
  const { handler } = cluster.network.node(id)!;
  const { onMessage } = handler;
  handler.onMessage = (from, groupId, bytes) => {
    if (groupId !== 1 || !Buffer.from(bytes).includes('true')) return onMessage(from, groupId, bytes);
    handler.onMessage = onMessage;
    const { message, entries, previousChain } = decodePeerMessage(bytes, from, id);
    const forged = entries.map((entry, at) => forge(entry, at === 0 ? previousChain! : entries[at - 1]!.header.chain));
    onMessage(
      from,
      groupId,
      Buffer.concat(encodePeerMessage(message, { entries: forged, previousChain: previousChain! })),
    );
  };
}

function forge({ header, payload }: LogEntry, previousChain: LogEntry['header']['chain']): LogEntry {
  if (!Buffer.from(payload).includes('true')) throw new Error('the forged record comes by itself');
  const batch = batchOf(['fake']);
  patchBatch(batch, header.baseOffset, header.term);
  return encodeEntry({ ...header, payload: batch }, previousChain);
}

async function started(deceived: readonly string[]): Promise<SimCluster> {
  const cluster = new SimCluster(THREE);
  endLater(cluster);
  await cluster.startAll();
  await cluster.ready();
  await cluster.createTopic('t');
  await append(cluster, 'first');
  for (const id of deceived) deceive(cluster, id);
  await append(cluster, 'true');
  await cluster.time.advance(200);
  for (const id of deceived) expect(await values(cluster, id)).toContain('fake');
  return cluster;
}

const said = (cluster: SimCluster, id: string, text: string): boolean =>
  cluster.node(id).lines.some(({ message }) => message.includes(text));

test('a replica that alone differs is found by the next append, and begins anew from the others', async () => {
  const cluster = await started(['n2']);
  await append(cluster, 'next');
  expect(said(cluster, 'n2', 'chain checksums differ from those of n1')).toBe(true);
  await cluster.until(() => said(cluster, 'n2', 'a replica has rejoined'), 'n2 has rejoined');
  await cluster.ready();
  expect(await values(cluster, 'n2')).toBe(await values(cluster, 'n1'));
  expect(cluster.damageOn('n2')).toBe('no damage known');
  // It is needed for the majority now.
  await cluster.crash('n3');
  await append(cluster, 'needs both');
});

test('a leader that alone differs commits nothing more, and nobody gives up a copy because of it', async () => {
  const cluster = await started(['n2', 'n3']);
  const before = await Promise.all(THREE.map((id) => segmentsOf(cluster, id, LOG)));
  await expect(append(cluster, 'next')).rejects.toThrow();
  await cluster.time.advance(30_000);
  // Named for an operator, also over restarts.
  for (const id of ['n2', 'n3']) {
    expect(cluster.damageOn(id)).toMatch(
      /rejoining groups: 1 \(chain checksums differ from those of n1 at entry \d+\)/,
    );
    await cluster.crash(id);
    await cluster.start(id);
  }
  await cluster.time.advance(30_000);
  for (const id of ['n2', 'n3']) expect(cluster.damageOn(id)).toContain('chain checksums differ');
  expect(await Promise.all(THREE.map((id) => segmentsOf(cluster, id, LOG)))).toEqual(before);
  for (const id of ['n2', 'n3']) expect(await values(cluster, id)).toContain('fake');
  for (const id of THREE) expect(said(cluster, id, 'a log is lost')).toBe(false);
});
