/** A log that is damaged where it ends, and that all other replicas have trimmed there: given up, but not too early. */
import { expect, test } from 'vitest';
import { ModelDisk } from '../support/model-disk.ts';
import { entriesAfter, follow } from './support/entries.ts';
import { Replica } from './support/replica.ts';

const SEGMENT = '/data/logs/0000000001/0000000000000001.segment';
const TRIMMED = { entry: undefined, unheard: [], isTrimmed: true } as const;

/** A follower that has found its first entry damaged, and was told that nobody has it any more. */
async function damaged(voters: readonly string[]): Promise<Replica> {
  const disk = new ModelDisk();
  const replica = await Replica.open({ disk, voters, cacheBytesMax: 0, fetchEntry: async () => TRIMMED });
  const received = entriesAfter(follow(undefined), { term: 1, values: ['one'] }, { term: 1, values: ['two'] });
  replica.feed(received, { commit: 2 });
  await replica.settle(50);
  const at = Buffer.from(disk.peek(SEGMENT)).indexOf('one');
  disk.damage(SEGMENT, (bytes) => bytes.with(at, bytes[at]! ^ 4));
  expect((await replica.wait(replica.partition.read(0, 1_000))).kind).toBe('damaged');
  return replica;
}

test('once the leader has committed the entry that names its marker, which it asked for, and not before', async () => {
  const replica = await damaged(['n1', 'n2', 'n3']);
  const { rejoining } = replica.partition;
  // The marker is being made durable.
  expect(rejoining.poll()).toBe(undefined);
  await replica.settle(50);
  const marker = rejoining.poll();
  expect(marker).toMatch(/^[0-9a-f]{32}$/);
  expect(rejoining.reason).toBe('entry 1 is damaged, and every other replica has trimmed it');
  rejoining.committed('0'.repeat(32));
  expect(replica.givenUp).toEqual([]);
  rejoining.committed(marker!);
  expect(replica.givenUp).toEqual([rejoining.reason]);
  // It is marked from now on, whatever becomes of the process.
  await replica.close();
  expect(replica.rejoined).toBe(0);
});

test.each([[['n1', 'n2']], [['n1']]])('never by a voter of %j: nobody could take it back', async (voters) => {
  const replica = await damaged(voters);
  const { rejoining } = replica.partition;
  for (let i = 0; i < 3; i += 1) {
    expect(rejoining.poll()).toBe(undefined);
    await replica.settle(500);
  }
  expect([rejoining.reason, replica.givenUp]).toEqual([undefined, []]);
});

test('by a replica that is rejoining already, as soon as its marker is known to be committed', async () => {
  const replica = await damaged(['n1', 'n2', 'n3']);
  const { rejoining } = replica.partition;
  rejoining.lose('its disk lost what it had acked');
  await replica.settle(50);
  const marker = rejoining.poll()!;
  expect(rejoining.reason).toBe('its disk lost what it had acked');
  rejoining.committed(marker);
  expect(replica.givenUp).toEqual(['entry 1 is damaged, and every other replica has trimmed it']);
});
