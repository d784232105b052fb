/**
 * The node as clients see it: all verbs, over the partitions it hosts and the peers that host the rest. It owns the one
 * tick, the birth of the cluster, and who leads what. No sockets; doors call the verbs of verbs.ts and nothing else.
 */
import { CacheBudget } from '../partition/index.ts';
import { LogError } from '../protocol/index.ts';
import { Admission } from './admission.ts';
import { Beats, NODE_GROUP } from './beats.ts';
import { Birth } from './birth.ts';
import { CATALOG_GROUP, type Catalog, type CatalogCommand, type CatalogNode, type CatalogOutcome } from './catalog.ts';
import { CompactionDriver } from './compaction.ts';
import { damageReport } from './damage-report.ts';
import { DiskWatch } from './disk-watch.ts';
import { EntryCalls } from './entry-calls.ts';
import { Fetch } from './fetch.ts';
import { Gossip } from './gossip.ts';
import { HandOver } from './hand-over.ts';
import { Host } from './host.ts';
import { Leaders } from './leaders.ts';
import { reportLogEvent } from './log-events.ts';
import { LogMaking } from './log-making.ts';
import { Members } from './members.ts';
import { Mover } from './mover.ts';
import type { BrokerOptions, BrokerWorld } from './options.ts';
import { decodeCall, encodeCall, type FetchEntryCall, type StatusAnswer, type StatusCall } from './peer-calls.ts';
import type { PeerHandler, PeerMethod } from './peers.ts';
import { Produce } from './produce.ts';
import { Pulse } from './pulse.ts';
import { ReadLevels } from './read-levels.ts';
import { Rejoins } from './rejoins.ts';
import { Routes } from './routes.ts';
import { Scrubber } from './scrubber.ts';
import { SpaceWatch } from './space-watch.ts';
import { Topics } from './topics.ts';
import { Upkeep } from './upkeep.ts';
import type {
  AppendRequest,
  AppendResult,
  BrokerVerbs,
  ClusterDescription,
  CreateTopicRequest,
  HealthCheck,
  NewNode,
  Reader,
  ReadRequest,
  ReadResult,
  SubscribeRequest,
  TailResult,
  TopicDescription,
  TopicRef,
  WantedLevel,
} from './verbs.ts';

const TELL_AGAIN_MS = 200;

export class Broker implements BrokerVerbs {
  readonly #options: BrokerOptions;
  readonly #world: BrokerWorld;
  readonly #leaders = new Leaders();
  readonly #host: Host;
  readonly #logMaking: LogMaking;
  readonly #entryCalls: EntryCalls;
  readonly #routes: Routes;
  readonly #produce: Produce;
  readonly #fetch: Fetch;
  readonly #topics: Topics;
  readonly #upkeep: Upkeep;
  readonly #compaction: CompactionDriver;
  readonly #birth: Birth;
  readonly #gossip: Gossip;
  readonly #rejoins: Rejoins;
  readonly #members: Members;
  readonly #mover: Mover;
  /** Members that have not been told of the cluster's birth since their link came up. */
  readonly #untold = new Set<string>();
  /** Those that have been told since then. */
  readonly #told = new Set<string>();
  readonly #beats: Beats;
  readonly #pulse: Pulse;
  readonly #diskWatch: DiskWatch;
  readonly #spaceWatch: SpaceWatch;
  readonly #handOver: HandOver;
  #isDraining = false;
  #isFounding = false;
  #isStopping = false;
  /** Opening the catalog and what follows from it; once in a broker's life. */
  #joining: Promise<void> | undefined;
  /** What was reconciled with last. */
  #seenCatalog: { readonly catalog: Catalog; readonly version: number } | undefined;

  /** Begins to open what is on disk, and to tick. Waits for neither, since opening damaged logs may wait for peers:
   *  readiness() tells when it serves. */
  static async start(options: BrokerOptions, world: BrokerWorld): Promise<Broker> {
    const broker = new Broker(options, world);
    world.peers.attach(broker.#peerHandler());
    await broker.#spaceWatch.measure();
    await broker.#logMaking.look();
    if (world.directory.clusterId !== undefined) void broker.#join();
    else if (!options.bootstrap) {
      world.env.logger.info({}, 'belongs to no cluster: waits to be added to one; with --bootstrap it founds one');
    }
    broker.#pulse.start();
    return broker;
  }

  private constructor(options: BrokerOptions, world: BrokerWorld) {
    this.#options = options;
    this.#world = world;
    const { nodeId, nodeIds, segmentBytes, batchBytesMax } = options;
    const { env, metrics, directory, peers } = world;
    const budget = new CacheBudget(options.cacheBytesMax);
    this.#host = new Host(options, world, budget, (groupId, wanted) => this.#entryCalls.fetch(groupId, wanted), {
      onStatus: (groupId, { term, leader }) => this.#statusChanged(groupId, term, leader),
      onApplied: (groupId) => this.#applied(groupId),
      onLogEvent: (groupId, event) => reportLogEvent({ env, metrics, catalog: this.#host.catalog }, groupId, event),
      onLostAcks: (groupId, lost) => this.#rejoins.found(groupId, lost),
      onRejoining: (groupId, isRejoining) => this.#rejoins.changed(groupId, isRejoining),
    });
    const host = this.#host;
    this.#entryCalls = new EntryCalls({ nodeId, world, host });
    this.#rejoins = new Rejoins({ env, metrics, peers, host });
    this.#routes = new Routes(nodeId, host, this.#leaders, peers, env.timers);
    const routes = this.#routes;
    const admission = new Admission();
    this.#produce = new Produce({ nodeId, batchBytesMax, env, metrics, peers, host, routes, admission });
    const levels = new ReadLevels({ nodeId, env, peers, host, routes, hasLeases: options.lease !== undefined });
    this.#fetch = new Fetch({ nodeId, env, peers, host, routes, levels });
    this.#logMaking = new LogMaking({ env, directory, host, levels, isStopping: () => this.#isStopping });
    this.#gossip = new Gossip({
      nodeId,
      env,
      peers,
      leaders: this.#leaders,
      mayLead: () =>
        !this.#isDraining && !this.#spaceWatch.isFull && !this.#diskWatch.isSlow && host.catalog.mayLead(nodeId),
      added: () => this.#members.added(),
      onAdded: (nodes) => this.#members.heardOf(nodes),
      isDeleted: (groupId) => host.catalog.isDeleted(groupId),
    });
    const gossip = this.#gossip;
    this.#topics = new Topics({ nodeId, env, peers, host, leaders: this.#leaders, routes, gossip });
    const mayLead = (peer: string): boolean => gossip.isWilling(peer) && host.catalog.mayLead(peer);
    this.#spaceWatch = new SpaceWatch(options, world, host, () => this.#fullChanged());
    const scrubber = new Scrubber({ env, metrics, host, scrub: options.scrub });
    this.#upkeep = new Upkeep({ nodeId, env, metrics, host, mayLead, scrubber });
    this.#compaction = CompactionDriver.of(options, world, host, gossip);
    const { peerAddress, clientUrl: url, version } = options;
    const { diskUuid } = directory;
    const change = (command: CatalogCommand): Promise<CatalogOutcome> => this.#topics.change(command);
    const self = { id: nodeId, url, peerAddress, diskUuid, version };
    const clusterId = (): string | undefined => directory.clusterId;
    this.#members = new Members({ self, env, peers, host, leaders: this.#leaders, routes, clusterId, change });
    this.#birth = new Birth({ nodeId, nodeIds, segmentBytes, env, directory, peers });
    this.#beats = Beats.of(options, peers, host);
    this.#diskWatch = new DiskWatch(options, world, directory, () => gossip.hasNews());
    this.#handOver = new HandOver({ options, world, host, gossip });
    this.#mover = new Mover({ nodeId, env, host, change, handOver: this.#handOver });
    this.#pulse = new Pulse(options, world, { onTick: () => this.#tick(), onStall: (ticks) => host.stalled(ticks) });
  }

  get nodeId(): string {
    return this.#options.nodeId;
  }

  get version(): string {
    return this.#options.version;
  }

  append(request: AppendRequest): Promise<AppendResult> {
    if (this.#isDraining) return Promise.reject(new LogError('DRAINING', undefined, { details: { retryAfterMs: 0 } }));
    return this.#produce.append(request);
  }

  read(request: ReadRequest): Promise<ReadResult> {
    return this.#fetch.read(request);
  }

  subscribe(request: SubscribeRequest): Promise<Reader> {
    return this.#fetch.subscribe(request);
  }

  tail(topic: TopicRef, partition: number, wanted?: WantedLevel): Promise<TailResult> {
    return this.#fetch.tail(topic, partition, wanted);
  }

  createTopic(request: CreateTopicRequest): Promise<TopicDescription> {
    return this.#topics.create(request);
  }

  deleteTopic(name: string): Promise<void> {
    return this.#topics.delete(name);
  }

  async listTopics(): Promise<readonly TopicDescription[]> {
    return this.#topics.list();
  }

  describeTopic(name: string): Promise<TopicDescription> {
    return this.#topics.describe(name);
  }

  transferLeader(topic: string, partition: number, to: string): Promise<void> {
    return this.#topics.transferLeader(topic, partition, to);
  }

  trim(topic: string, partition: number, before: number): Promise<void> {
    return this.#topics.trim(topic, partition, before);
  }

  takeSnapshot(topic: string, partition: number): Promise<{ readonly index: number; readonly nextOffset: number }> {
    return this.#topics.takeSnapshot(topic, partition);
  }

  addNode(node: NewNode): Promise<void> {
    return this.#members.add(node);
  }

  removeNode(id: string): Promise<void> {
    return this.#members.remove(id);
  }

  replaceNode(id: string, by: string, peerAddress?: string): Promise<void> {
    return this.#members.replace(id, by, peerAddress);
  }

  drainNode(id: string, isDrained: boolean): Promise<void> {
    return this.#members.drain(id, isDrained);
  }

  cluster(): ClusterDescription {
    return this.#members.describe();
  }

  readiness(): readonly HealthCheck[] {
    const groups = [...this.#host.open()];
    const leaderless = groups.filter(({ status }) => status.leader === undefined);
    const { clusterId } = this.#world.directory;
    return [
      {
        name: 'cluster',
        isOk: clusterId !== undefined,
        detail: clusterId ?? 'not part of a cluster yet: not added, and not founded (--bootstrap)',
      },
      {
        name: 'logs',
        isOk: clusterId === undefined || (this.#host.opening.length === 0 && this.#logMaking.isCurrent),
        detail: `${this.#host.opening.length} partitions are being opened; ${this.#logMaking.detail}`,
      },
      {
        name: 'leaders',
        isOk: groups.length > 0 && leaderless.length === 0,
        detail: `${leaderless.length} of ${groups.length} hosted partitions have no leader`,
      },
      // A damaged partition is named, and does not take the others out of service (design 6.1).
      { name: 'partitions', isOk: true, detail: damageReport(this.#host) },
      { name: 'disk', isOk: !this.#spaceWatch.isFull, detail: this.#spaceWatch.detail },
      { name: 'flushes', isOk: !this.#diskWatch.isStalled, detail: this.#diskWatch.detail },
    ];
  }

  /**
   * Refuses new appends and hands every leadership to another node. Resolves when that is done, or has taken too long.
   */
  drain(): Promise<void> {
    this.#isDraining = true;
    return this.#handOver.drain();
  }

  /** Stops ticking, flushes and closes every log. The data directory stays open: it belongs to whoever opened it. */
  async stop(): Promise<void> {
    this.#isDraining = true;
    this.#isStopping = true;
    this.#pulse.stop();
    this.#compaction.stop();
    const closing = this.#host.close();
    await this.#birth.stop();
    // Ends early, now that the host is closing; how it ends matters no more.
    await this.#joining?.catch(() => undefined);
    await closing;
  }

  /** The catalog first: it tells which other logs there should be. A failure is named by the host. */
  #join(): Promise<void> {
    this.#joining ??= this.#openAll();
    return this.#joining;
  }

  async #openAll(): Promise<void> {
    await this.#host.openCatalog();
    if (this.#host.get(CATALOG_GROUP) === undefined) return;
    this.#applied(CATALOG_GROUP);
    void this.#logMaking.untilCurrent().then(() => this.#reconcile());
  }

  #reconcile(): void {
    this.#host.reconcile((groupId) => this.#logMaking.mayOpen(groupId));
  }

  #tick(): void {
    this.#host.tick();
    this.#beats.tick();
    this.#diskWatch.tick();
    if (this.#diskWatch.isSlow) this.#handOver.fromSlowDisk(this.#diskWatch);
    if (this.#spaceWatch.tick() && this.#spaceWatch.isFull) this.#tellFull();
    if (this.#spaceWatch.isFull) this.#handOver.attempt();
    if (this.#world.directory.clusterId === undefined) this.#found();
    else this.#tellMembers();
    this.#upkeep.tick();
    this.#mover.tick();
    this.#compaction.tick();
    this.#gossip.tick();
    this.#rejoins.tick();
  }

  #found(): void {
    if (!this.#options.bootstrap || this.#isFounding) return;
    this.#isFounding = true;
    this.#birth
      .tryFound()
      .then((isBorn) => (isBorn ? this.#join() : undefined))
      .catch((error: unknown) =>
        this.#world.env.logger.error({ err: error }, 'founding the cluster failed; it is tried again'),
      )
      .finally(() => {
        this.#isFounding = false;
      });
  }

  /** Members without a cluster are told until they have it: founding ones the first entry, others whom they joined. */
  #tellMembers(): void {
    const { founding, nodes } = this.#host.catalog;
    if (founding === undefined) return;
    for (const id of this.#untold) {
      this.#untold.delete(id);
      const peer = this.#world.peers.list.find((candidate) => candidate.id === id);
      const isThis = (node: CatalogNode): boolean => node.id === id && node.diskUuid === peer?.diskUuid;
      if (peer?.diskUuid === undefined || peer.clusterId !== undefined || !nodes.some(isThis)) continue;
      const { clusterId: join, nodes: founders } = founding.birth;
      const isFounder = founders.some(isThis);
      const told = isFounder
        ? this.#birth.tell(id, founding)
        : this.#birth.welcome(id, { join, diskUuid: peer.diskUuid });
      void told.then((isTold) => {
        if (isTold) this.#told.add(id);
        else this.#world.env.timers.after(TELL_AGAIN_MS, () => this.#untold.add(id));
        // The founder need not wait for a timeout to lead: whoever was told just now answers.
        if (isTold && this.#routes.leader(CATALOG_GROUP) === undefined) this.#host.get(CATALOG_GROUP)?.campaign();
      });
    }
  }

  #applied(groupId: number): void {
    if (groupId !== CATALOG_GROUP) return;
    const { catalog } = this.#host;
    // One that was begun anew counts its versions from the beginning.
    if (catalog === this.#seenCatalog?.catalog && catalog.version === this.#seenCatalog.version) return;
    this.#seenCatalog = { catalog, version: catalog.version };
    this.#leaders.forgetIf((id) => this.#host.catalog.isDeleted(id));
    this.#reconcile();
    this.#members.reconcile();
    for (const { id, isUp, clusterId } of this.#world.peers.list) {
      if (isUp && clusterId === undefined && !this.#told.has(id)) this.#untold.add(id);
    }
  }

  #statusChanged(groupId: number, term: number, leader: string | undefined): void {
    const known = this.#leaders.get(groupId);
    if (leader === undefined && known?.leader === this.nodeId) this.#leaders.lost(groupId, this.nodeId);
    if (leader !== this.nodeId && known?.leader === this.nodeId) this.#beats.lostLeadership();
    this.#gossip.learn(groupId, { term, leader });
    if (leader !== undefined && known?.leader !== leader) {
      this.#world.metrics.add('logdrive_raft_leader_changes_total');
      this.#world.env.logger.info(
        { group: groupId, term, leader },
        leader === this.nodeId ? 'leads a partition' : 'follows a leader',
      );
    }
    if (leader === this.nodeId) this.#gossip.hasNews(groupId);
  }

  #fullChanged(): void {
    this.#tellFull();
    this.#gossip.hasNews();
  }

  #tellFull(): void {
    const { peers } = this.#world;
    const isRoomy = (node: string): boolean => peers.isUp(node) && this.#gossip.isWilling(node);
    this.#host.setFull(this.#spaceWatch.isFull, isRoomy);
  }

  #peerHandler(): PeerHandler {
    const { directory } = this.#world;
    const { nodeId, clientUrl, version } = this.#options;
    return {
      onMessage: (from, groupId, bytes) => {
        if (groupId === NODE_GROUP) return this.#beats.receive(from, bytes);
        this.#beats.heard(from);
        this.#host.receive(from, groupId, bytes);
      },
      onCall: (from, method, body) => this.#onCall(from, method, body),
      onUp: (peer) => this.#peerUp(peer),
      onDown: (peer) => this.#peerDown(peer),
      identity: () => ({ nodeId, diskUuid: directory.diskUuid, clusterId: directory.clusterId, clientUrl, version }),
      admits: (peer) => this.#admits(peer),
    };
  }

  #admits(peer: {
    readonly nodeId: string;
    readonly diskUuid: string;
    readonly clusterId: string | undefined;
  }): true | string {
    const { clusterId } = this.#world.directory;
    if (clusterId === undefined) return true;
    if (peer.clusterId !== undefined && peer.clusterId !== clusterId) {
      return `node ${peer.nodeId} belongs to cluster ${peer.clusterId}, this one to ${clusterId}`;
    }
    const { nodes } = this.#host.catalog;
    if (nodes.length === 0) {
      // Until the catalog is open the members are not known. Who carries the cluster's id was a member when it was
      // given; it may have to supply entries of the catalog itself. Others try again.
      return peer.clusterId === clusterId ? true : 'this node is still recovering its catalog';
    }
    const member = this.#host.catalog.node(peer.nodeId);
    if (member?.diskUuid === peer.diskUuid) return true;
    if (this.#host.catalog.isGone(peer.nodeId)) {
      return `node ${peer.nodeId} was removed from cluster ${clusterId}; its id is never used again`;
    }
    if (member === undefined) {
      // A node gets the cluster's id when it is made a member. One that this node has not heard of was added while it
      // slept, and may lead the catalog by now: nobody else could tell it (R17 keeps what a stranger says from doing
      // harm).
      const isNew = peer.clusterId === clusterId || this.#members.isInvited(peer.nodeId);
      return isNew || `node ${peer.nodeId} is not a member of cluster ${clusterId}; logdrive cluster add makes it one`;
    }
    return (
      `node ${peer.nodeId} has a new disk (${peer.diskUuid}, not ${member.diskUuid}): a known name with an empty disk ` +
      'is a stranger; start it under another id and let that replace it (logdrive cluster replace)'
    );
  }

  #peerUp(peer: string): void {
    this.#beats.peerUp(peer);
    this.#upkeep.peerUp(peer);
    this.#told.delete(peer);
    this.#untold.add(peer);
    void this.#gossip.exchange(peer);
  }

  #peerDown(peer: string): void {
    this.#beats.peerDown(peer);
    this.#upkeep.peerDown(peer);
    this.#gossip.peerDown(peer);
    for (const { groupId } of this.#leaders.ledBy(peer)) this.#leaders.lost(groupId, peer);
    this.#host.peerDown(peer);
  }

  async #onCall(from: string, method: PeerMethod, body: Uint8Array): Promise<readonly Uint8Array[]> {
    switch (method) {
      case 'append':
        return this.#produce.onForwarded(body);
      case 'read':
        return this.#fetch.onForwarded(body);
      case 'read-index':
        return this.#fetch.onReadIndex(body);
      case 'status':
        return this.#onStatus(from, decodeCall<StatusCall>(body).head);
      case 'fetch-entry':
        return this.#entryCalls.answer(decodeCall<FetchEntryCall>(body).head);
      case 'rejoin':
      case 'lost-acks':
        return this.#rejoins.onAsked(from, method, body);
      case 'birth':
        return this.#onBirth(body);
      case 'catalog':
      case 'transfer':
      case 'trim':
      case 'snapshot':
        return this.#topics.onAsked(method, body);
      default:
        return method satisfies never;
    }
  }

  async #onBirth(body: Uint8Array): Promise<Uint8Array[]> {
    const { answer, isNewMember } = await this.#birth.onAsked(body);
    if (isNewMember) await this.#join();
    return encodeCall(answer);
  }

  #onStatus(from: string, call: StatusCall): Uint8Array[] {
    this.#gossip.learnFrom(from, call);
    const groups = call.groups.flatMap((groupId) => this.#topics.statusOf(groupId) ?? []);
    const told = call.isNews === true ? this.#gossip.news() : this.#gossip.call([]);
    return encodeCall({ ...told, groups } satisfies StatusAnswer);
  }
}
