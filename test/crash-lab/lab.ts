/**
 * One cluster of real processes on real disks with clients at work, and what faults need to reach it: nodes by role,
 * their disks, the relays between them. A fault does its harm and undoes it; the lab then waits until everything works
 * again without a hand, and says how long that took.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { logdriveOk } from '../cluster/support/command-line.ts';
import { TestNode } from '../cluster/support/test-node.ts';
import type { Prng } from '../raft/support/prng.ts';
import { eventually } from '../support/eventually.ts';
import { freePorts } from '../support/free-ports.ts';
import { type DiskKind, ImageDisk, type LabDisk, plainDisk } from './disks.ts';
import { KeysLoad } from './keys-load.ts';
import { Load, readReplica } from './load.ts';
import { PacketFilter } from './packet-filter.ts';
import { Relay } from './relay.ts';

export const TOPIC = 'lab';
const KEYS_TOPIC = 'lab-keys';
const IDS = ['n1', 'n2', 'n3'];
/** Small, so that segments are sealed all the time; the other limits must fit into one. */
const FLAGS = [
  ...['--wal-segment-bytes', '1MiB'],
  ...['--limits-batch-bytes-max', '256KiB'],
  ...['--limits-record-bytes-max', '64KiB'],
  // Slow, so that a compaction lasts long enough to be met.
  ...['--compaction-io-bytes-per-second', '1048576'],
  ...['--log-level', 'info', '--log-pretty', 'no'],
];
const RECOVERED_WITHIN_MS = 30_000;
const ACKS_OF_HEALTH = 100;
const LOG_CHARS = 8_000;

export interface LabNode {
  readonly node: TestNode;
  readonly disk: LabDisk;
  /** What this node dials, by the id of the node behind. */
  readonly relays: ReadonlyMap<string, Relay>;
}

export interface Leadership {
  readonly leader: LabNode;
  readonly term: number;
}

interface TopicAnswer {
  readonly partitions: readonly { readonly leader: string | null; readonly term: number; readonly tail: number }[];
}

export class Lab implements AsyncDisposable {
  readonly random: Prng;
  readonly nodes: readonly LabNode[];
  readonly load: Load;
  readonly #dir: string;
  #keys: Promise<KeysLoad> | undefined;
  #packetFilter: Promise<PacketFilter> | undefined;
  #ending: Promise<void> | undefined;

  private constructor(random: Prng, dir: string, nodes: readonly LabNode[], load: Load) {
    this.random = random;
    this.#dir = dir;
    this.nodes = nodes;
    this.load = load;
  }

  static async create(random: Prng, diskKind: DiskKind, recordsMax: number): Promise<Lab> {
    const dir = await mkdtemp(join(tmpdir(), 'logdrive-lab-'));
    const ports = await freePorts(2 * IDS.length);
    const peerPort = (at: number): number => ports[IDS.length + at]!;
    const nodes: LabNode[] = [];
    for (const [at, id] of IDS.entries()) {
      const home = join(dir, id);
      const disk = diskKind === 'directory' ? plainDisk(home) : await ImageDisk.create(diskKind, home);
      const relays = new Map<string, Relay>();
      const addresses: string[] = [];
      for (const [other, otherId] of IDS.entries()) {
        const relay = otherId === id ? undefined : await Relay.open(peerPort(other));
        if (relay !== undefined) relays.set(otherId, relay);
        addresses.push(`${otherId}=127.0.0.1:${relay?.port ?? peerPort(other)}`);
      }
      const places = { dataDir: disk.dataDir, clientPort: ports[at]!, peerPort: peerPort(at) };
      const node = new TestNode({ id, ...places, peers: addresses.join(','), flags: FLAGS });
      nodes.push({ node, disk, relays });
    }
    const own = nodes.map(({ node }) => node);
    const servers = own.map((node) => `ws://127.0.0.1:${node.clientPort}`);
    const load = new Load({ servers, nodes: own, topic: TOPIC, random, recordsMax });
    const lab = new Lab(random, dir, nodes, load);
    try {
      await lab.startAll();
      await logdriveOk(['topic', 'create', TOPIC, '-s', own.map((node) => node.address).join(',')]);
      await load.start();
      await lab.moreAcks(ACKS_OF_HEALTH);
      return lab;
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Starts what does not run; resolves when all are ready. */
  async startAll(): Promise<void> {
    for (const { node } of this.nodes) if (!node.isRunning) node.start();
    await Promise.all(this.nodes.map(({ node }) => node.ready(RECOVERED_WITHIN_MS)));
  }

  /** As a running node sees it that is not left out. */
  async leadership(unless?: LabNode): Promise<Leadership> {
    return eventually(
      async () => {
        for (const asked of this.nodes) {
          if (!asked.node.isRunning || asked === unless) continue;
          const answer = (await asked.node.get(`/v1/topics/${TOPIC}`)) as TopicAnswer;
          const { leader: id, term } = answer.partitions[0]!;
          const leader = this.nodes.find(({ node }) => node.id === id);
          if (leader?.node.isRunning && leader !== unless) return { leader, term };
        }
        return undefined;
      },
      { what: 'a leader', timeoutMs: RECOVERED_WITHIN_MS },
    );
  }

  /** The leader, or one of the others. */
  async pick(who: 'leader' | 'follower'): Promise<LabNode> {
    const { leader } = await this.leadership();
    return who === 'leader' ? leader : this.random.pick(this.others(leader));
  }

  others(node: LabNode): readonly LabNode[] {
    return this.nodes.filter((each) => each !== node);
  }

  /** Between them, both ways round: what `a` dials of `b`, and what `b` dials of `a`. */
  relaysBetween(a: LabNode, b: LabNode): readonly { readonly relay: Relay; readonly dialler: LabNode }[] {
    return [
      { relay: a.relays.get(b.node.id)!, dialler: a },
      { relay: b.relays.get(a.node.id)!, dialler: b },
    ];
  }

  get relays(): readonly Relay[] {
    return this.nodes.flatMap(({ relays }) => [...relays.values()]);
  }

  get #servers(): readonly string[] {
    return this.nodes.map(({ node }) => `ws://127.0.0.1:${node.clientPort}`);
  }

  /** Writers on a compacted topic, from the first time they are wanted to the end of the episode. */
  keys(): Promise<KeysLoad> {
    this.#keys ??= (async () => {
      const addresses = this.nodes.map(({ node }) => node.address).join(',');
      await logdriveOk(['topic', 'create', KEYS_TOPIC, '--compact', '-s', addresses]);
      return KeysLoad.start(this.#servers, KEYS_TOPIC);
    })();
    return this.#keys;
  }

  /** Ends them. @returns what is wrong with the compacted topic, a line each. */
  async wrongKeys(): Promise<string[]> {
    const keys = await this.#keys;
    if (keys === undefined) return [];
    await keys.stop();
    const wrongOn = ({ node }: LabNode): Promise<string[]> => keys.wrongOn(node);
    // Followers have what is committed a moment after the leader.
    const wrong = async (): Promise<string[]> => (await Promise.all(this.nodes.map(wrongOn))).flat();
    return eventually(async () => ((await wrong()).length === 0 ? [] : undefined), {
      what: 'every key on every node',
      timeoutMs: RECOVERED_WITHIN_MS,
    }).catch(wrong);
  }

  /** Made when it is first wanted. */
  packetFilter(): Promise<PacketFilter> {
    this.#packetFilter ??= PacketFilter.open();
    return this.#packetFilter;
  }

  async moreAcks(count: number, timeoutMs: number = RECOVERED_WITHIN_MS): Promise<void> {
    const target = this.load.acked + count;
    await eventually(() => this.load.acked >= target, { what: `${count} more acknowledgements`, timeoutMs });
  }

  /** Everything is undone: all nodes come back by themselves, with every replica, and appends go on. @returns how long
   *  it took, ms. */
  async recovered(): Promise<number> {
    const begunMs = performance.now();
    await this.startAll();
    await this.moreAcks(ACKS_OF_HEALTH);
    // A replica that rejoins counts for nobody yet: the next fault strikes three that do.
    await eventually(() => this.#isWhole(), { what: 'no damage on any node', timeoutMs: RECOVERED_WITHIN_MS });
    return performance.now() - begunMs;
  }

  /** Asked of every node: a leader may know of a follower's loss before the follower does. */
  async #isWhole(): Promise<boolean> {
    const answers = this.nodes.map(async ({ node }) => (await fetch(`http://${node.address}/readyz?verbose`)).text());
    return (await Promise.all(answers)).every((answer) => answer.includes('no damage known'));
  }

  /** Every node serves all it holds: what was damaged has been put back. Damage is found, and mended, by who reads. */
  async mended(): Promise<void> {
    await eventually(
      async () => {
        for (const { node } of this.nodes) await readReplica(node, TOPIC);
        return true;
      },
      { what: 'all records on all nodes', timeoutMs: RECOVERED_WITHIN_MS },
    );
  }

  /** Where every replica has come to the leader's tail. */
  async settledTail(): Promise<number> {
    const { leader } = await this.leadership();
    const tailOn = async ({ node }: LabNode): Promise<number> => {
      const answer = await node.get(`/v1/topics/${TOPIC}/records?offset=0&limit=1`);
      return (answer as { readonly tail: number }).tail;
    };
    return eventually(
      async () => {
        const [tail, ...rest] = await Promise.all([leader, ...this.others(leader)].map(tailOn));
        return rest.every((each) => each === tail) && tail;
      },
      { what: 'equal tails on all replicas', timeoutMs: RECOVERED_WITHIN_MS },
    );
  }

  /** What every node says of itself and the end of its log, for reports of what went wrong. */
  async story(): Promise<string> {
    const told = await Promise.all(
      this.nodes.map(async ({ node }) => {
        const state = await fetch(`http://${node.address}/readyz?verbose`).then(
          (answer) => answer.text(),
          (error: unknown) => String(error),
        );
        return `--- ${node.id}: ${state}\n${node.log.slice(-LOG_CHARS)}`;
      }),
    );
    return told.join('\n');
  }

  /** Once, however often it is called. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    const abandoned = this.load.abandon();
    for (const { node } of this.nodes) node.resume();
    await Promise.all(this.nodes.map(({ node }) => node.kill()));
    await abandoned;
    await (await this.#keys?.catch(() => undefined))?.stop();
    await (await this.#packetFilter?.catch(() => undefined))?.close();
    await Promise.all(this.relays.map((relay) => relay.close()));
    for (const { disk } of this.nodes) await disk.close();
    await rm(this.#dir, { recursive: true, force: true });
  }
}
