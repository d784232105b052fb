/**
 * One fault on one node of three, on two, and on all of them at once. Meanwhile a majority that is left acknowledges,
 * and nobody else does; afterwards every node holds what was acknowledged, once and in order, and goes on by itself.
 * Not here: faults with an outcome of their own, such as full disks (docs/guarantees.md, "What survives what").
 */
import { afterEach, expect, test } from 'vitest';
import { LogError } from '../../src/protocol/index.ts';
import { ModelDisk } from '../support/model-disk.ts';
import { endLater, killAll } from './support/endings.ts';
import { batchOf, SimCluster } from './support/sim-cluster.ts';

const THREE = ['n1', 'n2', 'n3'] as const;
const COUNTS = [1, 2, 3] as const;
/** Some election timeouts. */
const HARM_MS = 2_000;
const ASK_MS = 50;
afterEach(killAll);

class Struck {
  readonly cluster: SimCluster = new SimCluster(THREE, {}, { onFatal: (id) => this.cluster.kill(id) });
  readonly disks: Map<string, ModelDisk> = new Map();
  /** Nodes whose disk fails everything that is to be durable. */
  readonly failing: Set<string> = new Set();
  /** By offset, as the acknowledgement said. */
  readonly #acked = new Map<number, string>();
  #asked = 0;

  /** A cluster at work. */
  static async create(): Promise<Struck> {
    const struck = new Struck();
    const { cluster } = struck;
    endLater(cluster);
    for (const id of THREE) struck.insert(id, new ModelDisk({ onCall: ({ kind }) => struck.#outcomeOf(id, kind) }));
    await cluster.startAll();
    await cluster.ready();
    await cluster.createTopic('t');
    expect(await struck.acksFor(500, 'n1')).toBeGreaterThan(0);
    return struck;
  }

  #outcomeOf(id: string, kind: string): 'EIO' | undefined {
    return this.failing.has(id) && ['flush', 'writeDurable'].includes(kind) ? 'EIO' : undefined;
  }

  /** The leader of the topic, as that node knows it, before the others. */
  async leaderFirst(seenBy: string): Promise<string[]> {
    const [topic] = await this.cluster.broker(seenBy).listTopics();
    const leader = topic!.partitions[0]!.leader!;
    return [leader, ...THREE.filter((id) => id !== leader)];
  }

  insert(id: string, disk: ModelDisk): void {
    this.disks.set(id, disk);
    this.cluster.node(id).disk = disk;
  }

  /** Asks that node for an append every now and then; how many were acknowledged within this time. */
  async acksFor(ms: number, on: string): Promise<number> {
    const { time } = this.cluster;
    const before = this.#acked.size;
    for (const endMs = time.nowMs + ms; time.nowMs < endMs; await time.advance(ASK_MS)) void this.#ask(on);
    return this.#acked.size - before;
  }

  /** May never be answered: the process that was asked may end. */
  async #ask(on: string): Promise<void> {
    const { broker } = this.cluster.node(on);
    if (broker === undefined) return;
    const value = `value-${this.#asked++}.`;
    const request = { client: { inflightBytes: 0 }, topic: { name: 't' }, partition: 0, producer: undefined };
    try {
      const append = broker.append({ ...request, batch: batchOf([value]), redirect: false });
      this.#acked.set((await append).baseOffset!, value);
    } catch (error) {
      if (!LogError.is(error)) throw error;
    }
  }

  /**
   * All nodes are there again by themselves and hold the same: each value once, and what was acknowledged at its
   * offset.
   */
  async expectKept(): Promise<void> {
    await this.cluster.ready();
    for (const id of THREE) expect(await this.acksFor(500, id)).toBeGreaterThan(0);
    await this.cluster.time.advance(500);
    const acked = [...this.#acked];
    const held = await this.#valuesOn('n1');
    for (const id of ['n2', 'n3']) expect(await this.#valuesOn(id)).toEqual(held);
    expect(new Set(held).size).toBe(held.length);
    expect(acked.filter(([offset, value]) => held[offset] !== value)).toEqual([]);
  }

  async #valuesOn(id: string): Promise<string[]> {
    const values: string[] = [];
    for (let offset = 0; ; ) {
      const start = { kind: 'offset', offset } as const;
      const request = { topic: { name: 't' }, partition: 0, start, bytesMax: 1, waitMs: 0, level: 'any' } as const;
      const { nextOffset, batches } = await this.cluster.wait(this.cluster.broker(id).read(request));
      values.push(
        ...(Buffer.concat(batches)
          .toString('latin1')
          .match(/value-\d+\./g) ?? []),
      );
      if (nextOffset === offset) return values;
      offset = nextOffset;
    }
  }
}

/** Does it to these nodes; what it returns undoes it, after HARM_MS. */
type Harm = (struck: Struck, ids: readonly string[]) => () => Promise<void>;

async function expectKept(count: number, harm: Harm, meanwhile: 'a majority acks' | 'all ack'): Promise<void> {
  const struck = await Struck.create();
  const ids = (await struck.leaderFirst('n1')).slice(0, count);
  const undo = harm(struck, ids);
  const running = THREE.filter((id) => struck.cluster.node(id).broker !== undefined);
  const alive = running.find((id) => !ids.includes(id)) ?? running[0];
  const acks = alive === undefined ? 0 : await struck.acksFor(HARM_MS, alive);
  expect(acks > 0).toBe(meanwhile === 'all ack' || count === 1);
  if (meanwhile === 'a majority acks' && count === 1) expect(ids).not.toContain((await struck.leaderFirst(alive!))[0]);
  await undo();
  await struck.expectKept();
}

/** The disk is left with what `after` makes of it. */
function ended(after: (disk: ModelDisk, seed: number) => ModelDisk): Harm {
  return (struck, ids) => {
    for (const [seed, id] of ids.entries()) {
      struck.cluster.kill(id);
      struck.insert(id, after(struck.disks.get(id)!, seed));
    }
    return async () => {
      for (const id of ids) await struck.cluster.start(id);
    };
  };
}

const killed = ended((disk) => disk.copy());
const withoutPower = ended((disk, seed) => disk.afterCrash(seed));

const paused: Harm = ({ cluster }, ids) => {
  const untilMs = cluster.time.nowMs + HARM_MS;
  for (const id of ids) cluster.pause(id, HARM_MS);
  return async () => {
    await cluster.time.advance(untilMs - cluster.time.nowMs);
  };
};

const cutOff: Harm = ({ cluster }, ids) => {
  const wires = ids.flatMap((id) => THREE.flatMap((other) => [`${id}>${other}`, `${other}>${id}`]));
  for (const wire of wires) cluster.cut.add(wire);
  return async () => {
    for (const wire of wires) cluster.cut.delete(wire);
  };
};

const onBreakingLinks: Harm = ({ cluster }, ids) => {
  const pairs = ids.flatMap((id) => THREE.filter((other) => other !== id).map((other) => [id, other] as const));
  let broken = 0;
  const breaking = cluster.time.add(130, 130, () => {
    for (const [id, other] of pairs) {
      if (cluster.network.node(id)!.isUp(other)) broken += 1;
      cluster.disconnect(id, other);
      cluster.time.add(10, undefined, () => cluster.connect(id, other));
    }
  });
  return async () => {
    breaking.cancel();
    expect(broken).toBeGreaterThanOrEqual(10 * ids.length);
  };
};

const withFailingFlushes: Harm = (struck, ids) => {
  for (const id of ids) struck.failing.add(id);
  return async () => {
    // The process ended and was not tried again; who starts it finds a disk that works.
    for (const id of ids) expect(struck.cluster.node(id).broker).toBeUndefined();
    struck.failing.clear();
    for (const id of ids) {
      struck.insert(id, struck.disks.get(id)!.copy());
      await struck.cluster.start(id);
    }
  };
};

test.each(COUNTS)('%i of three nodes killed: nothing acknowledged is lost, only a majority acknowledges', (count) =>
  expectKept(count, killed, 'a majority acks'),
);

test.each(COUNTS)('%i of three nodes paused: nothing acknowledged is lost, only a majority acknowledges', (count) =>
  expectKept(count, paused, 'a majority acks'),
);

test.each(COUNTS)('%i of three nodes lose power: nothing acknowledged is lost, only a majority acknowledges', (count) =>
  expectKept(count, withoutPower, 'a majority acks'),
);

test.each(COUNTS)('%i of three nodes cut off: nothing acknowledged is lost, only a majority acknowledges', (count) =>
  expectKept(count, cutOff, 'a majority acks'),
);

test.each(COUNTS)('%i of three nodes on links that break and come back: nothing is lost, appends go on', (count) =>
  expectKept(count, onBreakingLinks, 'all ack'),
);

test.each(COUNTS)('%i of three nodes whose flushes fail: they end, nothing acknowledged is lost', (count) =>
  expectKept(count, withFailingFlushes, 'a majority acks'),
);
