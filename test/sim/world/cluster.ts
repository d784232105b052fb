/**
 * Machines, the broker processes that run on them, and the wires between them. A machine keeps its disk when its
 * process goes; a process is the production broker with its client sessions, on a simulated environment. What goes
 * wrong is decided elsewhere (test/sim/faults); this file only knows how.
 */
import { Broker, type BrokerOptions } from '../../../src/broker/index.ts';
import type { Metrics } from '../../../src/metrics.ts';
import type { Partition } from '../../../src/partition/index.ts';
import { Session, type SessionOptions } from '../../../src/server/session.ts';
import { DataDirectory } from '../../../storage/index.ts';
import { Prng } from '../../raft/support/prng.ts';
import { type Call, type CallKind, ModelDisk, type ModelDiskOptions } from '../../support/model-disk.ts';
import { ClientNetwork } from './client-network.ts';
import { type DiskWeather, MachineDisk } from './machine-disk.ts';
import { PeerNetwork } from './peer-network.ts';
import { type LineListener, SimProcess } from './process.ts';
import type { Scheduler } from './scheduler.ts';
import { Weather } from './weather.ts';
import { Wires } from './wires.ts';

export const TIMING: BrokerOptions['timing'] = { electionTicksMin: 20, electionTicksMax: 40, heartbeatTicks: 4 };
const SILENT: Metrics = { add: () => undefined, set: () => undefined, observe: () => undefined };
const DATA_PATH = '/data';
/** How often a node tries to reach peers it has no link with, and looks whether links are still alive, ms. */
const DIAL_MS = 40;
/** A supervisor starts a process that ended by itself again after so long. */
const RESTART_MS = 300;
/** How long an operator looks at a node that finds nobody. */
const LONELY_MS = 2_000;
/** Pings on a link find a silent peer after so long. */
const SILENT_LINK_MS = 1_200;

export type Ending = 'power' | 'kill';

export interface SimNode {
  readonly id: string;
  /** Whom its --peers name at its next start. */
  configured: readonly string[];
  disk: ModelDisk;
  readonly weather: Weather;
  process: SimProcess | undefined;
  broker: Broker | undefined;
  directory: DataDirectory | undefined;
  /** What its process has opened, by group: for clients that go past the broker. */
  partitions: Map<number, Partition>;
  sessions: Set<Session>;
  /** Its process ends in order. */
  isStopping: boolean;
  /** Nobody starts it again. */
  isRetired: boolean;
  /** Ends the process at this many disk calls from now. `kind`: of those alone. */
  crashIn: { calls: number; readonly kind?: CallKind; readonly how: Ending; readonly downMs: number } | undefined;
  /** Why the last process did not come up, or ended by itself. */
  lastError: unknown;
}

export interface ClusterEvents {
  readonly onLine: LineListener;
  /** A process ended by itself, with an error that the world had not given it a reason for. */
  onUnexpectedEnd(node: SimNode, error: unknown): void;
  /** Machine and disk are gone: what was known of them is void. */
  onGone(node: SimNode): void;
}

export interface ClusterSettings {
  readonly nodeIds: readonly string[];
  readonly broker: Partial<BrokerOptions>;
  readonly latencyMs: number;
  readonly flushMs: number;
}

export class SimCluster {
  readonly scheduler: Scheduler;
  readonly wires: Wires;
  readonly peers: PeerNetwork;
  readonly clients: ClientNetwork;
  /** The machines that are there. */
  readonly nodes: Map<string, SimNode> = new Map();
  /** These, and those that were taken away. */
  readonly #everyNode: Map<string, SimNode> = new Map();
  /** How processes ended. */
  readonly endings: Record<'power cuts' | 'kills' | 'disks wound back', number> = {
    'power cuts': 0,
    kills: 0,
    'disks wound back': 0,
  };
  /** While a message is to be forged on its way: what arrives in its place. */
  forge: ((from: string, to: string, groupId: number, bytes: Uint8Array) => Uint8Array) | undefined;
  /** Whether a power cut takes no more from this machine than it may; otherwise its process is only killed. */
  mayLosePower: (node: SimNode) => boolean = () => true;
  readonly #random: Prng;
  readonly #events: ClusterEvents;
  readonly #settings: ClusterSettings;
  #processes = 0;

  constructor(scheduler: Scheduler, seed: number, settings: ClusterSettings, events: ClusterEvents) {
    this.scheduler = scheduler;
    this.#random = new Prng(seed);
    this.#events = events;
    this.#settings = settings;
    this.wires = new Wires(scheduler, new Prng(seed + 1), settings.latencyMs);
    const { wires } = this;
    this.peers = new PeerNetwork({
      latencyMs: (from, to) => wires.latencyMs(from, to),
      isCut: (from, to) => wires.isCut(from, to),
      blockedUntilMs: (from, to) => wires.blockedUntilMs(from, to),
      forged: (from, to, groupId, bytes) => this.forge?.(from, to, groupId, bytes) ?? bytes,
      onMessage: (from, to, groupId, bytes) =>
        scheduler.fold(bytes.length ^ (groupId * 31) ^ (from.length + to.length)),
    });
    this.clients = new ClientNetwork({
      latencyMs: () => wires.latencyMs('client', 'node'),
      find: (id) => this.#accepting(id),
      blockedUntilMs: (from, to) => wires.blockedUntilMs(from, to),
    });
    for (const id of settings.nodeIds) this.#addMachine(id, settings.nodeIds);
    this.#dialLater();
  }

  #addMachine(id: string, configured: readonly string[]): void {
    const node: SimNode = {
      id,
      configured,
      disk: new ModelDisk(),
      weather: new Weather(this.scheduler, new Prng(this.#random.below(2 ** 31)), this.#settings.flushMs),
      process: undefined,
      broker: undefined,
      directory: undefined,
      partitions: new Map(),
      sessions: new Set(),
      isStopping: false,
      isRetired: false,
      crashIn: undefined,
      lastError: undefined,
    };
    node.disk = new ModelDisk(this.#diskOptions(node));
    this.nodes.set(id, node);
    this.#everyNode.set(id, node);
    this.peers.ids.push(id);
  }

  /** One more machine, with an empty disk; it knows those that are there. */
  hire(): string {
    const id = `n${this.#everyNode.size + 1}`;
    this.#addMachine(id, [...this.peers.ids]);
    this.boot(id);
    return id;
  }

  /** Machine and disk are gone for good. Nobody is told: it stays a peer of the others. */
  lose(id: string): void {
    if (!this.nodes.has(id)) return;
    this.retire(id);
    this.nodes.delete(id);
    this.#events.onGone(this.node(id));
  }

  /** As lose(), of one that has left the cluster: nobody is configured to dial it any more. */
  dismiss(id: string): void {
    this.lose(id);
    this.peers.ids.splice(this.peers.ids.indexOf(id), 1);
  }

  /** Also one that was taken away. */
  node(id: string): SimNode {
    return this.#everyNode.get(id)!;
  }

  *running(): Generator<SimNode & { readonly broker: Broker }> {
    for (const node of this.nodes.values()) if (node.broker !== undefined) yield node as SimNode & { broker: Broker };
  }

  /** A process of its own, such as a client's. */
  process(name: string): SimProcess {
    this.#processes += 1;
    return new SimProcess(name, this.#processes, this.scheduler, this.#random.below(2 ** 31), this.#events.onLine);
  }

  isUp(id: string): boolean {
    return this.node(id).process !== undefined;
  }

  /** Starts a process on a machine that has none. */
  boot(id: string): void {
    const node = this.node(id);
    if (node.process !== undefined || node.isStopping || node.isRetired) return;
    const process = this.process(id);
    node.process = process;
    process.wallSkewMs = node.weather.wallSkewMs;
    process.rate = node.weather.clockRate;
    process.in(0, 'world', () => {
      this.#launch(node, process).catch((error: unknown) => this.#endedByItself(node, process, error));
    });
  }

  async #launch(node: SimNode, process: SimProcess): Promise<void> {
    const { env } = process;
    const disk = new MachineDisk(node.disk, process, node.weather satisfies DiskWeather);
    const directory = await DataDirectory.open(disk, DATA_PATH, {
      nodeId: node.id,
      randomBytes: (count) => env.random.bytes(count),
      onFatal: (error) => this.#endedByItself(node, process, error),
    });
    if (process.isOver) return;
    node.directory = directory;
    const peers = this.peers.join(process, node.configured);
    const broker = await Broker.start(this.#brokerOptions(node.id), { env, metrics: SILENT, directory, peers });
    if (!process.isOver) node.broker = broker;
  }

  /** As exit(1): a supervisor starts it again. */
  #endedByItself(node: SimNode, process: SimProcess, error: unknown): void {
    if (process.isOver || node.process !== process) return;
    node.lastError = error;
    const isExpected = node.weather.mayFail;
    this.end(node.id, 'kill');
    if (!isExpected) this.#events.onUnexpectedEnd(node, error);
    else this.#later(RESTART_MS, () => this.boot(node.id));
  }

  /** The process ends here and now. Power: what was not flushed may be gone, in any part. */
  end(id: string, how: Ending): void {
    const node = this.node(id);
    const { process, disk } = node;
    if (process === undefined) return;
    node.process = undefined;
    node.broker = undefined;
    node.directory = undefined;
    node.partitions = new Map();
    node.sessions = new Set();
    node.isStopping = false;
    node.crashIn = undefined;
    process.end();
    this.peers.leave(process);
    this.clients.processOver(process);
    void disk.stop();
    const options = this.#diskOptions(node);
    const isPowerCut = how === 'power' && this.mayLosePower(node);
    this.endings[isPowerCut ? 'power cuts' : 'kills'] += 1;
    if (isPowerCut && node.weather.hasLied) {
      node.weather.hasLied = false;
      node.weather.lostByLying = true;
    }
    node.disk = isPowerCut ? disk.afterCrash(this.#random.below(2 ** 31), options) : disk.afterKill(options);
    node.disk.capacityBytes = disk.capacityBytes;
    node.weather.processEnded();
  }

  /** It stays away until somebody says otherwise. */
  retire(id: string): void {
    this.node(id).isRetired = true;
    this.end(id, 'kill');
  }

  /** All is well with this machine from now on; what was damaged on its disk stays damaged. */
  heal(id: string): void {
    const { weather, disk, process } = this.node(id);
    const isStuck = weather.isStuck;
    weather.heal();
    disk.capacityBytes = Number.MAX_SAFE_INTEGER;
    this.node(id).crashIn = undefined;
    if (isStuck) this.bounce(id, 'kill', 10);
    if (process === undefined) return;
    process.wallSkewMs = 0;
    process.rate = 1;
  }

  /** All whom its --peers name may have left. If it knows nobody else, because its catalog is damaged or lost, or it
   *  slept while they came, an operator starts it with others (docs/operations.md): it never finds them by itself. */
  introduce(id: string): void {
    const node = this.node(id);
    if (node.configured.some((other) => other !== id && this.nodes.has(other))) return;
    this.#later(LONELY_MS, () => {
      if (this.peers.node(id)?.list.some(({ isUp }) => isUp) === true) return;
      node.configured = [...this.peers.ids];
      this.bounce(id, 'kill', 10);
    });
  }

  /** Ends it, and starts it again after a while. */
  bounce(id: string, how: Ending, downMs: number): boolean {
    if (!this.isUp(id)) return false;
    this.end(id, how);
    this.#later(downMs, () => this.boot(id));
    return true;
  }

  /** The process is asked to end: it hands over what it leads, or not, flushes and closes while its clients go on. */
  shutDown(id: string, downMs: number, isDrained: boolean): boolean {
    const node = this.node(id);
    const { broker, directory, process } = node;
    if (broker === undefined || directory === undefined || process === undefined || node.isStopping) return false;
    node.isStopping = true;
    const stop = async (): Promise<void> => {
      if (isDrained) await broker.drain();
      for (const session of node.sessions) session.goAway('the node is shutting down', 0);
      for (const session of [...node.sessions]) session.close(1001, 'the node is stopping');
      await broker.stop();
      await directory.close();
    };
    process.in(0, 'world', () => {
      stop().then(
        () => {
          this.end(id, 'kill');
          this.#later(downMs, () => this.boot(id));
        },
        (error: unknown) => this.#endedByItself(node, process, error),
      );
    });
    return true;
  }

  /** The machine, which is down, has an old copy of its disk again. */
  windBack(id: string, copy: ModelDisk): void {
    const node = this.node(id);
    node.disk = copy.afterKill(this.#diskOptions(node));
    this.endings['disks wound back'] += 1;
  }

  #later(ms: number, act: () => void): void {
    this.scheduler.in(ms, 'world', undefined, act);
  }

  #diskOptions(node: SimNode): ModelDiskOptions {
    return {
      onCall: (call: Call) => {
        this.scheduler.count('disk', call.kind.length);
        const { crashIn, process } = node;
        if (crashIn === undefined || process === undefined) return undefined;
        if (crashIn.kind !== undefined && crashIn.kind !== call.kind) return undefined;
        crashIn.calls -= 1;
        if (crashIn.calls > 0) return undefined;
        node.crashIn = undefined;
        // After this turn: the call itself never returns.
        this.#later(0, () => {
          if (node.process === process) this.bounce(node.id, crashIn.how, crashIn.downMs);
        });
        process.hold(1);
        return 'stop';
      },
    };
  }

  #accepting(
    id: string,
  ): { process: SimProcess; accept(socket: ConstructorParameters<typeof Session>[0]): void } | undefined {
    const node = this.nodes.get(id);
    const { broker, process } = node ?? {};
    if (node === undefined || broker === undefined || process === undefined || node.isStopping) return undefined;
    return {
      process,
      accept: (socket) => {
        const { sessions } = node;
        const session = new Session(socket, broker, process.env, SILENT, SESSION, () => sessions.delete(session));
        sessions.add(session);
      },
    };
  }

  /** Links that should be are made; links that fell silent are taken down. */
  #dialLater(): void {
    this.#later(DIAL_MS, () => {
      const ids = [...this.nodes.keys()];
      for (const a of ids) for (const b of ids) if (a < b) this.#look(a, b);
      this.#dialLater();
    });
  }

  #look(a: string, b: string): void {
    const silentMs = Math.max(this.wires.cutForMs(a, b), this.wires.cutForMs(b, a));
    if (silentMs > SILENT_LINK_MS) this.peers.disconnect(a, b);
    else if (silentMs === 0) this.peers.connect(a, b);
  }

  #brokerOptions(id: string): BrokerOptions {
    return {
      nodeId: id,
      nodeIds: [...new Set([...this.#settings.nodeIds, id])],
      bootstrap: this.#settings.nodeIds.includes(id),
      version: '0.0.0-sim',
      clientUrl: `ws://${id}/v1/ws`,
      peerAddress: id,
      tickMs: 10,
      timing: TIMING,
      segmentBytes: 16 * 1024,
      batchBytesMax: 16 * 1024,
      appendBytesMax: 8 * 1024,
      inflightBytesMax: 64 * 1024,
      uncommittedBytesMax: 256 * 1024,
      cacheBytesMax: 64 * 1024,
      space: { warnBelowBytes: 2 ** 32, warnBelowPercent: 15, rejectBelowBytes: 2 ** 30, rejectBelowPercent: 5 },
      scrub: { periodMs: 0, bytesPerSecond: 1024 * 1024 },
      compactionBytesPerSecond: 8 * 1024 * 1024,
      compactionMapBytes: 8 * 1024 * 1024,
      ...this.#settings.broker,
    };
  }
}

const SESSION: SessionOptions = {
  face: 'ws',
  recordBytesMax: 8 * 1024,
  batchBytesMax: 16 * 1024,
  sendBytesMax: 64 * 1024,
  heartbeatMs: 2_000,
};
