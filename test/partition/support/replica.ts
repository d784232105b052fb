/**
 * One partition by itself, on simulated time and a disk of memory, among peers that are played by the test: what it
 * sends is recorded, what peers would answer is delivered by hand.
 */
import type { LeaseOptions, PartitionStatus, StateMachine, Supply } from '../../../src/partition/index.ts';
import { CacheBudget, Partition } from '../../../src/partition/index.ts';
import { decodePeerMessage, encodePeerMessage, type PeerMessage } from '../../../src/partition/peer-codec.ts';
import { readBatchHeader } from '../../../src/protocol/index.ts';
import type { Message } from '../../../src/raft/index.ts';
import {
  DataDirectory,
  type Disk,
  type LogEntry,
  type LogEvent,
  MemoryDisk,
  type ProducerTuple,
  type Snapshot,
} from '../../../storage/index.ts';
import { type Life, SimTime, simEnv } from '../../broker/support/sim-env.ts';
import { batchOf } from './entries.ts';

export interface ReplicaOptions {
  readonly voters?: readonly string[];
  readonly disk?: Disk;
  readonly segmentBytes?: number;
  readonly cacheBytesMax?: number;
  readonly uncommittedBytesMax?: number;
  readonly createMachine?: () => StateMachine;
  readonly lease?: LeaseOptions;
  onLogEvent?(event: LogEvent): void;
  fetchEntry?(index: number): Promise<Supply | undefined>;
}

type Outcome = Awaited<ReturnType<Partition['append']>>;

export class Replica {
  readonly time: SimTime = new SimTime();
  readonly life: Life = { isOver: false, skewMs: 0 };
  readonly sent: { readonly to: string; readonly message: PeerMessage }[] = [];
  readonly events: LogEvent[] = [];
  readonly troubles: string[] = [];
  readonly broken: Error[] = [];
  /** Peers found to have lost what they acked. */
  readonly lost: string[] = [];
  /** Why the log is to be begun anew. */
  readonly givenUp: string[] = [];
  rejoined = 0;
  readonly statuses: Pick<PartitionStatus, 'role' | 'term' | 'leader'>[] = [];
  /** False: the transport takes nothing. */
  isLinkUp = true;
  readonly #options: ReplicaOptions;
  #partition: Partition | undefined;
  #directory: DataDirectory | undefined;

  static async open(options: ReplicaOptions = {}): Promise<Replica> {
    const replica = new Replica(options);
    await replica.open();
    return replica;
  }

  private constructor(options: ReplicaOptions) {
    this.#options = options;
  }

  get partition(): Partition {
    return this.#partition!;
  }

  /** Opens, or opens again after close(). */
  async open(): Promise<void> {
    const options = this.#options;
    const env = simEnv(this.time, 1, [], this.life);
    const directory = await DataDirectory.open(options.disk ?? new MemoryDisk(), '/data', {
      nodeId: 'n1',
      randomBytes: (count) => env.random.bytes(count),
      onFatal: (error) => {
        throw error;
      },
    });
    this.#directory = directory;
    const { voters = ['n1', 'n2', 'n3'], fetchEntry } = options;
    this.#partition = await Partition.open(
      {
        groupId: 1,
        nodeId: 'n1',
        clusterId: 'c'.repeat(32),
        membership: { voters, votersOutgoing: [], learners: [] },
        timing: { electionTicksMin: 20, electionTicksMax: 40, heartbeatTicks: 4 },
        lease: options.lease,
        promiseMs: 0,
        segmentBytes: options.segmentBytes ?? 1024 * 1024,
        appendBytesMax: 64 * 1024,
        inflightBytesMax: 1024 * 1024,
        uncommittedBytesMax: options.uncommittedBytesMax ?? 1024 * 1024,
        createMachine: options.createMachine,
      },
      {
        env,
        metrics: { add: () => undefined, set: () => undefined, observe: () => undefined },
        transport: {
          send: (to, _lane, _groupId, chunks) => {
            if (this.isLinkUp) this.sent.push({ to, message: decodePeerMessage(Buffer.concat(chunks), 'n1', to) });
            return this.isLinkUp;
          },
          queuedBytes: () => 0,
          isUp: () => this.isLinkUp,
        },
        directory,
        cacheBudget: new CacheBudget(options.cacheBytesMax ?? 1024 * 1024),
        fetchEntry: async (_groupId, { index }) =>
          (await fetchEntry?.(index)) ?? { entry: undefined, unheard: ['nobody asked'], isTrimmed: false },
      },
      {
        onStatus: (status) => this.statuses.push(status),
        onApplied: () => undefined,
        onReplaying: () => undefined,
        isStopping: () => this.life.isOver,
        onLogEvent: (event) => {
          this.events.push(event);
          options.onLogEvent?.(event);
        },
        onPace: () => undefined,
        onBroken: (error) => this.broken.push(error),
        onLostAcks: ({ peer }) => this.lost.push(peer),
        onLostEntry: () => undefined,
        onGivenUp: ({ message }) => this.givenUp.push(message),
        onRejoined: () => {
          this.rejoined += 1;
        },
        onFull: (isFull) => this.troubles.push(isFull ? 'the log is full' : 'the log has room'),
        onTrouble: (what) => this.troubles.push(what),
      },
    );
  }

  async close(): Promise<void> {
    await this.wait(this.partition.close());
    await this.#directory!.close();
  }

  async settle(ms = 0): Promise<void> {
    await this.time.advance(ms);
  }

  async wait<T>(promise: Promise<T>, withinMs = 5_000): Promise<T> {
    let isSettled = false;
    const settled = (): void => {
      isSettled = true;
    };
    promise.then(settled, settled);
    for (let waited = 0; !isSettled && waited < withinMs; waited += 5) await this.settle(5);
    if (!isSettled) throw new Error(`not settled within ${withinMs} ms of simulated time`);
    return promise;
  }

  async ticks(count: number): Promise<void> {
    for (let i = 0; i < count; i += 1) {
      this.partition.tick();
      await this.settle(1);
    }
  }

  /** What was sent of a kind since last asked. */
  take<K extends Message['kind']>(
    kind: K,
  ): { readonly to: string; readonly message: PeerMessage & { message: Extract<Message, { kind: K }> } }[] {
    const taken = this.sent.filter(({ message }) => message.message.kind === kind);
    for (const one of taken) this.sent.splice(this.sent.indexOf(one), 1);
    return taken as never;
  }

  /** A peer's message arrives. */
  deliver(
    message: Message extends infer M ? (M extends Message ? Omit<M, 'to'> : never) : never,
    extras: {
      readonly entries?: readonly LogEntry[];
      readonly previousChain?: { high: number; low: number };
      readonly snapshot?: Snapshot;
    } = {},
  ): void {
    const chunks = encodePeerMessage({ ...message, to: 'n1' } as Message, extras);
    this.partition.receive(message.from, Buffer.concat(chunks));
  }

  /** Elects this replica; alone it elects itself. Nothing of it is acknowledged by peers yet. */
  async lead(): Promise<void> {
    for (let i = 0; i < 60 && this.partition.role === 'follower'; i += 1) await this.ticks(1);
    await this.settle(5);
    if (this.partition.role === 'pre-candidate') {
      this.deliver({ kind: 'pre-vote-reply', from: 'n2', term: this.partition.term + 1, granted: true });
      await this.settle(5);
    }
    if (this.partition.role === 'candidate') {
      this.deliver({ kind: 'vote-reply', from: 'n2', term: this.partition.term, granted: true });
      await this.settle(5);
    }
    if (this.partition.role !== 'leader') throw new Error(`it is ${this.partition.role}`);
  }

  /** A follower says that it holds everything up to `index`, flushed. */
  ack(from: string, index: number = this.partition.status.lastIndex): void {
    const { term } = this.partition;
    const hint = { term, index };
    this.deliver({ kind: 'append-reply', from, term, accepted: true, index, hint, lastIndex: index });
  }

  append(values: readonly string[], producer?: ProducerTuple): Promise<Outcome> {
    const batch = batchOf(values);
    return this.partition.append(batch, readBatchHeader(batch), producer);
  }

  /** Entries of the leader `from` arrive behind `previous`. */
  feed(
    received: readonly LogEntry[],
    options: {
      readonly from?: string;
      readonly term?: number;
      readonly commit?: number;
      readonly previous?: LogEntry;
    } = {},
  ): void {
    const { from = 'n2', commit = 0, previous } = options;
    const term = options.term ?? received.at(-1)?.header.term ?? 1;
    const at =
      previous === undefined ? { term: 0, index: 0 } : { term: previous.header.term, index: previous.header.index };
    const metas = received.map(({ header }) => ({ term: header.term, index: header.index, bytes: 0 }));
    this.deliver(
      { kind: 'append', from, term, previous: at, commit, entries: metas },
      { entries: received, previousChain: previous?.header.chain ?? { high: 0, low: 0 } },
    );
  }
}
