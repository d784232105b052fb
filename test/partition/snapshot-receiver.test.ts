/** What a follower takes of a state in chunks, and what it drops (R15, R22). */
import { expect, test } from 'vitest';
import { decodeTransfer, type SnapshotChunk, type TransferMessage } from '../../src/partition/snapshot-codec.ts';
import { SnapshotReceiver } from '../../src/partition/snapshot-receiver.ts';
import { crc32c, IncomingSnapshot } from '../../storage/index.ts';
import { ModelDisk } from '../support/model-disk.ts';

const STATE = Uint8Array.from({ length: 10 }, (_, at) => at);
const key = { index: 9, term: 2, stateBytes: STATE.length, stateCrc: crc32c(STATE) };
const point = { index: 9, term: 2, nextOffset: 5, appendTimeMs: 1, chain: { high: 1, low: 2 } };
const membership = { voters: ['n1', 'n2'], votersOutgoing: [], learners: [] };

test('chunks of an old term, another sender, another place or another snapshot are dropped', async () => {
  const disk = new ModelDisk();
  await disk.makeDirectory('/l');
  const own = { clusterId: 'c', groupId: 1, diskUuid: '0'.repeat(32) };
  const wanted: TransferMessage[] = [];
  const stepped: (Uint8Array | undefined)[] = [];
  const receiver = new SnapshotReceiver({
    raft: { id: 'n2', term: 3, leader: 'n1', isLeaderGone: false, needsSnapshot: () => true },
    incoming: new IncomingSnapshot({ disk, directory: '/l', own }),
    send: (_peer, _message, chunks) => {
      wanted.push(decodeTransfer(Buffer.concat(chunks)));
      return true;
    },
    step: (_message, snapshot) => stepped.push(snapshot?.state),
    onTrouble: (what) => expect.unreachable(what),
  });
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const offer = { kind: 'offer', term: 3, key, message: { commit: 9, membership }, point } as const;
  const chunk = (position: number, end: number, changes: Partial<SnapshotChunk> = {}): SnapshotChunk => ({
    kind: 'chunk',
    term: 3,
    key,
    position,
    bytes: STATE.subarray(position, end),
    ...changes,
  });
  const drops = async (from: string, dropped: SnapshotChunk): Promise<void> => {
    const before = wanted.length;
    receiver.onChunk(from, dropped);
    await settle();
    expect(wanted).toHaveLength(before);
  };
  await drops('n1', chunk(0, 4));
  receiver.onOffer('n3', offer);
  receiver.onOffer('n1', { ...offer, term: 2 });
  await settle();
  expect(wanted).toEqual([]);
  receiver.onOffer('n1', offer);
  await settle();
  receiver.onChunk('n1', chunk(0, 4));
  await settle();
  expect(wanted).toMatchObject([{ position: 0 }, { position: 4 }]);
  await drops('n1', chunk(0, 4));
  await drops('n1', chunk(6, 10));
  await drops('n1', chunk(4, 8, { term: 2 }));
  await drops('n3', chunk(4, 8));
  await drops('n1', chunk(4, 8, { key: { ...key, stateCrc: 1 } }));
  await drops('n1', chunk(4, 8, { bytes: new Uint8Array(7) }));
  receiver.onChunk('n1', chunk(4, 10));
  await settle();
  expect(stepped).toEqual([STATE]);
  // The leader keeps the state in memory for as long as somebody may want more of it.
  expect(wanted.at(-1)).toMatchObject({ kind: 'wanted', position: STATE.length });
  await receiver.close();
});

test("a state that is whole once the link to its leader has broken is not given to the core as that leader's word", async () => {
  const disk = new ModelDisk();
  await disk.makeDirectory('/l');
  const own = { clusterId: 'c', groupId: 1, diskUuid: '0'.repeat(32) };
  const raft = { id: 'n2', term: 3, leader: 'n1', isLeaderGone: false, needsSnapshot: () => true };
  const stepped: (Uint8Array | undefined)[] = [];
  const receiver = new SnapshotReceiver({
    raft,
    incoming: new IncomingSnapshot({ disk, directory: '/l', own }),
    send: () => true,
    step: (_message, snapshot) => stepped.push(snapshot?.state),
    onTrouble: (what) => expect.unreachable(what),
  });
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const offer = { kind: 'offer', term: 3, key, message: { commit: 9, membership }, point } as const;
  receiver.onOffer('n1', offer);
  await settle();
  receiver.onChunk('n1', { kind: 'chunk', term: 3, key, position: 0, bytes: STATE });
  raft.isLeaderGone = true;
  await settle();
  expect(stepped).toEqual([]);
  // It was a short cut: the leader is heard again, and what was collected is still there.
  raft.isLeaderGone = false;
  receiver.onOffer('n1', offer);
  await settle();
  expect(stepped).toEqual([STATE]);
  await receiver.close();
});
