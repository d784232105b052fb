/** Beats between nodes: who is silent, what lists say, and how little a thousand idle groups cost. */
import { describe, expect, test } from 'vitest';
import { Beats, type BeatsParts } from '../../src/broker/beats.ts';
import { Pulse } from '../../src/broker/pulse.ts';
import { batchOf, SimCluster } from './support/sim-cluster.ts';
import { type LogLine, SimTime, simEnv } from './support/sim-env.ts';

interface Made {
  readonly beats: Beats;
  readonly sent: { readonly to: string; readonly bytes: Uint8Array }[];
  readonly silent: string[];
  readonly lists: [string, ReadonlyMap<number, number>][];
}

function beatsOf(peers: readonly string[], changes: Partial<BeatsParts> = {}): Made {
  const sent: Made['sent'] = [];
  const silent: string[] = [];
  const lists: Made['lists'] = [];
  const beats = new Beats({
    transport: {
      isUp: () => true,
      send: (to, _lane, _group, chunks) => {
        sent.push({ to, bytes: Buffer.concat(chunks) });
        return true;
      },
    },
    heartbeatTicks: 4,
    silentTicks: 10,
    listTicks: 100,
    led: () => [],
    onSilent: (peer, ticks) => silent.push(`${peer} ${ticks}`),
    onHeard: (peer) => silent.push(`${peer} heard`),
    onList: (peer, led) => lists.push([peer, led]),
    ...changes,
  });
  for (const peer of peers) beats.peerUp(peer);
  return { beats, sent, silent, lists };
}

function ticks({ beats }: Made, count: number): void {
  for (let i = 0; i < count; i += 1) beats.tick();
}

describe('beats', () => {
  test('each peer gets one every heartbeat period, whatever this node leads', () => {
    const led = Array.from({ length: 1_000 }, (_, at) => ({ groupId: at, term: 7 }));
    const made = beatsOf(['b', 'c'], { led: () => led });
    ticks(made, 400);
    expect(made.sent).toHaveLength(2 * 100);
    // The lists of four seconds, and a few bytes otherwise.
    expect(made.sent.filter(({ bytes }) => bytes.length > 2)).toHaveLength(2 * 4);
  });

  test('a peer that sends none is silent, again and again, until it is heard or its link goes down', () => {
    const made = beatsOf(['b', 'c']);
    ticks(made, 9);
    made.beats.receive('c', Uint8Array.of(1, 0));
    ticks(made, 11);
    expect(made.silent).toEqual(['b 10', 'c 10', 'b 20']);
    made.beats.peerDown('b');
    made.beats.receive('c', Uint8Array.of(1, 0));
    ticks(made, 9);
    expect(made.silent.slice(3)).toEqual(['c heard']);
  });

  test('a list says what its sender leads, at once after it lost something', () => {
    const here = beatsOf(['b'], { led: () => [{ groupId: 3, term: 2 ** 40 }] });
    const there = beatsOf(['a']);
    ticks(here, 4);
    there.beats.receive('a', here.sent.at(-1)!.bytes);
    expect(there.lists).toEqual([['a', new Map([[3, 2 ** 40]])]]);
    ticks(here, 4);
    expect(here.sent.at(-1)!.bytes).toHaveLength(2);
    here.beats.lostLeadership();
    ticks(here, 4);
    expect(here.sent.at(-1)!.bytes.length).toBeGreaterThan(2);
  });

  test('a node that joined later gets beats and lists as all others do', () => {
    const made = beatsOf(['b']);
    ticks(made, 4);
    made.beats.peerUp('c');
    ticks(made, 400);
    const { length } = made.sent.filter(({ to }) => to === 'c');
    expect(length).toBe(100);
    expect(made.sent.filter(({ to, bytes }) => to === 'c' && bytes.length > 2)).toHaveLength(4);
  });

  test('any message of a node is a sign of life', () => {
    const made = beatsOf(['b']);
    for (let rounds = 0; rounds < 5; rounds += 1) {
      ticks(made, 9);
      made.beats.heard('b');
    }
    expect(made.silent).toEqual([]);
  });

  test('who was silent and is heard again is asked for its list, until it has sent one', () => {
    const silent = beatsOf(['b'], { led: () => [{ groupId: 3, term: 1 }] });
    const other = beatsOf(['a']);
    ticks(silent, 4);
    other.beats.receive('a', silent.sent.at(-1)!.bytes);
    expect(other.lists).toHaveLength(1);
    ticks(other, 12);
    expect(other.silent).toEqual(['a 10']);
    silent.beats.receive('b', other.sent.at(-1)!.bytes);
    ticks(silent, 4);
    other.beats.receive('a', silent.sent.at(-1)!.bytes);
    expect(other.silent).toEqual(['a 10', 'a heard']);
    expect(other.lists).toHaveLength(2);
    ticks(other, 4);
    silent.beats.receive('b', other.sent.at(-1)!.bytes);
    ticks(silent, 4);
    // Nobody asked again: a beat as always.
    expect(silent.sent.at(-1)!.bytes).toHaveLength(2);
  });

  test('what cannot be read is a sign of life and nothing else', () => {
    const made = beatsOf(['b']);
    for (const bytes of [[], [9, 9, 9], [1, 1, 0, 0, 0, 5, 1], [1, 1, 0, 0, 0, 0, 1]]) {
      ticks(made, 9);
      made.beats.receive('b', Uint8Array.from(bytes));
    }
    expect([made.silent, made.lists]).toEqual([[], []]);
  });
});

describe('a process that stands still (R24)', () => {
  test('an overdue tick waits for the sockets; then everybody hears how long it was', async () => {
    const time = new SimTime();
    const lines: LogLine[] = [];
    const counted: string[] = [];
    const metrics = { add: (name: string) => counted.push(name), set: () => undefined, observe: () => undefined };
    const env = simEnv(time, 1, lines);
    let skewMs = 0;
    const clock = { nowMs: () => time.nowMs, monotonicMs: () => time.nowMs + skewMs };
    const order: string[] = [];
    const options = { tickMs: 10, timing: { electionTicksMin: 20, electionTicksMax: 40, heartbeatTicks: 4 } };
    const pulse = new Pulse(
      options,
      { env: { ...env, clock }, metrics },
      { onTick: () => order.push('tick'), onStall: (missed) => order.push(`stall ${missed}`) },
    );
    pulse.start();
    await time.advance(20);
    expect(order).toEqual(['tick', 'tick']);
    skewMs = 5_000;
    time.add(10, undefined, () => order.push('input'));
    await time.advance(10);
    expect(order.slice(2)).toEqual(['input', 'stall 500', 'tick']);
    await time.advance(10);
    expect(order.at(-1)).toBe('tick');
    expect(counted).toEqual(['logdrive_stalls_total']);
    expect(lines.map(({ message }) => message)).toEqual([expect.stringContaining('stood still')]);
    pulse.stop();
  });

  test('ticks all the same, however slow each turn is: nothing would be sent, elected or tidied up otherwise', async () => {
    const time = new SimTime();
    const env = simEnv(time, 1, []);
    let skewMs = 0;
    const clock = { nowMs: () => time.nowMs, monotonicMs: () => time.nowMs + skewMs };
    const options = { tickMs: 10, timing: { electionTicksMin: 20, electionTicksMax: 40, heartbeatTicks: 4 } };
    const metrics = { add: () => undefined, set: () => undefined, observe: () => undefined };
    let ticks = 0;
    const pulse = new Pulse(
      options,
      { env: { ...env, clock }, metrics },
      {
        onTick: () => {
          ticks += 1;
        },
        onStall: () => undefined,
      },
    );
    pulse.start();
    for (let turn = 0; turn < 20; turn += 1) {
      skewMs += 120;
      await time.advance(10);
    }
    expect(ticks).toBe(20);
    pulse.stop();
  });

  test('is said once in ten seconds, however often it stands still', async () => {
    const time = new SimTime();
    const lines: LogLine[] = [];
    const env = simEnv(time, 1, lines);
    let skewMs = 0;
    const clock = { nowMs: () => time.nowMs, monotonicMs: () => time.nowMs + skewMs };
    const options = { tickMs: 10, timing: { electionTicksMin: 20, electionTicksMax: 40, heartbeatTicks: 4 } };
    const metrics = { add: () => undefined, set: () => undefined, observe: () => undefined };
    const events = { onTick: () => undefined, onStall: () => undefined };
    const pulse = new Pulse(options, { env: { ...env, clock }, metrics }, events);
    pulse.start();
    for (const stalledMs of [300, 500, 200, 10_000]) {
      skewMs += stalledMs;
      await time.advance(10);
    }
    expect(lines.map(({ fields }) => fields)).toEqual([
      { stalledMs: 300, times: 1 },
      { stalledMs: 10_000, times: 3 },
    ]);
    pulse.stop();
  });
});

describe('a cluster of idle groups', () => {
  const timing = { electionTicksMin: 20, electionTicksMax: 40, heartbeatTicks: 4, restTicks: 50 };
  const IDS = ['n1', 'n2', 'n3'];

  async function restingCluster(partitions: number): Promise<SimCluster> {
    const cluster = new SimCluster(IDS, { timing });
    await cluster.startAll();
    await cluster.ready();
    await cluster.createTopic('t', { partitions });
    await cluster.time.advance(5_000);
    return cluster;
  }

  /** Messages all nodes send within `ms`. */
  async function traffic(cluster: SimCluster, ms: number): Promise<number> {
    const before = cluster.network.carried;
    await cluster.time.advance(ms);
    return cluster.network.carried - before;
  }

  /** Who leads each partition, as every running node sees it; undefined when they differ. */
  async function leaders(cluster: SimCluster): Promise<(string | undefined)[]> {
    const seen = await Promise.all(cluster.running().map((broker) => broker.listTopics()));
    const first = seen[0]![0]!.partitions;
    return first.map(({ leader }, at) =>
      seen.every((topics) => topics[0]!.partitions[at]!.leader === leader) ? leader : undefined,
    );
  }

  async function untilLedWithout(cluster: SimCluster, gone: string, ms: number): Promise<number> {
    for (let waited = 0; waited <= ms; waited += 10) {
      const led = await leaders(cluster);
      if (led.every((leader) => leader !== undefined && leader !== gone)) return waited;
      await cluster.time.advance(10);
    }
    throw new Error(`not all led without ${gone} after ${ms} ms`);
  }

  test('costs the same few messages however many there are', async () => {
    const few = await traffic(await restingCluster(1), 5_000);
    const many = await traffic(await restingCluster(40), 5_000);
    // A beat every 40 ms to each of two peers from each of three nodes, and word of who leads what now and then.
    expect(few).toBeLessThan(125 * 6 + 50);
    expect(many).toBeLessThan(few + 50);
  });

  test('gets new leaders when the process of one ends', async () => {
    const cluster = await restingCluster(6);
    expect(await leaders(cluster)).toContain('n1');
    cluster.kill('n1');
    expect(await untilLedWithout(cluster, 'n1', 2_000)).toBeLessThanOrEqual(600);
  });

  test('gets new leaders when a node falls silent though its links stay up, and the old ones step down', async () => {
    const cluster = await restingCluster(6);
    for (const other of ['n2', 'n3']) cluster.cut.add(`n1>${other}`).add(`${other}>n1`);
    await cluster.time.advance(1_000);
    const [first, ...others] = await Promise.all(cluster.running().map((broker) => broker.listTopics()));
    for (const topics of others) {
      for (const { leader } of topics[0]!.partitions) expect(['n2', 'n3']).toContain(leader);
    }
    for (const { leader } of first![0]!.partitions) expect(leader).not.toBe('n1');
  });

  test('goes on where it was after a node fell silent for less than an election timeout', async () => {
    const cluster = await restingCluster(6);
    const before = await leaders(cluster);
    for (const other of ['n2', 'n3']) cluster.network.stalledUntilMs.set(`n1>${other}`, cluster.time.nowMs + 120);
    await cluster.time.advance(3_000);
    expect(await leaders(cluster)).toEqual(before);
    expect(await traffic(cluster, 1_000)).toBeLessThan(25 * 6 + 50);
  });

  test('takes appends as if it had never rested', async () => {
    const cluster = await restingCluster(3);
    const client = { inflightBytes: 0 };
    const request = { client, topic: { name: 't' }, producer: undefined, redirect: false, timeoutMs: 5_000 };
    for (const partition of [0, 1, 2]) {
      const batch = batchOf([`v${partition}`]);
      const append = cluster.broker('n1').append({ ...request, partition, batch });
      expect(await cluster.wait(append, 50)).toMatchObject({ baseOffset: 0 });
    }
  });
});
