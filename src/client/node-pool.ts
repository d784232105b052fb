/**
 * The nodes a client knows and its connections to them, one each. Whoever needs a connection asks for one with a wish
 * (this node, rather not that one) and gets the best that can be had before its deadline; failures of one node are
 * remembered, so that it is not tried again by everybody at once.
 *
 * One connection is kept up while the client lives, also when nobody asks for one. Over it the nodes are asked for now
 * and then: of those that were there at first none may be left when this one goes.
 */
import type { TimerHandle } from '../env.ts';
import { LogError, type NodeInfo, type WelcomeMessage } from '../protocol/index.ts';
import { Backoff } from './backoff.ts';
import { Connection, type ConnectionEvents } from './connection.ts';
import { closedError, Operation } from './operation.ts';
import type { Settings } from './options.ts';
import type { Platform } from './platform.ts';
import { serverUrls } from './server-url.ts';

/**
 * Between two signs of life while a connection owes an answer, which ends after two to three of them in silence: a
 * second, since a leader that hangs is replaced in less; of an operation that has little time, this share of it.
 */
const PROBE_MS_MAX = 1_000;
const PROBE_SHARE = 1 / 8;
/** Of the time an operation has, the most that bytes on their way may take before silence counts: the rest is for
 *  another node. */
const UPLOAD_SHARE = 1 / 3;
/** Of the same time, how long one node is waited for until the next one is asked as well. */
const DETOUR_SHARE = 1 / 8;

/** Between two questions for the nodes because one of them is unknown. */
const NODES_ASKED_REST_MS = 1_000;

export interface Wish {
  /** Node id; undefined: no preference. */
  readonly node?: string | undefined;
  /** Any of these, if `node` is not given or cannot be had. */
  readonly oneOf?: readonly string[] | undefined;
  /** Of several that would do as well, this one. */
  readonly rather?: string | undefined;
  /** Node to use only when there is no other. */
  readonly avoid?: string | undefined;
}

export interface PoolEvents {
  onConnected(connection: Connection): void;
  onLeaving(connection: Connection, reason: string): void;
  /** A connection that was ready ended. */
  onLost(connection: Connection, error: LogError): void;
}

/** One address. */
interface Place {
  readonly url: string;
  readonly isSeed: boolean;
  /** Known once welcomed, or from the cluster map. */
  nodeId: string | undefined;
  connection: Connection | undefined;
  /** While it opens. Never rejects: undefined when it failed. */
  opening: Promise<Connection | undefined> | undefined;
  /** Monotonic: when that began. */
  openedAtMs: number;
  readonly backoff: Backoff;
  /** Monotonic; not tried before. */
  retryAtMs: number;
  lastError: LogError | undefined;
}

export class NodePool {
  readonly #platform: Platform;
  readonly #settings: Settings;
  readonly #events: PoolEvents;
  /** By URL; seeds first, in the order given. */
  readonly #places = new Map<string, Place>();
  #nodes: readonly NodeInfo[] = [];
  #clusterId: string | undefined;
  #limits: WelcomeMessage | undefined;
  #keeper: TimerHandle | undefined;
  readonly #keeperBackoff: Backoff;
  /** Asks for the nodes, from the first WELCOME on. */
  #asker: TimerHandle | undefined;
  /** Monotonic: when they were asked for last. */
  #nodesAskedMs: number = Number.NEGATIVE_INFINITY;
  /** Told to go away: they finish what they have and belong to no place any more. */
  readonly #leaving = new Set<Connection>();
  readonly #operations = new Set<Operation>();
  #isClosed = false;

  constructor(platform: Platform, settings: Settings, seeds: readonly string[], events: PoolEvents) {
    this.#platform = platform;
    this.#settings = settings;
    this.#events = events;
    this.#keeperBackoff = new Backoff(platform.random, settings.backoff);
    for (const url of seeds) this.#place(url, true, undefined);
  }

  get nodes(): readonly NodeInfo[] {
    return this.#nodes;
  }

  get clusterId(): string | undefined {
    return this.#clusterId;
  }

  /** Limits as the last node told them; undefined before the first WELCOME. */
  get limits(): WelcomeMessage | undefined {
    return this.#limits;
  }

  get hasReady(): boolean {
    return [...this.#places.values()].some((place) => place.connection?.isReady === true);
  }

  /** Newer word of the cluster. */
  learnNodes(nodes: readonly NodeInfo[]): void {
    if (nodes.length === 0) return;
    this.#nodes = nodes;
    if (!this.#settings.discover) return;
    for (const { url, isSeed, connection, nodeId } of this.#places.values()) {
      if (!isSeed && connection === undefined && !nodes.some(({ id }) => id === nodeId)) this.#places.delete(url);
    }
    for (const node of nodes) {
      if (this.#placesOf(node.id).some(({ isSeed }) => isSeed)) continue;
      const url = knownUrl(node);
      if (url !== undefined) this.#place(url, false, node.id);
    }
  }

  /** An operation with the client's time limit, which also ends when the client closes. */
  begin(signal?: AbortSignal, timeoutMs: number = this.#settings.requestTimeoutMs): Operation {
    const operation = new Operation(this.#platform, timeoutMs, signal);
    this.#operations.add(operation);
    if (this.#isClosed) operation.stop(closedError('client'));
    return operation;
  }

  end(operation: Operation): void {
    operation.done();
    this.#operations.delete(operation);
  }

  /**
   * A ready connection, the best for the wish that can be had in time.
   * @throws LogError CONNECTION, outcome none, when none can be had; what stopped the operation otherwise.
   */
  async acquire(wish: Wish, operation: Operation): Promise<Connection> {
    for (;;) {
      if (this.#isClosed) throw closedError('client');
      await this.#meet(wish.node, operation);
      const places = this.#ranked(wish);
      for (const place of places) {
        const connection = await this.#tryPlace(place, operation);
        if (connection !== undefined) return connection;
        if (operation.stopped !== undefined) throw this.#unreachable(operation.stopped);
      }
      const openings = places.flatMap(({ opening }) => opening ?? []);
      const mayRetry = this.#settings.retries && !isVerdict(places);
      if (openings.length === 0 && !mayRetry) throw this.#unreachable(undefined);
      const resting = mayRetry ? places.filter(({ opening }) => opening === undefined) : [];
      const retryAtMs = Math.min(...resting.map((place) => place.retryAtMs));
      await this.#first(openings, Math.max(1, retryAtMs - this.#platform.clock.monotonicMs()), operation);
      if (operation.stopped !== undefined) throw this.#unreachable(operation.stopped);
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#keeper?.cancel();
    this.#asker?.cancel();
    for (const operation of this.#operations) operation.stop(closedError('client'));
    this.#operations.clear();
    const connections = [...this.#places.values()].flatMap(({ connection }) => connection ?? []);
    for (const connection of [...connections, ...this.#leaving]) connection.close('is left because the client closes');
  }

  #place(url: string, isSeed: boolean, nodeId: string | undefined): Place {
    let place = this.#places.get(url);
    if (place === undefined) {
      const backoff = new Backoff(this.#platform.random, this.#settings.backoff);
      place = {
        url,
        isSeed,
        nodeId,
        connection: undefined,
        opening: undefined,
        openedAtMs: 0,
        backoff,
        retryAtMs: 0,
        lastError: undefined,
      };
      this.#places.set(url, place);
    }
    place.nodeId ??= nodeId;
    return place;
  }

  #placesOf(nodeId: string): Place[] {
    return [...this.#places.values()].filter((place) => place.nodeId === nodeId);
  }

  /** All places, best first. */
  #ranked(wish: Wish): Place[] {
    const isUp = new Map(this.#nodes.map((node) => [node.id, node.isUp]));
    const rank = (place: Place): number => {
      const id = place.nodeId;
      let points = 0;
      if (id !== undefined && id === wish.avoid) points += 100;
      if (place.connection?.isReady !== true) points += 4;
      if (id !== undefined && isUp.get(id) === false) points += 2;
      if (id !== undefined && wish.node === id) points -= 50;
      else if (id !== undefined && wish.oneOf?.includes(id) === true) points -= 20;
      if (id !== undefined && wish.rather === id) points -= 1;
      return points;
    };
    // Stable: places of one rank keep the order the application gave.
    return [...this.#places.values()]
      .map((place) => ({ place, points: rank(place) }))
      .sort((a, b) => a.points - b.points)
      .map(({ place }) => place);
  }

  /** Its connection; undefined when it has none in the time after which another place is tried as well. */
  async #tryPlace(place: Place, operation: Operation): Promise<Connection | undefined> {
    if (place.connection?.isReady === true) return place.connection;
    const nowMs = this.#platform.clock.monotonicMs();
    if (place.opening === undefined) {
      // Its GOAWAY or its failure is recent: somewhere else first.
      if (place.retryAtMs > nowMs) return undefined;
      place.openedAtMs = nowMs;
      place.opening = this.#open(place);
    }
    const wholeMs = Math.min(operation.remainingMs, this.#settings.requestTimeoutMs);
    const patienceMs = place.openedAtMs + wholeMs * DETOUR_SHARE - nowMs;
    return patienceMs > 0 ? this.#first([place.opening], patienceMs, operation) : undefined;
  }

  /** The first of these that opens or fails, if one does within that time and before the operation is stopped. */
  async #first(
    openings: readonly Promise<Connection | undefined>[],
    patienceMs: number,
    operation: Operation,
  ): Promise<Connection | undefined> {
    let timer: TimerHandle | undefined;
    const patience = new Promise<undefined>((resolve) => {
      if (patienceMs !== Number.POSITIVE_INFINITY) {
        timer = this.#platform.timers.after(patienceMs, () => resolve(undefined));
      }
    });
    try {
      const connection = await operation.race(Promise.race([...openings, patience]));
      return connection?.isReady === true ? connection : undefined;
    } catch {
      // Stopped: the caller looks at the operation and says why.
      return undefined;
    } finally {
      timer?.cancel();
    }
  }

  #open(place: Place): Promise<Connection | undefined> {
    const { clientId, token, connectTimeoutMs, heartbeatMs, requestTimeoutMs } = this.#settings;
    const probeMs = Math.min(PROBE_MS_MAX, Math.max(1, requestTimeoutMs * PROBE_SHARE));
    return new Promise((resolve) => {
      const events: ConnectionEvents = {
        onReady: (connection) => {
          this.#onReady(place, connection);
          resolve(connection);
        },
        onLeaving: (connection, reason) => this.#onLeaving(place, connection, reason),
        onClosed: (connection, error) => {
          this.#onClosed(place, connection, error);
          resolve(undefined);
        },
      };
      const uploadMsMax = requestTimeoutMs * UPLOAD_SHARE;
      const options = { clientId, token, connectTimeoutMs, heartbeatMs, probeMs, uploadMsMax };
      place.connection = new Connection(this.#platform, place.url, options, events);
    });
  }

  #onReady(place: Place, connection: Connection): void {
    const { welcome } = connection;
    place.opening = undefined;
    place.nodeId = welcome.nodeId;
    place.lastError = undefined;
    place.retryAtMs = 0;
    place.backoff.reset();
    this.#keeperBackoff.reset();
    this.#clusterId = welcome.clusterId ?? this.#clusterId;
    this.#limits = welcome;
    this.learnNodes(welcome.nodes);
    this.#nodesAskedMs = this.#platform.clock.monotonicMs();
    const { heartbeatMs } = this.#settings;
    this.#asker ??= this.#platform.timers.every(heartbeatMs, () => void this.#askForNodes(heartbeatMs, 'aside'));
    this.#events.onConnected(connection);
  }

  /** Asks who that is, if it is nobody known. */
  async #meet(nodeId: string | undefined, operation: Operation): Promise<void> {
    if (nodeId === undefined || this.#placesOf(nodeId).length > 0) return;
    // Stopped: the caller looks at the operation.
    await operation.race(this.#askForNodes(NODES_ASKED_REST_MS, 'awaited')).catch(() => {});
  }

  /** Unless that was done less than so long ago. */
  async #askForNodes(restMs: number, urgency: 'awaited' | 'aside'): Promise<void> {
    const nowMs = this.#platform.clock.monotonicMs();
    if (!this.#settings.discover || nowMs - this.#nodesAskedMs < restMs) return;
    const connection = [...this.#places.values()].find((place) => place.connection?.isReady === true)?.connection;
    if (connection === undefined) return;
    this.#nodesAskedMs = nowMs;
    try {
      const { body } = await connection.request({ kind: 'cluster' }, urgency);
      if (body.kind === 'cluster') this.learnNodes(body.nodes);
    } catch {
      // The connection ended, and the next one begins with the nodes; or the node is too busy, and is asked again.
    }
  }

  #onLeaving(place: Place, connection: Connection, reason: string): void {
    // The node is about to stop: it is no place to come back to at once.
    place.retryAtMs = this.#platform.clock.monotonicMs() + this.#settings.backoff.minDelayMs;
    // A later attempt opens a connection of its own; this one finishes what it has.
    place.connection = undefined;
    place.opening = undefined;
    this.#leaving.add(connection);
    this.#events.onLeaving(connection, reason);
    this.#keepOne();
  }

  #onClosed(place: Place, connection: Connection, error: LogError): void {
    if (this.#leaving.delete(connection)) return;
    place.connection = undefined;
    place.opening = undefined;
    place.lastError = error;
    const waitMs = place.backoff.next(error.details.retryAfterMs);
    place.retryAtMs = Math.max(place.retryAtMs, this.#platform.clock.monotonicMs() + waitMs);
    if (connection.nodeId !== undefined) this.#events.onLost(connection, error);
    this.#keepOne();
  }

  /** Brings back one connection when the last one is gone. */
  #keepOne(): void {
    if (this.#isClosed || !this.#settings.retries || this.#limits === undefined || this.hasReady) return;
    if (this.#keeper !== undefined) return;
    this.#keeper = this.#platform.timers.after(this.#keeperBackoff.next(), () => {
      const operation = this.begin(undefined, Number.POSITIVE_INFINITY);
      this.acquire({}, operation)
        .catch(() => {
          // Closed, or refused by every node: the next operation says so to whoever asks.
        })
        .finally(() => {
          this.#keeper = undefined;
          this.end(operation);
        });
    });
  }

  #unreachable(stopped: LogError | undefined): LogError {
    if (stopped !== undefined && stopped.code !== 'TIMEOUT') return stopped;
    const errors = [...this.#places.values()].map(({ lastError }) => lastError).filter((error) => error !== undefined);
    const verdict = errors.find((error) => error.code !== 'CONNECTION');
    const cause = verdict ?? errors[0] ?? stopped;
    if (verdict !== undefined) return new LogError(verdict.code, verdict.message, { outcome: 'none', cause });
    const urls = [...this.#places.keys()].join(', ');
    const why = errors.length === 0 ? 'No answer yet.' : errors.map((error) => error.message).join(' ');
    return new LogError('CONNECTION', `No node could be reached (${urls}). ${why}`, { outcome: 'none', cause });
  }
}

/** Every node answered, and none will take us however often we ask: FORBIDDEN, UNSUPPORTED. */
function isVerdict(places: readonly Place[]): boolean {
  return places.every(({ lastError }) => lastError !== undefined && !lastError.retriable);
}

/** The address a node gives for itself, in the spelling of our own. */
function knownUrl(node: NodeInfo): string | undefined {
  if (node.url === undefined) return undefined;
  try {
    return serverUrls(node.url)[0];
  } catch {
    // A node may announce what this client cannot dial; others forward to it.
    return undefined;
  }
}
