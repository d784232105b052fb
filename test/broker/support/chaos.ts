/**
 * One random run of a cluster of three: clients at work (chaos-clients.ts) while processes are killed, power is cut,
 * links are cut or stalled, disks are slow and clocks jump; then everything is healed, and the cluster has to come back,
 * take appends and agree. What the clients were told is judged by test/sim/oracle, the logs are compared byte for byte.
 *
 * The seed decides everything, also which kinds of fault there are: a run with few kinds finds what a run with all of
 * them hides.
 */
import { DataDirectory, isStorageError, type LogEntry } from '../../../storage/index.ts';
import { Prng } from '../../raft/support/prng.ts';
import { type Counts, describeAnomalies, judge, Recorder, type Sighting } from '../../sim/oracle/index.ts';
import { ModelDisk } from '../../support/model-disk.ts';
import {
  type ClientWorld,
  follower,
  gardener,
  idempotentWriter,
  operator,
  partitionOf,
  plainWriter,
  recordsOf,
  sleep,
  visitor,
} from './chaos-clients.ts';
import { SimCluster } from './sim-cluster.ts';
import { SlowDisk } from './slow-disk.ts';

const NODES = ['n1', 'n2', 'n3'] as const;
/** Replicas of each topic: with two, one node forwards every read and append. */
const TOPICS: Readonly<Record<string, number>> = { t: 3, u: 2 };
const HEALED_WITHIN_MS = 30_000;

const FAULTS = [
  'power',
  'kill',
  'blackout',
  'restart',
  'shutdown',
  'cut',
  'one-way',
  'isolate',
  'stall',
  'slow-disk',
  'rot',
  'clock',
] as const;
type Fault = (typeof FAULTS)[number];

export interface ChaosReport {
  readonly acked: number;
  readonly refused: number;
  readonly records: number;
  readonly trimmed: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly dropped: number;
  readonly simulatedMs: number;
  /** Grows with every step: equal traces mean equal runs. */
  readonly traceHash: number;
}

/** A machine: its disk survives its processes. */
interface Machine {
  disk: ModelDisk;
  slowMs: number;
  launching: Promise<void> | undefined;
  /** Its process is ending in order. */
  isStopping: boolean;
}

export class Chaos {
  readonly #random: Prng;
  readonly #cluster: SimCluster;
  readonly #machines = new Map<string, Machine>();
  readonly #world: ClientWorld;
  readonly #kinds: readonly Fault[];
  /** The one whose disk rots: what is bad on it is good on the others. */
  readonly #rotten: string;
  readonly #faults: Record<string, number> = {};
  readonly #clients: Promise<void>[] = [];
  #failure: unknown;
  #traceHash = 0;

  constructor(seed: number) {
    const random = new Prng(seed);
    this.#random = random;
    this.#kinds = FAULTS.filter(() => random.chance(0.5));
    this.#rotten = random.pick(NODES);
    const jitterMs = random.pick([1, 3, 15]);
    this.#cluster = new SimCluster(
      NODES,
      {
        segmentBytes: random.pick([8 * 1024, 16 * 1024, 1024 * 1024]),
        cacheBytesMax: random.pick([1, 4 * 1024, 1024 * 1024]),
        batchBytesMax: 8 * 1024,
        appendBytesMax: random.pick([1024, 8 * 1024]),
        inflightBytesMax: random.pick([8 * 1024, 64 * 1024]),
        uncommittedBytesMax: random.pick([16 * 1024, 1024 * 1024]),
      },
      { seed: random.below(2 ** 31), latencyMs: () => 1 + random.below(jitterMs) },
    );
    this.#world = {
      cluster: this.#cluster,
      history: new Recorder(),
      acked: new Map(Object.keys(TOPICS).map((topic) => [topic, 0])),
      random,
      onKill: new Map(),
      isQuiet: false,
      isOver: false,
    };
    for (const id of NODES) {
      this.#machines.set(id, { disk: new ModelDisk(), slowMs: 0, launching: undefined, isStopping: false });
    }
  }

  /** @throws Error that names every broken promise. */
  async run(chaosMs: number): Promise<ChaosReport> {
    const beganMs = this.#cluster.time.nowMs;
    try {
      await this.#live(chaosMs);
    } catch (error) {
      // Whatever ended the run: a promise that was broken before is the better story.
      this.#judge(error);
      throw error;
    }
    const { acked, refused, seen, trimmed } = this.#judge();
    return {
      acked,
      refused,
      records: seen,
      trimmed,
      faults: this.#faults,
      dropped: this.#cluster.network.dropped,
      simulatedMs: this.#cluster.time.nowMs - beganMs,
      traceHash: this.#traceHash,
    };
  }

  async #live(chaosMs: number): Promise<void> {
    const { time } = this.#cluster;
    for (const id of NODES) this.#boot(id);
    await this.#until(() => this.#isReady(), 'the cluster is born', 10_000);
    for (const [name, replicas] of Object.entries(TOPICS)) await this.#cluster.createTopic(name, { replicas });
    this.#employ();
    const endMs = time.nowMs + chaosMs;
    while (time.nowMs < endMs) {
      await this.#advance(50 + this.#random.below(600));
      if (this.#kinds.length > 0 && !this.#random.chance(0.25)) this.#break(this.#random.pick(this.#kinds));
    }
    await this.#heal();
    await this.#readReplicas();
    await this.#compareLogs();
  }

  #judge(cause?: unknown): Counts {
    const { anomalies, counts } = judge(this.#world.history.events);
    if (anomalies.length > 0)
      throw new Error(`${anomalies.length} broken promises:\n${describeAnomalies(anomalies)}`, { cause });
    return counts;
  }

  #employ(): void {
    const world = this.#world;
    const gardening = gardener(world, 5);
    for (const topic of Object.keys(TOPICS)) {
      const hired = [
        ...(topic === 't' ? [gardening] : []),
        idempotentWriter(world, topic, 1),
        idempotentWriter(world, topic, 2),
        plainWriter(world, topic, 3),
        plainWriter(world, topic, 4),
        follower(world, topic, 1),
        follower(world, topic, 2),
        visitor(world, topic),
        operator(world, topic),
      ];
      for (const client of hired) {
        const watched = client.catch((error: unknown) => {
          this.#failure ??= error;
        });
        this.#clients.push(watched);
      }
    }
  }

  async #advance(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 50) {
      await this.#cluster.time.advance(Math.min(50, left));
      if (this.#failure !== undefined) throw this.#failure;
    }
    this.#trace(this.#world.history.events.length);
    for (const broker of this.#cluster.running()) {
      for (const { partitionsLed } of broker.cluster().nodes) this.#trace(partitionsLed);
    }
  }

  #trace(value: number): void {
    this.#traceHash = (Math.imul(this.#traceHash ^ value, 0x0100_0193) + 1) >>> 0;
  }

  async #until(condition: () => boolean, what: string, withinMs: number): Promise<void> {
    const endMs = this.#cluster.time.nowMs + withinMs;
    while (!condition()) {
      if (this.#cluster.time.nowMs >= endMs)
        throw new Error(`not within ${withinMs} ms: ${what}\n${this.#lastWords()}`);
      await this.#advance(50);
    }
  }

  #lastWords(): string {
    return [...this.#cluster.nodes.values()]
      .flatMap(({ id, lines }) =>
        lines.slice(-8).map(({ level, message, fields }) => `${id} ${level} ${message} ${JSON.stringify(fields)}`),
      )
      .join('\n');
  }

  #isReady(): boolean {
    const running = this.#cluster.running();
    return running.length === NODES.length && running.every((broker) => broker.readiness().every(({ isOk }) => isOk));
  }

  /** A process is started on a machine. */
  #boot(id: string): void {
    const machine = this.#machines.get(id)!;
    if (machine.isStopping) return;
    const { disk } = machine;
    const node = this.#cluster.node(id);
    node.disk = new SlowDisk(disk, {
      flushTakes: () => this.#flushOf(machine, disk),
      isTorn: () => this.#random.chance(0.3),
    });
    const launching = this.#cluster.launch(id).catch((error: unknown) => {
      if (machine.launching === launching) this.#failure ??= error;
    });
    machine.launching = launching;
  }

  async #flushOf(machine: Machine, disk: ModelDisk): Promise<void> {
    const ms = this.#random.below(3) + this.#random.below(machine.slowMs + 1);
    await sleep(this.#world, ms);
    // The machine stopped meanwhile: this process is gone and must not touch what its successor works on.
    if (machine.disk !== disk) await new Promise(() => undefined);
  }

  /** The process ends here and now. Power: what was not flushed may be gone, in any part. */
  #end(id: string, how: 'power' | 'kill'): void {
    const machine = this.#machines.get(id)!;
    machine.launching = undefined;
    this.#cluster.kill(id);
    const { disk } = machine;
    void disk.stop();
    machine.disk = how === 'power' ? disk.afterCrash(this.#random.below(2 ** 31)) : disk.afterKill();
    for (const lost of [...(this.#world.onKill.get(id) ?? [])]) lost();
  }

  /** The process is asked to end: it hands over what it leads, or not, flushes and closes while its clients go on. */
  #shutDown(id: string, downMs: number): void {
    const { broker, directory } = this.#cluster.node(id);
    const machine = this.#machines.get(id)!;
    if (broker === undefined || directory === undefined || !this.#isUp(id)) return;
    machine.isStopping = true;
    machine.launching = undefined;
    const isDrained = this.#random.chance(0.5);
    const stop = async (): Promise<void> => {
      if (isDrained) await broker.drain();
      await broker.stop();
      await directory.close();
    };
    const overdue = this.#cluster.time.add(20_000, undefined, () => {
      this.#failure ??= new Error(`${id} does not stop`);
    });
    stop().then(
      () => {
        overdue.cancel();
        machine.isStopping = false;
        this.#end(id, 'kill');
        this.#later(downMs, () => {
          if (!this.#isUp(id)) this.#boot(id);
        });
      },
      (error: unknown) => {
        this.#failure ??= error;
      },
    );
  }

  /** One byte of a sealed segment goes bad. */
  #rot(): void {
    const { disk } = this.#machines.get(this.#rotten)!;
    // Not of a group with two replicas: there, what only one of them holds is lost with it.
    const segments = disk.files().filter((path) => path.endsWith('.segment') && /logs\/000000000[01]\//.test(path));
    const active = new Map(segments.map((path) => [path.slice(0, path.lastIndexOf('/')), path]));
    const sealed = segments.filter((path) => active.get(path.slice(0, path.lastIndexOf('/'))) !== path);
    if (sealed.length === 0) return;
    disk.damage(this.#random.pick(sealed), (bytes) => {
      const at = this.#random.below(bytes.length);
      bytes[at]! ^= 1 << this.#random.below(8);
      return bytes;
    });
  }

  #isUp(id: string): boolean {
    return this.#machines.get(id)!.launching !== undefined;
  }

  #later(ms: number, act: () => void): void {
    this.#cluster.time.add(ms, undefined, act);
  }

  #break(fault: Fault): void {
    const random = this.#random;
    const id = random.pick(NODES);
    const other = random.pick(NODES.filter((node) => node !== id));
    this.#faults[fault] = (this.#faults[fault] ?? 0) + 1;
    const awhile = 50 + random.below(2_500);
    switch (fault) {
      case 'power':
      case 'kill':
        this.#bounce(id, fault, awhile);
        return;
      case 'blackout':
        for (const node of NODES) this.#bounce(node, random.chance(0.7) ? 'power' : 'kill', random.below(1_000));
        return;
      case 'restart':
        // Twice in a row, the second time in the middle of its recovery.
        this.#bounce(id, 'kill', 20);
        this.#later(20 + random.below(60), () => this.#bounce(id, 'power', awhile));
        return;
      case 'shutdown':
        this.#shutDown(id, awhile);
        return;
      case 'rot':
        this.#rot();
        return;
      case 'cut':
        this.#cutOff([`${id}>${other}`, `${other}>${id}`], awhile);
        return;
      case 'one-way':
        this.#cutOff([`${id}>${other}`], awhile);
        return;
      case 'isolate':
        this.#cutOff(
          NODES.filter((node) => node !== id).flatMap((node) => [`${id}>${node}`, `${node}>${id}`]),
          awhile,
        );
        return;
      case 'stall':
        this.#cluster.network.stalledUntilMs.set(`${id}>${other}`, this.#cluster.time.nowMs + awhile);
        return;
      case 'slow-disk': {
        const machine = this.#machines.get(id)!;
        machine.slowMs = random.below(300);
        this.#later(awhile, () => {
          machine.slowMs = 0;
        });
        return;
      }
      case 'clock':
        this.#cluster.node(id).life.skewMs = (random.below(3) - 1) * random.below(3_600_000);
        return;
      default:
        fault satisfies never;
    }
  }

  #bounce(id: string, how: 'power' | 'kill', downMs: number): void {
    if (!this.#isUp(id)) return;
    this.#end(id, how);
    this.#later(downMs, () => {
      if (!this.#isUp(id)) this.#boot(id);
    });
  }

  /** Sometimes the two ends notice, as pings make them, and sometimes it is over before. */
  #cutOff(directions: readonly string[], forMs: number): void {
    const { network } = this.#cluster;
    for (const direction of directions) {
      network.cut.add(direction);
      const [from, to] = direction.split('>') as [string, string];
      this.#later(200 + this.#random.below(2_000), () => {
        if (!network.isCut(from, to)) return;
        network.disconnect(from, to);
      });
      this.#later(forMs, () => {
        network.cut.delete(direction);
        this.#cluster.connect(from, to);
      });
    }
  }

  async #heal(): Promise<void> {
    const { network, nodes } = this.#cluster;
    network.cut.clear();
    network.stalledUntilMs.clear();
    for (const machine of this.#machines.values()) machine.slowMs = 0;
    for (const node of nodes.values()) node.life.skewMs = 0;
    // Restarts that are under way end by themselves.
    await this.#advance(3_000);
    await this.#until(
      () => [...this.#machines.values()].every(({ isStopping }) => !isStopping),
      'nobody is stopping',
      30_000,
    );
    for (const id of NODES) if (!this.#isUp(id)) this.#boot(id);
    for (const id of NODES) for (const other of NODES) if (id < other) this.#cluster.connect(id, other);
    this.#world.isQuiet = true;
    await this.#until(() => this.#isReady(), 'every node is ready after healing', HEALED_WITHIN_MS);
    const { acked } = this.#world;
    const before = new Map(acked);
    await this.#until(
      () => [...acked].every(([topic, count]) => count > before.get(topic)! + 5),
      'appends are acknowledged after healing',
      HEALED_WITHIN_MS,
    );
    this.#world.isOver = true;
    let isDone = false;
    void Promise.all(this.#clients).then(() => {
      isDone = true;
    });
    await this.#until(() => isDone, 'every client has had its answers', HEALED_WITHIN_MS);
  }

  /** All that each replica serves at the end joins the history. */
  async #readReplicas(): Promise<void> {
    const { history } = this.#world;
    history.note({ kind: 'healed' });
    for (const topic of Object.keys(TOPICS)) {
      const partition = partitionOf(topic);
      for (const node of NODES) {
        await this.#until(() => this.#isCaughtUp(topic, node), `${node} has all of ${topic}`, HEALED_WITHIN_MS);
        const { earliest, records } = await this.#readAll(topic, node);
        const tail = records.length === 0 ? earliest : records.at(-1)!.offset + 1;
        history.note({ kind: 'replica', partition, node, earliest, tail, records });
      }
    }
  }

  #isCaughtUp(topic: string, id: string): boolean {
    const tails = NODES.map((node) => this.#tailOn(topic, node));
    return this.#tailOn(topic, id) === Math.max(...tails);
  }

  #tails = new Map<string, number>();

  #tailOn(topic: string, id: string): number {
    const key = `${topic}@${id}`;
    void this.#cluster
      .broker(id)
      .read({ topic: { name: topic }, partition: 0, start: { kind: 'latest' }, bytesMax: 1, waitMs: 0, level: 'any' })
      .then(({ tail }) => this.#tails.set(key, tail));
    return this.#tails.get(key) ?? -1;
  }

  async #readAll(topic: string, id: string): Promise<{ earliest: number; records: Sighting[] }> {
    const records: Sighting[] = [];
    let offset: number | undefined;
    for (;;) {
      const start = offset === undefined ? ({ kind: 'earliest' } as const) : ({ kind: 'offset', offset } as const);
      const request = {
        topic: { name: topic },
        partition: 0,
        start,
        bytesMax: 4_000,
        waitMs: 0,
        level: 'any',
      } as const;
      const result = await this.#cluster.wait(this.#cluster.broker(id).read(request));
      records.push(...recordsOf(result));
      offset = result.nextOffset;
      if (result.batches.length === 0) return { earliest: records[0]?.offset ?? result.earliest, records };
    }
  }

  /** Stops every node in order and compares what lies on their disks. */
  async #compareLogs(): Promise<void> {
    // What was deleted goes a moment later.
    await this.#advance(1_000);
    for (const id of NODES) await this.#cluster.stop(id);
    const logs = await Promise.all(NODES.map((id) => this.#cluster.wait(this.#logsOf(id))));
    const groups = new Set(logs.flatMap((log) => [...log.keys()]));
    const expected = Object.keys(TOPICS).length + 1;
    if (groups.size !== expected) throw new Error(`logs of ${[...groups]}: more than ${expected} groups`);
    for (const groupId of groups) {
      const replicas = logs.map((log) => log.get(groupId) ?? []).filter((entries) => entries.length > 0);
      const known = new Map<number, LogEntry>();
      for (const entry of replicas.flat()) {
        const { index } = entry.header;
        const other = known.get(index) ?? entry;
        known.set(index, other);
        const isSame =
          Buffer.compare(entry.headerBytes, other.headerBytes) === 0 &&
          Buffer.compare(entry.payload, other.payload) === 0;
        if (!isSame) throw new Error(`replicas of group ${groupId} differ at entry ${index}`);
      }
    }
  }

  async #logsOf(id: string): Promise<Map<number, LogEntry[]>> {
    const found = new Map<number, LogEntry[]>();
    const { disk } = this.#machines.get(id)!;
    const directory = await DataDirectory.open(disk.afterKill(), '/data', {
      nodeId: id,
      randomBytes: (count) => new Uint8Array(count),
      onFatal: (error) => {
        throw error;
      },
    });
    const timers = { after: () => ({ cancel: () => undefined }) };
    for (const groupId of await directory.groups()) {
      const log = await directory.openLog(groupId, {
        timers,
        clusterId: directory.clusterId!,
        onFlushed: () => undefined,
      });
      const entries: LogEntry[] = [];
      let next = log.firstIndex;
      while (next <= log.lastIndex) {
        const read = await log.read(next, 64 * 1024).catch((error: unknown) => {
          // What nobody read was not mended; the others have it.
          if (id === this.#rotten && isStorageError(error, 'CORRUPT')) return [];
          throw error;
        });
        entries.push(...read);
        next = (read.at(-1)?.header.index ?? next) + 1;
      }
      found.set(groupId, entries);
    }
    await directory.close();
    return found;
  }
}
