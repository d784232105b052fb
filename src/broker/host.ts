/**
 * The partitions this node hosts: opened and closed as the catalog says, and ticked together. A partition that cannot
 * be opened is named and left alone: the others live on (W21: data is deleted only on a committed delete).
 */

import {
  type CacheBudget,
  type EntryId,
  isFatal,
  isLogLost,
  type LogEvent,
  type LostAcks,
  type LostEntry,
  newMarker,
  type OneSupply,
  type Pace,
  Partition,
  type PartitionWorld,
  SnapshotPace,
  type WantedEntry,
} from '../partition/index.ts';
import { LogError } from '../protocol/index.ts';
import { CampaignTurns } from './campaign-turns.ts';
import { CATALOG_GROUP, Catalog } from './catalog.ts';
import { CatalogSeat } from './catalog-seat.ts';
import { EarlyMessages } from './early-messages.ts';
import { FullLogs } from './full-logs.ts';
import { FullNode } from './full-node.ts';
import type { BrokerOptions, BrokerWorld } from './options.ts';
import { Paces } from './paces.ts';
import { partitionOptions } from './partition-options.ts';
import { RoomWaits } from './room-waits.ts';
import { type CatalogMember, isPlacedOn } from './roster.ts';
import { Strays } from './strays.ts';

type ReadEntry = (wanted: WantedEntry) => Promise<OneSupply>;

export interface HostEvents {
  /** Role, term or leader of a hosted group changed. */
  onStatus(
    groupId: number,
    status: { readonly role: string; readonly term: number; readonly leader: string | undefined },
  ): void;
  /** Entries were applied in a group. */
  onApplied(groupId: number): void;
  onLogEvent(groupId: number, event: LogEvent): void;
  /** Leader: a follower's disk lost what it had acked (R21). */
  onLostAcks(groupId: number, lost: LostAcks): void;
  /** A replica on this node begins to rejoin, or takes part again. */
  onRejoining(groupId: number, isRejoining: boolean): void;
}

/** One per opening: a group that is removed and meets its old opening again must be told apart. */
type Hosted =
  | { readonly kind: 'open'; readonly partition: Partition }
  /** Being opened, which may wait for peers to supply damaged entries; what is sound is supplied to them meanwhile. */
  | { readonly kind: 'opening'; readEntry: ReadEntry | undefined }
  | { readonly kind: 'broken'; readonly error: Error };

export class Host {
  readonly #options: BrokerOptions;
  readonly #world: BrokerWorld;
  readonly #partitionWorld: PartitionWorld;
  readonly #events: HostEvents;
  readonly #seat = new CatalogSeat();
  readonly #hosted = new Map<number, Hosted>();
  /** Opening, closing and removing happen one after the other for each group. */
  readonly #work = new Map<number, Promise<void>>();
  readonly #paces: Paces<Partition>;
  readonly #roomWaits: RoomWaits;
  readonly #early = new EarlyMessages();
  /** Of groups with an entry that is damaged here and that no peer supplied yet: the gravest. */
  readonly #lostEntries = new Map<number, LostEntry>();
  readonly #campaignTurns = new CampaignTurns();
  readonly #strays: Strays;
  readonly #fullNode = new FullNode();
  readonly #fullLogs: FullLogs;
  #isResigned = false;
  #isClosed = false;

  constructor(
    options: BrokerOptions,
    world: BrokerWorld,
    cacheBudget: CacheBudget,
    fetchEntry: PartitionWorld['fetchEntry'],
    events: HostEvents,
  ) {
    this.#options = options;
    this.#paces = new Paces(options.timing.heartbeatTicks);
    this.#world = world;
    this.#events = events;
    const { env, metrics, directory, peers: transport } = world;
    const { bytesPerSecond = Number.POSITIVE_INFINITY, chunkBytes } = options.snapshots ?? {};
    const snapshotPace = new SnapshotPace(bytesPerSecond, env.clock, chunkBytes);
    this.#partitionWorld = { env, metrics, directory, transport, cacheBudget, fetchEntry, snapshotPace };
    const { logger } = env;
    this.#fullLogs = new FullLogs(logger);
    this.#roomWaits = new RoomWaits(env.timers, {
      onWaiting: (group, err) => logger.warn({ group, err }, 'a log waits for room to be made, opened or removed'),
      onGoneOn: (group) => logger.info({ group }, 'a log waits for room no more'),
    });
    const remove = (groupId: number): Promise<void> => this.#remove(groupId);
    const isStopping = (): boolean => this.#isClosed;
    this.#strays = new Strays({ directory, logger, catalog: () => this.catalog, remove, isStopping });
    this.#countStopped();
  }

  get catalog(): Catalog {
    return this.#seat.catalog;
  }

  /** See CatalogSeat. */
  get members(): readonly CatalogMember[] {
    return this.#seat.members;
  }

  get(groupId: number): Partition | undefined {
    const hosted = this.#hosted.get(groupId);
    return hosted?.kind === 'open' ? hosted.partition : undefined;
  }

  /** One entry, for a peer whose copy is damaged; undefined when this node cannot supply it. */
  async readEntry(groupId: number, wanted: WantedEntry): Promise<OneSupply> {
    const hosted = this.#hosted.get(groupId);
    if (hosted?.kind === 'open') return hosted.partition.readEntry(wanted);
    return hosted?.kind === 'opening' ? hosted.readEntry?.(wanted) : undefined;
  }

  /** The last entry of a group that this node knows committed. */
  committed(groupId: number): EntryId | undefined {
    return this.get(groupId)?.committed;
  }

  /** Whether this node knows which entries of a group it has: its log is open, or open enough to be read. */
  canSupply(groupId: number): boolean {
    const hosted = this.#hosted.get(groupId);
    return hosted?.kind === 'open' || (hosted?.kind === 'opening' && hosted.readEntry !== undefined);
  }

  /** The gravest entry of a group that is damaged here and that no peer supplied yet. */
  lostEntry(groupId: number): LostEntry | undefined {
    return this.#lostEntries.get(groupId);
  }

  /** Why a hosted group cannot be used. */
  breakage(groupId: number): Error | undefined {
    const hosted = this.#hosted.get(groupId);
    return hosted?.kind === 'broken' ? hosted.error : undefined;
  }

  *open(): Generator<Partition> {
    for (const hosted of this.#hosted.values()) if (hosted.kind === 'open') yield hosted.partition;
  }

  /** Groups that cannot be opened. */
  get broken(): readonly number[] {
    return this.#groupsOf('broken');
  }

  /** Groups that are being opened. One that waits for an entry which every replica has lost is stopped instead. */
  get opening(): readonly number[] {
    return this.#groupsOf('opening').filter((groupId) => this.lostEntry(groupId)?.unheard.length !== 0);
  }

  /** Groups with an entry that is damaged here and that no peer supplied yet. */
  get lostIn(): readonly { readonly groupId: number; readonly lost: LostEntry }[] {
    return [...this.#lostEntries].map(([groupId, lost]) => ({ groupId, lost }));
  }

  #groupsOf(kind: Hosted['kind']): number[] {
    return [...this.#hosted].filter(([, hosted]) => hosted.kind === kind).map(([groupId]) => groupId);
  }

  /** A raft message of any group. */
  receive(from: string, groupId: number, bytes: Uint8Array): void {
    const hosted = this.#hosted.get(groupId);
    if (hosted?.kind === 'open') {
      hosted.partition.receive(from, bytes);
      return;
    }
    if (hosted?.kind === 'broken' || (hosted === undefined && this.catalog.hasAssigned(groupId))) return;
    this.#early.keep(groupId, { from, bytes });
  }

  tick(): void {
    this.#campaignTurns.tick();
    this.#paces.tick();
  }

  /** Open partitions that are not ticked. */
  get resting(): number {
    let open = 0;
    for (const hosted of this.#hosted.values()) if (hosted.kind === 'open') open += 1;
    return open - this.#paces.awake;
  }

  /** What this node leads, as its partitions know it. */
  *led(): Generator<{ readonly groupId: number; readonly term: number }> {
    for (const { groupId, term, role } of this.open()) if (role === 'leader') yield { groupId, term };
  }

  /**
   * Everything `peer` leads: who rests under it without being among that has no leader. Undefined: it was silent and is
   * heard again, its list is on its way, and what it led before it most likely still leads.
   */
  peerLeads(peer: string, led?: ReadonlyMap<number, number>): void {
    for (const one of this.open())
      if (one.leader === peer) one.leaderSays(led === undefined || led.get(one.groupId) === one.term);
  }

  peerSilent(peer: string, ticks: number): void {
    for (const partition of this.open()) partition.peerSilent(peer, ticks);
  }

  stalled(ticks: number): void {
    for (const partition of this.open()) partition.stalled(ticks);
  }

  peerDown(peer: string): void {
    this.#early.dropFrom(peer);
    for (const partition of this.open()) partition.peerDown(peer);
  }

  /** Damage known in any open partition is mended as far as peers can supply it. */
  async mendAll(): Promise<void> {
    for (const partition of this.open()) await partition.mendAll();
  }

  /** Whether a log of this node found no room for a write, and has found none since. */
  get hasFullLog(): boolean {
    return this.#fullLogs.isAny || this.#roomWaits.isAny;
  }

  /** The node has no room for producers' entries, or has some again (full-node.ts). */
  setFull(isFull: boolean, isRoomy: (node: string) => boolean): void {
    this.#fullNode.tell(this.open(), isFull, isRoomy);
  }

  /** No leadership is sought from here on: the node is about to go. */
  resign(): void {
    this.#isResigned = true;
    for (const partition of this.open()) partition.resign();
  }

  /** Opens group 0. Its voters at birth are an entry of its own log. */
  openCatalog(): Promise<void> {
    return this.#open(CATALOG_GROUP, []);
  }

  /** Makes the hosted groups those that the catalog names for this node, of which only some may be opened yet. Returns
   *  when that is under way. */
  reconcile(mayOpen: (groupId: number) => boolean): void {
    if (this.#isClosed) return;
    const wanted = new Set<number>([CATALOG_GROUP]);
    for (const topic of this.catalog.topics()) {
      for (const placed of topic.partitions) {
        if (!isPlacedOn(placed, this.#options.nodeId)) continue;
        const { groupId, replicas, founders = replicas } = placed;
        wanted.add(groupId);
        // The log begins with the replicas it was founded with, and tells of all that came after them.
        if (!this.#hosted.has(groupId) && mayOpen(groupId)) void this.#open(groupId, founders);
      }
    }
    for (const groupId of this.#hosted.keys()) if (!wanted.has(groupId)) void this.#remove(groupId);
    this.#early.dropIf((groupId) => this.catalog.hasAssigned(groupId) && !wanted.has(groupId));
    this.#strays.look();
  }

  /** Resolves when nothing is being opened or closed. */
  async settled(): Promise<void> {
    await this.#strays.settled();
    await Promise.all(this.#work.values());
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#roomWaits.wakeAll();
    await this.settled();
    await Promise.all([...this.open()].map((partition) => partition.close()));
  }

  /** @param lost Why what lies there is not to be opened, but set aside. */
  #open(groupId: number, voters: readonly string[], lost?: Error): Promise<void> {
    const opening: Hosted = { kind: 'opening', readEntry: undefined };
    this.#hosted.set(groupId, opening);
    this.#lostEntries.delete(groupId);
    // Removed, or the node is stopping: what was begun is given up.
    const isGivenUp = (): boolean => this.#isClosed || this.#hosted.get(groupId) !== opening;
    let isToGo = lost !== undefined;
    const open = async (): Promise<void> => {
      if (isGivenUp()) return;
      if (lost !== undefined && isToGo) await this.#lose(groupId, lost);
      // Once: what is opened behind it is the new one, also when that waits for room and is tried again.
      isToGo = false;
      const newMachine = (): Catalog | undefined => (groupId === CATALOG_GROUP ? this.#seat.replaying() : undefined);
      let machine = newMachine();
      let partition: Partition;
      try {
        partition = await this.#openPartition(groupId, voters, machine, opening, isGivenUp);
      } catch (error) {
        if (isGivenUp()) return;
        if (!isLogLost(error) || this.#isAlone(groupId, voters)) throw error;
        await this.#lose(groupId, error);
        machine = newMachine();
        partition = await this.#openPartition(groupId, voters, machine, opening, isGivenUp);
      }
      if (isGivenUp()) {
        await partition.close();
        return;
      }
      if (machine !== undefined) this.#seat.opened(machine);
      partition.setFull(this.#fullNode.isFull, false);
      if (this.#isResigned) partition.resign();
      this.#hosted.set(groupId, { kind: 'open', partition });
      this.#paces.set(partition, 'ticks');
      this.#welcome(partition, voters);
    };
    return this.#enqueue(groupId, open, isGivenUp);
  }

  /** The catalog's voters are an entry of its own log. Until that is there, whoever the node knows may send it. */
  #votersOf(voters: readonly string[]): readonly string[] {
    return voters.length === 0 ? this.#options.nodeIds : voters;
  }

  /** Nobody could take its replica back. As the catalog places the group by now: others may have founded it. */
  #isAlone(groupId: number, founders: readonly string[]): boolean {
    return (this.catalog.replicasOf(groupId) ?? this.#votersOf(founders)).length === 1;
  }

  /** The marker first, then the log that cannot be used is set aside, untouched (W26): what is opened in its place is
   *  empty, and knows that it promised things it does not know. */
  async #lose(groupId: number, error: Error): Promise<void> {
    const { directory, env } = this.#world;
    env.logger.error({ group: groupId, err: error }, 'a log is lost: its replica takes no part until it has rejoined');
    if ((await directory.marker(groupId).catch(() => undefined)) === undefined) {
      await directory.mark(groupId, newMarker(env, error.message));
    }
    await directory.setAside(groupId);
    this.#events.onRejoining(groupId, true);
  }

  /**
   * The log of an open partition is of no use any more, and a majority does without it (rejoining.ts). It takes the way
   * of a log that is found lost when it is opened; the marker is there already.
   */
  #beginAnew(groupId: number, voters: readonly string[], error: Error): void {
    const partition = this.get(groupId);
    if (partition === undefined || this.#isClosed) return;
    if (groupId === CATALOG_GROUP) this.#seat.lost(partition.appliedIndex);
    this.#paces.set(partition, 'none');
    this.#fullLogs.closed(groupId);
    void this.#enqueue(groupId, () => partition.close());
    void this.#open(groupId, voters, error);
  }

  #applied(groupId: number): void {
    if (groupId === CATALOG_GROUP) this.#seat.applied(this.get(groupId)?.appliedIndex ?? 0);
    this.#events.onApplied(groupId);
  }

  #welcome(partition: Partition, voters: readonly string[]): void {
    const { groupId } = partition;
    const { damage, lastIndex } = partition.status;
    for (const found of damage) this.#world.env.logger.error({ group: groupId, ...found }, 'stored bytes are damaged');
    // A log without an entry is new: its preferred leader need not wait for a timeout. One that is alone never needs
    // to.
    const isPreferred = lastIndex === 0 && voters[0] === this.#options.nodeId;
    if (isPreferred || partition.voters.length === 1) partition.campaign();
    for (const { from, bytes } of this.#early.take(groupId)) partition.receive(from, bytes);
  }

  async #openPartition(
    groupId: number,
    voters: readonly string[],
    machine: Catalog | undefined,
    opening: Extract<Hosted, { kind: 'opening' }>,
    isStopping: () => boolean,
  ): Promise<Partition> {
    const clusterId = this.#world.directory.clusterId;
    if (clusterId === undefined) throw new LogError('INTERNAL', 'a partition is opened before the cluster was born');
    const firstOffset = this.catalog.firstOffsetOf(groupId);
    let live = machine;
    const takeMachine = (): Catalog => {
      const taken = live ?? new Catalog();
      live = undefined;
      return taken;
    };
    const options = partitionOptions(this.#options, {
      groupId,
      clusterId,
      voters: this.#votersOf(voters),
      heartbeatPhase: () => this.#paces.phase,
      mayCampaignNow: () => this.#campaignTurns.take(groupId),
      ...(firstOffset !== undefined && { firstOffset }),
      createMachine: machine === undefined ? undefined : takeMachine,
    });
    let opened: Partition | undefined;
    // One that was removed, or whose log is begun anew, has nothing to say any more.
    const isCurrent = (): boolean =>
      this.#hosted.get(groupId) === opening || (opened !== undefined && this.get(groupId) === opened);
    const { logger } = this.#world.env;
    opened = await Partition.open(options, this.#partitionWorld, {
      onStatus: (status) => {
        if (status.role === 'candidate') this.#world.metrics.add('logdrive_raft_elections_total');
        this.#events.onStatus(groupId, status);
      },
      onPace: (pace) => this.#paced(groupId, pace),
      onApplied: () => this.#applied(groupId),
      onReplaying: (readEntry) => {
        opening.readEntry = readEntry;
      },
      isStopping,
      onLogEvent: (event) => this.#events.onLogEvent(groupId, event),
      onBroken: (error) => this.#stopped(groupId, error),
      onLostAcks: (lost) => this.#events.onLostAcks(groupId, lost),
      onLostEntry: (lost) => {
        if (isCurrent()) this.#lostEntryChanged(groupId, lost);
      },
      onGivenUp: (error) => this.#beginAnew(groupId, voters, error),
      onRejoined: () => this.#events.onRejoining(groupId, false),
      onFull: (isFull, cause) => {
        if (isCurrent()) this.#fullLogs.changed(groupId, isFull, cause);
      },
      onTrouble: (what, error) => logger.error({ group: groupId, err: error }, what),
    });
    return opened;
  }

  #paced(groupId: number, pace: Pace): void {
    const partition = this.get(groupId);
    if (partition !== undefined) this.#paces.set(partition, pace);
  }

  #lostEntryChanged(groupId: number, lost: LostEntry | undefined): void {
    if (lost === undefined) this.#lostEntries.delete(groupId);
    else this.#lostEntries.set(groupId, lost);
    this.#countStopped();
  }

  #countStopped(): void {
    const lost = this.lostIn.filter((one) => one.lost.unheard.length === 0).map(({ groupId }) => groupId);
    this.#world.metrics.set('logdrive_partitions_stopped', new Set([...lost, ...this.broken]).size);
  }

  /** An open partition has stopped itself. */
  #stopped(groupId: number, error: Error): void {
    const partition = this.get(groupId);
    if (partition !== undefined) this.#paces.set(partition, 'none');
    this.#broke(groupId, error);
    void this.#enqueue(groupId, async () => partition?.close());
  }

  #remove(groupId: number): Promise<void> {
    const hosted = this.#hosted.get(groupId);
    this.#hosted.delete(groupId);
    this.#lostEntryChanged(groupId, undefined);
    this.#fullLogs.closed(groupId);
    if (hosted?.kind === 'open') this.#paces.set(hosted.partition, 'none');
    // An opening that is under way ends first, and closes what it opened.
    this.#roomWaits.wake(groupId);
    return this.#enqueue(groupId, async () => {
      if (hosted?.kind === 'open') await hosted.partition.close();
      if (!this.#isClosed) await this.#world.directory.removeLog(groupId);
    });
  }

  /** @param isGivenUp Work that waits for room need not be done any more. */
  #enqueue(groupId: number, work: () => Promise<void>, isGivenUp = (): boolean => this.#isClosed): Promise<void> {
    const before = this.#work.get(groupId) ?? Promise.resolve();
    const after = before
      .then(() => this.#roomWaits.run(groupId, work, isGivenUp))
      .catch((error: unknown) => this.#broke(groupId, error));
    this.#work.set(groupId, after);
    void after.then(() => {
      if (this.#work.get(groupId) === after) this.#work.delete(groupId);
    });
    return after;
  }

  #broke(groupId: number, error: unknown): void {
    // The process ends by it, and its owner was told: no partition is stopped while the others go on (W4).
    if (isFatal(error)) return;
    const cause = error instanceof Error ? error : new Error(String(error));
    this.#hosted.set(groupId, { kind: 'broken', error: cause });
    this.#countStopped();
    this.#fullLogs.closed(groupId);
    this.#world.env.logger.error(
      { group: groupId, err: cause },
      'a partition is stopped on this node; the others go on',
    );
  }
}
