/**
 * A replica that finds its log damaged has no rights from that moment on (R19), whoever found it and whatever is under
 * way.
 */
import { expect, test } from 'vitest';
import { ModelDisk } from '../support/model-disk.ts';
import { entriesAfter, follow } from './support/entries.ts';
import { Replica } from './support/replica.ts';

const SEGMENT = '/data/logs/0000000001/0000000000000001.segment';

test('it grants no vote in the turn in which the damage is found', async () => {
  const disk = new ModelDisk();
  let asked: (() => void) | undefined;
  const replica = await Replica.open({ disk, cacheBytesMax: 0, onLogEvent: () => asked?.() });
  replica.feed(entriesAfter(follow(undefined), { term: 1, values: ['one'] }, { term: 1, values: ['two'] }), {
    commit: 2,
  });
  await replica.settle(10);
  expect(replica.take('append-reply').at(-1)?.message.message).toMatchObject({ accepted: true, index: 2 });
  const at = Buffer.from(disk.peek(SEGMENT)).indexOf('one');
  disk.damage(SEGMENT, (bytes) => bytes.with(at, bytes[at]! ^ 4));

  // The first word of the damage; whoever reads hears of it some steps later.
  asked = () => queueMicrotask(() => replica.deliver({ ...candidate, kind: 'vote' }));
  const candidate = { from: 'n3', term: 2, last: { term: 1, index: 2 }, isTransfer: true } as const;
  const reading = replica.partition.read(0, 1_000).catch(() => undefined);
  await replica.settle(50);
  await reading;
  expect(replica.events.map(({ kind }) => kind)).toContain('damage');
  expect(replica.take('vote-reply').filter(({ message }) => message.message.granted)).toEqual([]);
});
