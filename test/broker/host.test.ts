/** Partitions that come and go while the node is busy with them. */
import { afterEach, describe, expect, test } from 'vitest';
import type { Catalog } from '../../src/broker/catalog.ts';
import { Host, type HostEvents } from '../../src/broker/host.ts';
import type { BrokerOptions, BrokerWorld } from '../../src/broker/options.ts';
import { CacheBudget, encodeFirstEntry } from '../../src/partition/index.ts';
import { encodePeerMessage } from '../../src/partition/peer-codec.ts';
import type { Message } from '../../src/raft/index.ts';
import { DataDirectory, type Disk, MemoryDisk } from '../../storage/index.ts';
import { FaultyDisk } from './support/faulty-disk.ts';
import { type LogLine, SimTime, simEnv } from './support/sim-env.ts';

const CLUSTER = 'c'.repeat(32);
const EVENTS: HostEvents = {
  onStatus: () => undefined,
  onApplied: () => undefined,
  onLogEvent: () => undefined,
  onLostAcks: () => undefined,
  onRejoining: () => undefined,
};
const opened: Bench[] = [];

afterEach(async () => {
  for (const made of opened.splice(0)) await made.stop();
});

interface Bench {
  readonly host: Host;
  readonly directory: DataDirectory;
  readonly time: SimTime;
  readonly lines: LogLine[];
  /** What ended the process, as far as the storage is concerned. */
  readonly fatal: Error[];
  /** Holds back every log that is opened until it is called. */
  hold(): () => void;
  /** Applies commands to the catalog as its partition would, and makes the groups so. */
  command(...commands: readonly unknown[]): void;
  stop(): Promise<void>;
}

async function bench(disk: Disk = new MemoryDisk()): Promise<Bench> {
  const time = new SimTime();
  const lines: LogLine[] = [];
  const fatal: Error[] = [];
  const env = simEnv(time, 1, lines);
  const directory = await DataDirectory.open(disk, '/data', {
    nodeId: 'n1',
    randomBytes: (count) => env.random.bytes(count),
    onFatal: (error) => fatal.push(error),
  });
  const birth = { kind: 'birth', clusterId: CLUSTER, nodes: [{ id: 'n1', diskUuid: directory.diskUuid }] };
  if (directory.clusterId === undefined) {
    const log = await directory.openLog(0, { clusterId: CLUSTER, timers: env.timers, onFlushed: () => undefined });
    const membership = { voters: ['n1'], votersOutgoing: [], learners: [] };
    await log.saveHardState({ term: 1, votedFor: undefined });
    log.append([encodeFirstEntry({ groupId: 0, appendTimeMs: 1, membership, birth })]);
    log.setCommitHint(1);
    await log.close();
    await directory.setClusterId(CLUSTER);
  }
  const options: Partial<BrokerOptions> = {
    nodeId: 'n1',
    timing: { electionTicksMin: 20, electionTicksMax: 40, heartbeatTicks: 4 },
    segmentBytes: 8 * 1024,
    appendBytesMax: 1_024,
    inflightBytesMax: 1_024,
    uncommittedBytesMax: 1_024,
  };
  const peers = { send: () => false, isUp: () => false, queuedBytes: () => 0 };
  let gate: Promise<void> | undefined;
  const gated = new Proxy(directory, {
    get: (target, name) => {
      if (name === 'openLog') {
        return async (...args: Parameters<DataDirectory['openLog']>) => {
          await gate;
          return target.openLog(...args);
        };
      }
      const value = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const metrics = { add: () => undefined, set: () => undefined, observe: () => undefined };
  const world = { env, metrics, directory: gated, peers } as unknown as BrokerWorld;
  const host = new Host(
    options as BrokerOptions,
    world,
    new CacheBudget(1_000_000),
    async () => ({ entry: undefined, unheard: [], isTrimmed: false }),
    EVENTS,
  );
  await host.openCatalog();
  let index = 10;
  const made: Bench = {
    host,
    directory,
    time,
    lines,
    fatal,
    hold: () => {
      let release: () => void = () => undefined;
      gate = new Promise((resolve) => {
        release = resolve;
      });
      return release;
    },
    command: (...commands) => {
      for (const command of commands) {
        (host.catalog as Catalog).apply(command, { index, appendTimeMs: 1 });
        index += 1;
      }
      host.reconcile(() => true);
    },
    stop: async () => {
      if (fatal.length > 0) return;
      await host.close();
      await directory.close();
    },
  };
  opened.push(made);
  return made;
}

const create = (name: string): object => ({ kind: 'create-topic', name, partitions: 1, replicas: 1, retention: {} });
const remove = (name: string): object => ({ kind: 'delete-topic', name });

describe('a topic', () => {
  test('that is deleted while its log is being opened leaves nothing behind', async () => {
    const made = await bench();
    const release = made.hold();
    made.command(create('t'));
    made.command(remove('t'));
    release();
    await made.host.settled();
    expect([made.host.get(1), made.host.opening, made.host.broken]).toEqual([undefined, [], []]);
    expect(await made.directory.groups()).toEqual([0]);
  });

  test('that is deleted and made again at once is open once, and empty', async () => {
    const made = await bench();
    made.command(create('t'));
    await made.host.settled();
    made.command(remove('t'));
    made.command(create('t'));
    await made.host.settled();
    expect([made.host.get(1), made.host.get(2)?.status.lastIndex]).toEqual([undefined, 0]);
    expect(await made.directory.groups()).toEqual([0, 2]);
  });

  test('that cannot be opened is named, and the others are open', async () => {
    const made = await bench();
    const openLog = made.directory.openLog.bind(made.directory);
    made.directory.openLog = (groupId, options) =>
      groupId === 1 ? Promise.reject(new Error('no such luck')) : openLog(groupId, options);
    made.command(create('t'));
    made.command(create('u'));
    await made.host.settled();
    expect([made.host.broken, made.host.breakage(1)?.message]).toEqual([[1], 'no such luck']);
    expect(made.host.get(2)).toBeDefined();
    made.command(remove('t'));
    await made.host.settled();
    expect(made.host.broken).toEqual([]);
  });
});

test('a log of a deleted topic is looked for again when it could not be looked for', async () => {
  const made = await bench();
  const log = await made.directory.openLog(1, {
    clusterId: CLUSTER,
    timers: simEnv(made.time, 1, []).timers,
    onFlushed: () => undefined,
  });
  await log.close();
  const groups = made.directory.groups.bind(made.directory);
  made.directory.groups = () => Promise.reject(new Error('too many open files'));
  made.command(create('t'), remove('t'));
  await made.host.settled();
  made.directory.groups = groups;
  expect(await made.directory.groups()).toEqual([0, 1]);
  made.command(create('u'));
  await made.host.settled();
  expect(await made.directory.groups()).toEqual([0, 2]);
});

describe('a write that fails while a topic is deleted', () => {
  test('ends the process, and no partition is stopped as if the others went on', async () => {
    const disk = new FaultyDisk();
    const made = await bench(disk);
    made.command(create('t'));
    await made.host.settled();
    disk.isBroken = (path) => path.includes('/0000000001/');
    made.command(remove('t'));
    await made.host.settled();
    // The catalog goes on telling, until the process is gone.
    made.command(create('u'));
    await made.host.settled();
    expect(made.fatal).toMatchObject([{ code: 'FLUSH_FAILED' }]);
    expect(made.host.broken).toEqual([]);
    expect(made.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });
});

describe('a disk without room', () => {
  async function withoutRoom(): Promise<{ disk: FaultyDisk; made: Bench }> {
    const disk = new FaultyDisk();
    const made = await bench(disk);
    disk.isOutOfRoom = () => true;
    return { disk, made };
  }

  test('keeps a topic that is made waiting, and the node says that it is full, until there is room', async () => {
    const { disk, made } = await withoutRoom();
    made.command(create('t'));
    await made.time.advance(3_000);
    expect([made.host.opening, made.host.broken, made.host.hasFullLog]).toEqual([[1], [], true]);
    const told = (): number => made.lines.filter(({ message }) => message.startsWith('a log waits for room to')).length;
    expect(told()).toBe(1);
    disk.isOutOfRoom = () => false;
    await made.time.advance(600);
    expect([made.host.get(1)?.isReadyLeader, made.host.hasFullLog]).toEqual([true, false]);
  });

  test('at any write of making a log is waited out the same way', async () => {
    for (let nth = 1; ; nth += 1) {
      const disk = new FaultyDisk();
      const made = await bench(disk);
      let count = 0;
      disk.isOutOfRoom = (_call, path) => {
        if (made.host.get(1) !== undefined || !path.includes('0000000001')) return false;
        count += 1;
        return count >= nth && count < nth + 3;
      };
      made.command(create('t'));
      await made.time.advance(3_000);
      expect([made.host.get(1)?.isReadyLeader, made.host.broken, made.fatal]).toEqual([true, [], []]);
      if (count < nth) return;
    }
  });

  test('does not keep a topic from being deleted while it waits, nor the node from stopping', async () => {
    const { disk, made } = await withoutRoom();
    made.command(create('t'), create('u'));
    await made.time.advance(100);
    made.command(remove('t'));
    await made.time.advance(0);
    expect(made.host.opening).toEqual([2]);
    disk.isOutOfRoom = () => false;
    await made.host.close();
    expect([made.host.get(1), made.host.get(2), made.host.broken]).toEqual([undefined, undefined, []]);
  });

  test('lets a deleted topic go once there is room again', async () => {
    const disk = new FaultyDisk();
    const made = await bench(disk);
    made.command(create('t'));
    await made.host.settled();
    disk.isOutOfRoom = (call) => call === 'rename';
    made.command(remove('t'));
    await made.time.advance(1_200);
    expect(await made.directory.groups()).toEqual([0, 1]);
    disk.isOutOfRoom = () => false;
    await made.time.advance(600);
    expect([await made.directory.groups(), made.host.broken]).toEqual([[0], []]);
  });
});

test('a group that is opened late does not follow who went down meanwhile', async () => {
  const made = await bench();
  const word = (from: string, term: number): void => {
    const heartbeat: Message = { kind: 'heartbeat', from, to: 'n1', term, commit: 0, round: 1 };
    made.host.receive(from, 1, Buffer.concat(encodePeerMessage(heartbeat, {})));
  };
  const release = made.hold();
  made.command(create('t'));
  word('n2', 5);
  word('n3', 4);
  made.host.peerDown('n2');
  release();
  await made.host.settled();
  const { leader, term } = made.host.get(1)!;
  expect({ leader, term }).toEqual({ leader: 'n3', term: 4 });
});

describe('a node that stops', () => {
  test('while logs are being opened waits for them and closes what was opened', async () => {
    const made = await bench();
    const release = made.hold();
    made.command(create('t'));
    const stopping = made.stop();
    opened.length = 0;
    release();
    await stopping;
    expect(made.host.get(1)).toBeUndefined();
  });

  test('opens nothing more', async () => {
    const made = await bench();
    await made.host.close();
    made.command(create('t'));
    await made.host.settled();
    expect([made.host.get(1), made.host.opening]).toEqual([undefined, []]);
  });
});

describe('strays', () => {
  test('are logs of deleted groups, and nothing else', async () => {
    const disk = new MemoryDisk();
    const before = await bench(disk);
    before.command(create('kept'));
    before.command(create('deleted'));
    await before.host.settled();
    const timers = { after: () => ({ cancel: () => undefined }) };
    const options = { clusterId: CLUSTER, timers, onFlushed: () => undefined };
    // A group that the catalog here has not come to is none.
    for (const groupId of [3, 9]) await (await before.directory.openLog(groupId, options)).close();
    before.command(remove('deleted'));
    // Topics that come while strays are looked for are none either.
    before.command(create('new'));
    await before.host.settled();
    expect(await before.directory.groups()).toEqual([0, 1, 3, 9]);
    expect(before.host.get(3)).toBeDefined();
  });

  test('are found when a node learns the birth and the end of a topic in one step', async () => {
    const made = await bench();
    const timers = { after: () => ({ cancel: () => undefined }) };
    const options = { clusterId: CLUSTER, timers, onFlushed: () => undefined };
    // From before this node stopped; its catalog does not go that far, and catches up by a batch of entries.
    await (await made.directory.openLog(1, options)).close();
    made.command(create('t'), remove('t'));
    await made.host.settled();
    expect(await made.directory.groups()).toEqual([0]);
  });
});

describe('messages that come early', () => {
  test('are given to the group once it is open, and to nobody when it is gone', async () => {
    const made = await bench();
    made.host.receive('n2', 1, new Uint8Array([1, 2, 3]));
    made.command(create('t'));
    await made.host.settled();
    expect(made.lines.some(({ message }) => message.includes('dropped a message from n2'))).toBe(true);
    made.command(remove('t'));
    await made.host.settled();
    made.host.receive('n2', 1, new Uint8Array([1, 2, 3]));
    expect(made.host.get(1)).toBeUndefined();
  });
});
