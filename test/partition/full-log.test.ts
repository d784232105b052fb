/**
 * A leader whose log takes no entries because its disk has no room: nothing that would append one may reach the log,
 * for that ends the process. Batches, control entries and changes of the membership are refused, and the second entry
 * of a change, which the core makes by itself, waits.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { FaultyDisk } from '../broker/support/faulty-disk.ts';
import { Replica } from './support/replica.ts';

const opened: Replica[] = [];

afterEach(async () => {
  for (const replica of opened.splice(0)) await replica.close();
});

/** Longer than a full log waits before it tries again, ms. */
const PROBE_MS = 600;

/** One of three that leads; its no-op is committed. */
async function leader(): Promise<{ readonly replica: Replica; readonly disk: FaultyDisk }> {
  const disk = new FaultyDisk();
  const replica = await Replica.open({ disk });
  opened.push(replica);
  await replica.lead();
  replica.ack('n2');
  await replica.settle(5);
  expect(replica.partition.isReadyLeader).toBe(true);
  return { replica, disk };
}

async function fill({ replica, disk }: { replica: Replica; disk: FaultyDisk }, act: () => unknown): Promise<void> {
  disk.isOutOfRoom = (call) => call === 'write';
  act();
  await replica.settle(5);
  expect(replica.troubles).toEqual(['the log is full']);
}

describe('a leader whose log is full', () => {
  test('refuses what its callers ask for, and takes it when there is room', async () => {
    const made = await leader();
    const { replica, disk } = made;
    const { partition } = replica;
    const waiting: unknown[] = [];
    await fill(made, () => void replica.append(['a']).then((outcome) => waiting.push(outcome)));
    const { lastIndex } = partition.status;
    expect(partition.changeMembership({ voters: ['n1', 'n2'], learners: [] })).toEqual({
      kind: 'refused',
      reason: 'full',
    });
    expect(await replica.wait(replica.append(['b']))).toEqual({ kind: 'full' });
    expect(await replica.wait(partition.proposeTrim(0))).toEqual({ kind: 'full' });
    expect(await replica.wait(partition.rejoining.propose('n2', 'a marker'))).toEqual({ kind: 'full' });
    expect([waiting, partition.role, partition.status.lastIndex]).toEqual([[], 'leader', lastIndex]);
    disk.isOutOfRoom = () => false;
    await replica.settle(PROBE_MS);
    expect(partition.changeMembership({ voters: ['n1', 'n2'], learners: [] })).toEqual({ kind: 'begun' });
    await replica.settle(5);
    replica.ack('n2');
    await replica.settle(5);
    expect(waiting).toMatchObject([{ kind: 'appended', baseOffset: 0 }]);
  });

  test('ends a change that the others have committed meanwhile once there is room, and not before', async () => {
    const made = await leader();
    const { replica, disk } = made;
    const { partition } = replica;
    await fill(made, () => partition.changeMembership({ voters: ['n2', 'n3'], learners: [] }));
    replica.ack('n2');
    replica.ack('n3');
    await replica.settle(5);
    expect(partition.status).toMatchObject({ role: 'leader', appliedIndex: 2, lastIndex: 2 });
    disk.isOutOfRoom = () => false;
    await replica.settle(PROBE_MS);
    expect(partition.status).toMatchObject({ role: 'leader', appliedIndex: 2, lastIndex: 3 });
    expect(partition.membership).toEqual({ voters: ['n2', 'n3'], votersOutgoing: [], learners: [] });
  });
});
