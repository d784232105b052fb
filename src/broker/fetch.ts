/**
 * Reading: one bounded read, a reader that stays, and the tail. Committed records only, from this node's replica when
 * it has one, else asked of a node that does. Every result is stamped with level, node and applied offset.
 */
import type { Env } from '../env.ts';
import type { FeedWaiter, Partition, Unreadable } from '../partition/index.ts';
import { LogError, READ_BYTES_MAX, splitBatches, WAIT_MS_MAX } from '../protocol/index.ts';
import type { Host } from './host.ts';
import {
  decodeCall,
  encodeCall,
  type ReadAnswer,
  type ReadCall,
  type TailAnswer,
  type TailCall,
} from './peer-calls.ts';
import type { Peers } from './peers.ts';
import { NO_LEADER_RETRY_MS, type Route, type Routes } from './routes.ts';
import type {
  Reader,
  ReadRequest,
  ReadResult,
  ReadStamp,
  StartAt,
  SubscribeRequest,
  TailResult,
  TopicRef,
} from './verbs.ts';

export interface FetchParts {
  readonly nodeId: string;
  readonly env: Env;
  readonly peers: Peers;
  readonly host: Host;
  readonly routes: Routes;
}

/** Added to a remote read's own wait before the link is given up. */
const CALL_SLACK_MS = 5_000;
/** A reader on another node's replica waits this long a question, then asks again. */
const REMOTE_WAIT_MS = 10_000;

/** Where a read begins, once start positions are resolved. */
interface Window {
  readonly route: Route;
  readonly partition: Partition;
}

export class Fetch {
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
    const deadlineMs = this.#parts.env.clock.monotonicMs() + waitMs;
    const offset = await this.#resolve(window, request.start, waitMs);
    const result = await this.#readHere(window, offset, bytesMax);
    const leftMs = deadlineMs - this.#parts.env.clock.monotonicMs();
    if (result.batches.length > 0 || leftMs <= 0) return result;
    await this.#waitPast(window.partition, offset, leftMs, request.signal);
    // The topic may have been deleted meanwhile: that is an answer of its own, not an empty one.
    return this.#readHere(this.refresh(window), offset, bytesMax);
  }

  async subscribe(request: SubscribeRequest): Promise<Reader> {
    const { routes } = this.#parts;
    const route = routes.partition(request.topic, request.partition);
    if (!routes.isHosted(route.partition)) return this.#remoteReader(route, request.start);
    const window = this.#window(route);
    const offset = await this.#resolve(window, request.start, 0);
    const reader = new LocalReader(this, window, offset);
    // Refused now rather than at the first next(): a client hears TRIMMED as the answer to its SUBSCRIBE.
    this.checkRange(window, offset);
    return reader;
  }

  /** As the leader knows it; no more is promised until linearizable reads exist. */
  tail(ref: TopicRef, partition: number): Promise<TailResult> {
    return this.#tail(ref, partition, {});
  }

  async #tail(ref: TopicRef, partition: number, options: { readonly atLeast?: number }): Promise<TailResult> {
    const { nodeId, routes, peers } = this.#parts;
    const route = routes.partition(ref, partition);
    const { groupId } = route.partition;
    await routes.waitForLeader(groupId, NO_LEADER_RETRY_MS);
    const leader = routes.leader(groupId);
    if (leader === undefined) throw routes.noLeader('The partition has no leader to say where its tail is.');
    const stamp = { level: 'leader', topicId: route.topic.id, node: leader } as const;
    const call: TailCall = { groupId, ...options };
    const answer =
      leader === nodeId
        ? await this.tailHere(call)
        : decodeCall<TailAnswer>(await peers.call(leader, 'tail', encodeCall(call), { timeoutMs: CALL_SLACK_MS })).head;
    return { ...stamp, ...answer, appliedOffset: answer.tail };
  }

  /** @throws LogError NOT_LEADER unless this node leads and has applied everything committed before its term. */
  async tailHere({ groupId, atLeast = 0 }: TailCall): Promise<TailAnswer> {
    const partition = this.#parts.host.get(groupId);
    if (partition === undefined || !partition.isReadyLeader) throw new LogError('NOT_LEADER');
    // Who asks may have read further on a leader that replaced this one without its knowing.
    if (partition.tail < atLeast && !(await partition.confirmLeadership())) throw new LogError('NOT_LEADER');
    const { earliest, tail, term } = partition;
    return { earliest, tail, term };
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
    const { routes, peers } = this.#parts;
    const node = routes.replica(route.partition);
    if (node === undefined) throw routes.noLeader('No replica of this partition can be reached.');
    const { start, bytesMax, waitMs, level } = request;
    const call: ReadCall = {
      topicId: route.topic.id,
      partition: route.partition.partition,
      start,
      bytesMax,
      waitMs,
      level,
    };
    const body = await peers.call(node, 'read', encodeCall(call), { timeoutMs: waitMs + CALL_SLACK_MS });
    const { head, bytes } = decodeCall<ReadAnswer>(body);
    return { ...head, batches: bytes.length === 0 ? [] : splitBatches(bytes) };
  }

  #window(route: Route): Window {
    const { host, routes } = this.#parts;
    const { groupId } = route.partition;
    const partition = host.get(groupId);
    if (partition !== undefined) return { route, partition };
    const breakage = host.breakage(groupId);
    if (breakage === undefined) throw routes.noLeader('The partition is being opened on this node.');
    throw new LogError(
      'STORAGE_CORRUPT',
      `Partition ${route.partition.partition} of topic "${route.topic.name}" is stopped on this node: ${breakage.message}`,
      {
        details: { topic: route.topic.name, partition: route.partition.partition },
        cause: breakage,
      },
    );
  }

  /** The offset a start position means here and now. Past this replica's tail, the leader is asked whether it is past its own, too. */
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
      case 'damaged':
        throw this.#unreadable(route, `at time ${timestampMs}`, {}, outcome);
      default:
        return outcome satisfies never;
    }
  }

  async #waitForLeaderTail({ route, partition }: Window, offset: number, waitMs: number): Promise<void> {
    const { tail, earliest } = await this.#tail({ id: route.topic.id }, route.partition.partition, { atLeast: offset });
    if (offset > tail) throw this.#outOfRange(route, offset, earliest, tail);
    if (offset > partition.tail) await this.#waitPast(partition, offset - 1, waitMs, undefined);
    const appliedOffset = partition.tail;
    if (offset <= appliedOffset) return;
    const what = `This replica has applied offsets below ${appliedOffset}, not yet ${offset}.`;
    throw new LogError('NOT_YET', what, { details: { offset, appliedOffset, retryAfterMs: NO_LEADER_RETRY_MS } });
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

  async readHere(window: Window, offset: number, bytesMax: number): Promise<ReadResult> {
    return this.#readHere(window, offset, bytesMax);
  }

  async #readHere(window: Window, offset: number, bytesMax: number): Promise<ReadResult> {
    const { route, partition } = window;
    const outcome = await partition.read(offset, bytesMax);
    switch (outcome.kind) {
      case 'batches':
        return this.#result(window, offset, outcome.batches, outcome.nextOffset);
      case 'at-tail':
        return this.#result(window, offset, [], offset);
      case 'trimmed':
      case 'out-of-range':
        this.checkRange(window, offset);
        throw new LogError('NOT_YET', 'The range moved while it was read.', { details: { offset } });
      case 'closed':
        throw this.#closed();
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
    const what = `Stored bytes of topic "${name}" ${where} are damaged on this node, and no peer could supply them.`;
    const place = { ...(file === undefined ? {} : { file }), ...(position === undefined ? {} : { position }) };
    return new LogError('STORAGE_CORRUPT', what, { details: { topic: name, ...details, ...place } });
  }

  #result(
    { route, partition }: Window,
    fromOffset: number,
    batches: readonly Uint8Array[],
    nextOffset: number,
  ): ReadResult {
    const { earliest, tail } = partition;
    return { topicId: route.topic.id, batches, fromOffset, nextOffset, earliest, tail, ...this.stamp(partition) };
  }

  stamp(partition: Partition): ReadStamp {
    const { tail, term } = partition;
    return { level: 'any', node: this.#parts.nodeId, appliedOffset: tail, term };
  }

  /** Resolves when the high watermark is above `offset`, the wait is over, the caller gave up, or the partition closed. */
  #waitPast(partition: Partition, offset: number, waitMs: number, signal: AbortSignal | undefined): Promise<void> {
    if (waitMs <= 0 || signal?.aborted === true || partition.tail > offset) return Promise.resolve();
    return new Promise((resolve) => {
      let waiter: FeedWaiter | undefined;
      const done = (): void => {
        timer.cancel();
        waiter?.cancel();
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = this.#parts.env.timers.after(waitMs, done);
      signal?.addEventListener('abort', done, { once: true });
      // Last: of a closed partition it calls back at once.
      waiter = partition.watch(offset, done);
    });
  }

  async #remoteReader(route: Route, start: StartAt): Promise<Reader> {
    const request = { topic: { id: route.topic.id }, partition: route.partition.partition, level: 'any' } as const;
    const first = await this.#readThere(route, { ...request, start, bytesMax: 1, waitMs: 0 });
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

/** Reads this node's replica. */
class LocalReader implements Reader {
  readonly #fetch: Fetch;
  #window: Window;
  #position: number;
  #isClosed = false;
  #wake: (() => void) | undefined;

  constructor(fetch: Fetch, window: Window, position: number) {
    this.#fetch = fetch;
    this.#window = window;
    this.#position = position;
  }

  get topicId(): number {
    return this.#window.route.topic.id;
  }

  get position(): number {
    return this.#position;
  }

  get earliest(): number {
    return this.#window.partition.earliest;
  }

  get tail(): number {
    return this.#window.partition.tail;
  }

  stamp(): ReadStamp {
    return this.#fetch.stamp(this.#window.partition);
  }

  async next(bytesMax: number): Promise<ReadResult> {
    for (;;) {
      if (this.#isClosed) throw closedReader();
      this.#window = this.#fetch.refresh(this.#window);
      const result = await this.#fetch.readHere(this.#window, this.#position, bytesMax);
      if (result.batches.length > 0) {
        this.#position = result.nextOffset;
        return result;
      }
      await this.#advance();
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#wake?.();
  }

  #advance(): Promise<void> {
    const { partition } = this.#window;
    if (this.#isClosed || partition.tail > this.#position) return Promise.resolve();
    return new Promise((resolve) => {
      const waiter = partition.watch(this.#position, () => resolve());
      this.#wake = () => {
        waiter.cancel();
        resolve();
      };
    });
  }
}

/** Reads another node's replica, question by question. */
class RemoteReader implements Reader {
  readonly #ask: (offset: number, bytesMax: number) => Promise<ReadResult>;
  #last: ReadResult;
  #position: number;
  #isClosed = false;
  #close: (() => void) | undefined;

  constructor(ask: (offset: number, bytesMax: number) => Promise<ReadResult>, first: ReadResult) {
    this.#ask = ask;
    this.#last = first;
    this.#position = first.fromOffset;
  }

  get topicId(): number {
    return this.#last.topicId;
  }

  get position(): number {
    return this.#position;
  }

  get earliest(): number {
    return this.#last.earliest;
  }

  get tail(): number {
    return this.#last.tail;
  }

  stamp(): ReadStamp {
    const { level, node, appliedOffset, term } = this.#last;
    return { level, node, appliedOffset, term };
  }

  async next(bytesMax: number): Promise<ReadResult> {
    for (;;) {
      if (this.#isClosed) throw closedReader();
      this.#last = await this.#unlessClosed(this.#ask(this.#position, bytesMax));
      if (this.#last.batches.length > 0) {
        this.#position = this.#last.nextOffset;
        return this.#last;
      }
    }
  }

  #unlessClosed(asked: Promise<ReadResult>): Promise<ReadResult> {
    return new Promise((resolve, reject) => {
      this.#close = () => reject(closedReader());
      asked.then(resolve, reject);
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#close?.();
  }
}

function closedReader(): LogError {
  return new LogError('CLOSED', 'The reader was closed.', { outcome: 'none' });
}
