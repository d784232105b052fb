/**
 * Reading: one bounded read, a reader that stays, and the tail. Committed records only, from this node's replica when
 * it has one, else asked of a node that does. What a level takes is in read-levels.ts. Every result is stamped with
 * level, node and applied offset.
 */
import type { Env } from '../env.ts';
import type { Partition, Unreadable } from '../partition/index.ts';
import { LogError, READ_BYTES_MAX, READ_LEVEL_MS, splitBatches, WAIT_MS_MAX } from '../protocol/index.ts';
import { overloaded } from './admission.ts';
import { describeLost } from './damage-report.ts';
import type { Host } from './host.ts';
import { decodeCall, encodeCall, type ReadAnswer, type ReadCall, type ReadIndexCall } from './peer-calls.ts';
import type { Peers } from './peers.ts';
import { notYet, type ReadLevels } from './read-levels.ts';
import { LocalReader, RemoteReader, type Window, type WindowReads } from './readers.ts';
import { NO_LEADER_RETRY_MS, type Route, type Routes } from './routes.ts';
import type {
  Reader,
  ReadLevel,
  ReadRequest,
  ReadResult,
  ReadStamp,
  StartAt,
  SubscribeRequest,
  TailResult,
  TopicRef,
  WantedLevel,
} from './verbs.ts';
import { waitPast } from './waits.ts';

export interface FetchParts {
  readonly nodeId: string;
  readonly env: Env;
  readonly peers: Peers;
  readonly host: Host;
  readonly routes: Routes;
  readonly levels: ReadLevels;
}

/** Added to a remote read's own wait before the link is given up. */
const CALL_SLACK_MS = 5_000;
/** A reader on another node's replica waits this long a question, then asks again. */
const REMOTE_WAIT_MS = 10_000;

export class Fetch implements WindowReads {
  readonly #parts: FetchParts;

  constructor(parts: FetchParts) {
    this.#parts = parts;
  }

  async read(request: ReadRequest): Promise<ReadResult> {
    const route = this.#parts.routes.partition(request.topic, request.partition);
    const waitMs = Math.min(Math.max(0, request.waitMs), WAIT_MS_MAX);
    const bytesMax = Math.min(request.bytesMax, READ_BYTES_MAX);
    if (!this.#parts.routes.isHosted(route.partition)) return this.#readThere(route, { ...request, waitMs, bytesMax });
    const window = this.#window(route);
    const { clock, timers } = this.#parts.env;
    const deadlineMs = clock.monotonicMs() + waitMs;
    const level = await this.#parts.levels.reach(window, request, waitMs);
    const offset = await this.#resolve(window, request.start, waitMs);
    const result = await this.readHere(window, offset, bytesMax, level);
    const leftMs = deadlineMs - clock.monotonicMs();
    if (result.batches.length > 0 || leftMs <= 0) return result;
    // Behind a hole that reaches to this replica's tail there is nothing yet either.
    await waitPast(timers, window.partition, result.nextOffset, leftMs, request.signal);
    // The topic may have been deleted meanwhile: that is an answer of its own, not an empty one.
    const later = this.refresh(window);
    // Opened anew, a replica may know of less than the one that had reached the level.
    const laterLevel = later.partition === window.partition ? level : await this.#parts.levels.reach(later, request, 0);
    return this.readHere(later, offset, bytesMax, laterLevel);
  }

  async subscribe(request: SubscribeRequest): Promise<Reader> {
    const { routes } = this.#parts;
    const route = routes.partition(request.topic, request.partition);
    if (!routes.isHosted(route.partition)) return this.#remoteReader(route, request);
    const window = this.#window(route);
    const level = await this.#parts.levels.reach(window, request, 0);
    const offset = await this.#resolve(window, request.start, 0);
    const reader = new LocalReader(this, window, offset, level);
    // Refused now rather than at the first next(): a client hears TRIMMED as the answer to its SUBSCRIBE.
    this.checkRange(window, offset);
    return reader;
  }

  async tail(ref: TopicRef, partition: number, wanted: WantedLevel = { level: 'linearizable' }): Promise<TailResult> {
    const { routes, levels } = this.#parts;
    const route = routes.partition(ref, partition);
    const topicId = route.topic.id;
    if (routes.isHosted(route.partition)) {
      const window = this.#window(route);
      const level = await levels.reach(window, wanted, 0);
      const { earliest, tail } = window.partition;
      return { topicId, earliest, tail, ...this.stamp(window.partition, level) };
    }
    const where = { topic: { id: topicId }, partition, start: { kind: 'latest' } } as const;
    const found = await this.#readThere(route, { ...where, ...wanted, bytesMax: 1, waitMs: 0 });
    const { earliest, tail, level, node, appliedOffset, term } = found;
    return { topicId, earliest, tail, level, node, appliedOffset, term };
  }

  /** A follower asks for the index that a linearizable read needs. */
  async onReadIndex(body: Uint8Array): Promise<readonly Uint8Array[]> {
    return encodeCall(await this.#parts.levels.readIndexHere(decodeCall<ReadIndexCall>(body).head));
  }

  /** A read that a node without a replica asked for. */
  async onForwarded(body: Uint8Array): Promise<readonly Uint8Array[]> {
    const { head } = decodeCall<ReadCall>(body);
    const { topicId, ...rest } = head;
    const { routes } = this.#parts;
    const route = routes.partition({ id: topicId }, head.partition);
    if (!routes.isHosted(route.partition)) throw routes.noLeader('The node asked has no replica of this partition.');
    const { batches, ...answer } = await this.read({ ...rest, topic: { id: topicId } });
    return encodeCall(answer satisfies ReadAnswer, batches);
  }

  async #readThere(route: Route, request: ReadRequest): Promise<ReadResult> {
    const { routes, peers, levels } = this.#parts;
    const node = routes.replica(route.partition);
    if (node === undefined) throw routes.noLeader('No replica of this partition can be reached.');
    const { start, bytesMax, waitMs, level, token } = request;
    // Refused here already: what is wrong with it is wrong everywhere.
    levels.check(route, request);
    const { partition } = route.partition;
    const call: ReadCall = { topicId: route.topic.id, partition, start, bytesMax, waitMs, level, token };
    const timeoutMs = waitMs + READ_LEVEL_MS + CALL_SLACK_MS;
    const body = await peers.call(node, 'read', encodeCall(call), { timeoutMs });
    const { head, bytes } = decodeCall<ReadAnswer>(body);
    return { ...head, batches: bytes.length === 0 ? [] : splitBatches(bytes) };
  }

  #window(route: Route): Window {
    const { host, routes } = this.#parts;
    const { groupId } = route.partition;
    const partition = host.get(groupId);
    if (partition !== undefined) return { route, partition };
    const stoppage = routes.stoppage(route);
    if (stoppage !== undefined) throw stoppage;
    const lost = host.lostEntry(groupId);
    const why = lost === undefined ? '' : `: ${describeLost(lost)}`;
    throw routes.noLeader(`The partition is being opened on this node${why}.`);
  }

  /**
   * The offset a start position means here and now. Past this replica's tail, the leader is asked whether it is past
   * its own, too.
   */
  async #resolve(window: Window, start: StartAt, waitMs: number): Promise<number> {
    const { partition } = window;
    const { earliest, tail } = partition;
    switch (start.kind) {
      case 'earliest':
        return earliest;
      case 'latest':
        return tail;
      case 'last':
        return Math.max(earliest, tail - start.count);
      case 'timestamp':
        return this.#offsetOfTime(window, start.timestampMs);
      case 'offset':
        if (start.offset > tail) await this.#waitForLeaderTail(window, start.offset, waitMs);
        return start.offset;
      default:
        return start satisfies never;
    }
  }

  async #offsetOfTime({ route, partition }: Window, timestampMs: number): Promise<number> {
    const outcome = await partition.offsetOfTime(timestampMs);
    switch (outcome.kind) {
      case 'offset':
        return outcome.offset;
      case 'closed':
        throw this.#closed();
      case 'busy':
      case 'damaged':
        throw this.#unreadable(route, `at time ${timestampMs}`, {}, outcome);
      default:
        return outcome satisfies never;
    }
  }

  async #waitForLeaderTail({ route, partition }: Window, offset: number, waitMs: number): Promise<void> {
    // From a leader that shows it leads: who asks may have read further on one that replaced this one's without its
    // knowing (R7).
    const { tail, earliest } = await this.#parts.levels.askLeader(route.partition.groupId, NO_LEADER_RETRY_MS);
    if (offset > tail) throw this.#outOfRange(route, offset, earliest, tail);
    if (offset > partition.tail) await waitPast(this.#parts.env.timers, partition, offset - 1, waitMs, undefined);
    if (offset > partition.tail) throw notYet(partition, offset);
  }

  /** @throws LogError TRIMMED or OUT_OF_RANGE, with earliest and tail. */
  checkRange({ route, partition }: Window, offset: number): void {
    const { earliest, tail } = partition;
    if (offset > tail) throw this.#outOfRange(route, offset, earliest, tail);
    if (offset >= earliest) return;
    const details = { topic: route.topic.name, partition: route.partition.partition, offset, earliest, tail };
    throw new LogError(
      'TRIMMED',
      `Offset ${offset} of topic "${route.topic.name}" was trimmed; earliest is ${earliest}.`,
      { details },
    );
  }

  #outOfRange(route: Route, offset: number, earliest: number, tail: number): LogError {
    const details = { topic: route.topic.name, partition: route.partition.partition, offset, earliest, tail };
    return new LogError(
      'OUT_OF_RANGE',
      `Offset ${offset} is past the tail of topic "${route.topic.name}", which is ${tail}.`,
      { details },
    );
  }

  async readHere(window: Window, offset: number, bytesMax: number, level: ReadLevel): Promise<ReadResult> {
    const { route, partition } = window;
    const outcome = await partition.read(offset, bytesMax);
    switch (outcome.kind) {
      case 'batches':
        return this.#result(window, level, offset, outcome);
      case 'at-tail':
        return this.#result(window, level, offset, { batches: [], nextOffset: offset, isCompacted: false });
      case 'out-of-range':
        // It was in range when the reader began: a replica whose log was begun anew meanwhile is on its way back there.
        throw notYet(partition, offset);
      case 'trimmed':
        this.checkRange(window, offset);
        throw new LogError('NOT_YET', 'The range moved while it was read.', { details: { offset } });
      case 'closed':
        throw this.#closed();
      case 'busy':
      case 'damaged':
        throw this.#unreadable(route, `at offset ${offset}`, { offset }, outcome);
      default:
        return outcome satisfies never;
    }
  }

  /** The node is stopping, or the topic is on its way out: the next question is answered by whoever is there then. */
  #closed(): LogError {
    return this.#parts.routes.noLeader('The partition was closed on this node while it was read.');
  }

  #unreadable(route: Route, where: string, details: { readonly offset?: number }, unreadable: Unreadable): LogError {
    const { file, position } = unreadable;
    const { name } = route.topic;
    if (unreadable.kind === 'busy') return overloaded(`too many files are open on this node to read from ${file}`);
    const what = `Stored bytes of topic "${name}" ${where} are damaged on this node, and no peer could supply them.`;
    const place = { ...(file === undefined ? {} : { file }), ...(position === undefined ? {} : { position }) };
    return new LogError('STORAGE_CORRUPT', what, { details: { topic: name, ...details, ...place } });
  }

  #result(
    { route, partition }: Window,
    level: ReadLevel,
    fromOffset: number,
    found: { readonly batches: readonly Uint8Array[]; readonly nextOffset: number; readonly isCompacted: boolean },
  ): ReadResult {
    const { earliest, tail } = partition;
    const { batches, nextOffset, isCompacted: compacted } = found;
    const range = { batches, fromOffset, nextOffset, compacted, earliest, tail };
    return { topicId: route.topic.id, ...range, ...this.stamp(partition, level) };
  }

  stamp(partition: Partition, level: ReadLevel): ReadStamp {
    const { tail, term } = partition;
    return { level, node: this.#parts.nodeId, appliedOffset: tail, term };
  }

  async #remoteReader(route: Route, { start, level, token }: SubscribeRequest): Promise<Reader> {
    const request = { topic: { id: route.topic.id }, partition: route.partition.partition, level: 'any' } as const;
    const first = await this.#readThere(route, { ...request, start, bytesMax: 1, waitMs: 0, level, token });
    const ask = (offset: number, bytesMax: number): Promise<ReadResult> =>
      this.#readThere(this.#parts.routes.partition(request.topic, request.partition), {
        ...request,
        start: { kind: 'offset', offset },
        bytesMax,
        waitMs: REMOTE_WAIT_MS,
      });
    return new RemoteReader(ask, first);
  }

  /** The partition as it is now: opened again after trouble, or gone with its topic. */
  refresh({ route }: Window): Window {
    return this.#window(this.#parts.routes.partition({ id: route.topic.id }, route.partition.partition));
  }
}
