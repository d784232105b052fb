/**
 * A replica that finds its log damaged has no rights from that moment on (R19), whoever found it and whatever is under
 * way.
 */
import { expect, test } from 'vitest';
import { encodeControl } from '../../src/partition/control.ts';
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

test('a vote that is on its way to the disk when the log is found to differ is not sent', async () => {
  const replica = await Replica.open();
  const [one, two] = entriesAfter({}, { values: ['one'] }, { values: ['two'] });
  replica.feed([one!, two!], { commit: 1 });
  await replica.settle(10);
  replica.deliver({ kind: 'vote', from: 'n3', term: 2, last: { term: 1, index: 2 }, isTransfer: true });
  // The others elected it without this vote, and its second entry is another one.
  const [other] = entriesAfter(follow(one), { values: ['other'] });
  replica.feed([other!], { from: 'n3', term: 2, previous: one!, commit: 1 });
  await replica.settle(50);
  expect(replica.partition.status.rejoining).toContain('chain checksums differ');
  expect(replica.take('vote-reply').filter(({ message }) => message.message.granted)).toEqual([]);
});

test('it acks again once the damage is trimmed here as well: there is nothing left to mend', async () => {
  const disk = new ModelDisk();
  const trimmed = { entry: undefined, unheard: [], isTrimmed: true };
  const replica = await Replica.open({ disk, cacheBytesMax: 0, fetchEntry: async () => trimmed });
  const [one, two, three] = entriesAfter({}, { values: ['one'] }, { values: ['two'] }, { values: ['three'] });
  replica.feed([one!, two!, three!], { commit: 2 });
  await replica.settle(10);
  const at = Buffer.from(disk.peek(SEGMENT)).indexOf('one');
  disk.damage(SEGMENT, (bytes) => bytes.with(at, bytes[at]! ^ 4));
  expect(await replica.wait(replica.partition.read(0, 1_000))).toMatchObject({ kind: 'damaged' });
  replica.take('append-reply');

  // The next leader has another entry 3: the segment ends where that is cut away, and what is left of it is trimmed.
  const trim = encodeControl({ kind: 'trim', before: 2 });
  const [other] = entriesAfter(follow(two), { term: 2, kind: 'control', payload: trim });
  replica.feed([other!], { from: 'n3', previous: two!, commit: 2 });
  await replica.settle(100);
  replica.feed([], { from: 'n3', term: 2, previous: other!, commit: 3 });
  await replica.settle(100);
  expect(replica.partition.status.damage).toEqual([]);
  expect(replica.take('append-reply')).toEqual([]);
  await replica.wait(replica.partition.mendAll());
  replica.feed([], { from: 'n3', term: 2, previous: other!, commit: 3 });
  await replica.settle(10);
  expect(replica.take('append-reply').at(-1)?.message.message).toMatchObject({ accepted: true, index: 3 });
});
