/**
 * The append verb: check, admit, find the leader, append there, answer.
 *
 * Outcomes (design decision 9). Until the batch was handed to a leader nothing was done, and every failure is 'none'.
 * After that, a lost leader or link means 'unknown'; with a producer tuple this node asks the next leader again, which
 * is safe because the tuple is judged against the log there. Without one it never sends twice.
 */
import type { Env } from '../env.ts';
import type { Metrics } from '../metrics.ts';
import { type AppendOutcome, crc32c } from '../partition/index.ts';
import {
  APPEND_TIMEOUT_MS,
  type BatchHeader,
  checkProducedBatch,
  LogError,
  type ProducerTuple,
  visitKeys,
} from '../protocol/index.ts';
import { type Admission, overloaded } from './admission.ts';
import { withDeadline } from './deadline.ts';
import type { Host } from './host.ts';
import { type AppendAnswer, type AppendCall, decodeCall, encodeCall } from './peer-calls.ts';
import type { Peers } from './peers.ts';
import type { Route, Routes } from './routes.ts';
import type { AppendRequest, AppendResult } from './verbs.ts';

export interface ProduceParts {
  readonly nodeId: string;
  readonly batchBytesMax: number;
  readonly env: Env;
  readonly metrics: Metrics;
  readonly peers: Peers;
  readonly host: Host;
  readonly routes: Routes;
  readonly admission: Admission;
}

/** One append on its way to a leader. */
interface Attempt {
  readonly route: Route;
  readonly batch: Uint8Array;
  readonly header: BatchHeader;
  readonly producer: ProducerTuple | undefined;
  readonly redirect: boolean;
  /** Monotonic. */
  readonly deadlineMs: number;
  /** Whether some leader may have the batch already: from then on a failure is 'unknown'. */
  isSent: boolean;
  /** The bytes went to a peer or into a log, whatever came of it: nobody may write to them any more. */
  isFrozen: boolean;
  /** The client was told that it is late: what was not sent by then never may be, for it may have been told so. The
   *  deadline alone does not say it, because a timer may fire before the clock has come to its time. */
  isOver: boolean;
}

/** Between two attempts when a leader is known and cannot be reached. */
const RETRY_MS = 20;
/** While no leader is known: how often to look whether the topic was deleted, which no leader will ever say. */
const TOPIC_CHECK_MS = 100;

export class Produce {
  readonly #parts: ProduceParts;

  constructor(parts: ProduceParts) {
    this.#parts = parts;
  }

  async append(request: AppendRequest): Promise<AppendResult> {
    const { routes, admission, batchBytesMax } = this.#parts;
    const { client, batch, producer, redirect } = request;
    const route = routes.partition(request.topic, request.partition);
    const header = checkProducedBatch(batch, { batchBytesMax }, crc32c);
    if (route.topic.compaction !== undefined) expectKeys(route, batch);
    const timeoutMs = Math.min(request.timeoutMs ?? APPEND_TIMEOUT_MS, APPEND_TIMEOUT_MS);
    const deadlineMs = this.#parts.env.clock.monotonicMs() + timeoutMs;
    const attempt: Attempt = {
      route,
      batch,
      header,
      producer,
      redirect,
      deadlineMs,
      isSent: false,
      isFrozen: false,
      isOver: false,
    };
    admission.admit(client, batch.length);
    try {
      const answer = await withDeadline(this.#parts.env.timers, timeoutMs, this.#appendSomewhere(attempt), () =>
        this.#late(attempt, timeoutMs),
      );
      return {
        topicId: route.topic.id,
        topic: route.topic.name,
        partition: route.partition.partition,
        recordCount: header.recordCount,
        ...answer,
      };
    } finally {
      admission.release(client, batch.length);
    }
  }

  /** An append another node forwarded: it is done here or refused, never sent on (one hop). */
  async onForwarded(body: Uint8Array): Promise<readonly Uint8Array[]> {
    const { head, bytes } = decodeCall<AppendCall>(body);
    const header = checkProducedBatch(bytes, { batchBytesMax: this.#parts.batchBytesMax }, crc32c);
    const partition = this.#parts.host.get(head.groupId);
    if (partition === undefined || partition.role !== 'leader') throw new LogError('NOT_LEADER');
    const outcome = await partition.append(bytes, header, head.producer);
    return encodeCall(answerOf(outcome, head.producer));
  }

  async #appendSomewhere(attempt: Attempt): Promise<AppendAnswer> {
    const { nodeId, routes, env } = this.#parts;
    const { groupId } = attempt.route.partition;
    for (;;) {
      this.#expectTopic(attempt);
      const leader = routes.leader(groupId);
      const wasSent = attempt.isSent;
      try {
        if (leader === nodeId) return await this.#appendHere(attempt);
        if (leader !== undefined) return await this.#appendThere(attempt, leader);
      } catch (error) {
        if (!LogError.is(error)) throw error;
        if (error.outcome === 'none') attempt.isSent = wasSent;
        const isSafe = error.outcome === 'none' || attempt.producer !== undefined;
        const isTransient = error.code === 'NOT_LEADER' || error.code === 'NO_LEADER' || error.code === 'CONNECTION';
        // What this attempt surely did not do, one before it may have done.
        if (attempt.redirect || !isTransient || !isSafe) throw wasSent ? asUnknown(error) : error;
        await new Promise<void>((resolve) => env.timers.after(RETRY_MS, resolve));
      }
      this.#expectNotStopped(attempt);
      const leftMs = attempt.deadlineMs - env.clock.monotonicMs();
      await routes.waitForLeader(groupId, Math.min(leftMs, TOPIC_CHECK_MS));
      if (attempt.isOver || attempt.deadlineMs <= env.clock.monotonicMs()) throw this.#late(attempt, 0);
    }
  }

  /** @throws LogError TOPIC_NOT_FOUND once the topic is deleted; 'unknown' if the batch may have been in its log. */
  #expectTopic({ route, isSent }: Attempt): void {
    try {
      this.#parts.routes.partition({ id: route.topic.id }, route.partition.partition);
    } catch (error) {
      throw LogError.is(error) && isSent ? asUnknown(error) : error;
    }
  }

  /** Waiting for a leader is in vain while no replica can be one. @throws LogError STORAGE_CORRUPT, which names why. */
  #expectNotStopped({ route, isSent }: Attempt): void {
    if (this.#parts.host.lostEntry(route.partition.groupId)?.unheard.length !== 0) return;
    const stoppage = this.#parts.routes.stoppage(route)!;
    throw isSent ? asUnknown(stoppage) : stoppage;
  }

  async #appendHere(attempt: Attempt): Promise<AppendAnswer> {
    const partition = this.#parts.host.get(attempt.route.partition.groupId);
    if (partition === undefined) throw new LogError('NOT_LEADER');
    // A batch that was in this log once may still be read from there, and one that a peer was asked to take, also one
    // it refused, has left in a frame: the link remembers its checksum. Offsets are patched into a copy.
    // Not slice(): what came from a socket is a Buffer, and that would be a view.
    const batch = attempt.isFrozen ? new Uint8Array(attempt.batch) : attempt.batch;
    attempt.isSent = true;
    attempt.isFrozen = true;
    const outcome = await partition.append(batch, attempt.header, attempt.producer);
    return answerOf(outcome, attempt.producer);
  }

  async #appendThere(attempt: Attempt, leader: string): Promise<AppendAnswer> {
    const { peers, routes, env } = this.#parts;
    const { groupId } = attempt.route.partition;
    if (attempt.redirect) {
      const leaderUrl = routes.clientUrl(leader);
      const details = leaderUrl === undefined ? { leader } : { leader, leaderUrl };
      throw new LogError('NOT_LEADER', `Node ${leader} leads this partition.`, { details });
    }
    const head: AppendCall = { groupId, producer: attempt.producer };
    const timeoutMs = Math.max(1, attempt.deadlineMs - env.clock.monotonicMs());
    attempt.isSent = true;
    attempt.isFrozen = true;
    const asked = peers.call(leader, 'append', encodeCall(head, [attempt.batch]), { timeoutMs });
    // Only what may be sent again is worth giving up on early.
    const answer = await (attempt.producer === undefined ? asked : routes.unlessLedByOther(groupId, leader, asked));
    return decodeCall<AppendAnswer>(answer).head;
  }

  #late(attempt: Attempt, timeoutMs: number): LogError {
    attempt.isOver = true;
    const { topic, partition } = attempt.route;
    const where = `partition ${partition.partition} of topic "${topic.name}"`;
    const details = { topic: topic.name, partition: partition.partition };
    if (!attempt.isSent)
      return this.#parts.routes.noLeader(`No leader of ${where} was found in time; nothing was appended.`);
    const what = timeoutMs === 0 ? 'in time' : `within ${timeoutMs} ms`;
    return new LogError('TIMEOUT', `A majority of ${where} did not confirm ${what}.`, { details });
  }
}

function asUnknown(error: LogError): LogError {
  if (error.outcome === 'unknown') return error;
  return new LogError(error.code, error.message, { outcome: 'unknown', details: error.details, cause: error });
}

/** Compaction keeps the latest record of each key: one without a key would be kept for ever, and nobody meant that. */
function expectKeys(route: Route, batch: Uint8Array): void {
  let keyless = 0;
  visitKeys(batch, ({ key }) => {
    if (key === undefined) keyless += 1;
  });
  if (keyless === 0) return;
  const what = `Topic "${route.topic.name}" is compacted: every record needs a key, and ${keyless} of these have none.`;
  throw new LogError('INVALID', what, { details: { topic: route.topic.name } });
}

/** A partition's outcome as an answer, or as the error it stands for. */
function answerOf(outcome: AppendOutcome, producer: ProducerTuple | undefined): AppendAnswer {
  switch (outcome.kind) {
    case 'appended': {
      const { baseOffset, appendTimeMs, term, isDuplicate } = outcome;
      return { baseOffset, appendTimeMs, term, isDuplicate };
    }
    case 'not-leader':
      throw new LogError('NOT_LEADER');
    case 'overloaded':
      throw overloaded('too many bytes of this partition wait for a majority');
    case 'full':
      throw new LogError('STORAGE_FULL');
    case 'fenced':
      throw new LogError('PRODUCER_FENCED', undefined, { details: { epoch: outcome.epoch } });
    case 'gap': {
      const { expected } = outcome;
      const received = producer?.sequence;
      throw new LogError('SEQUENCE_GAP', `Sequence ${expected} was expected, not ${received}.`, {
        details: received === undefined ? { expected } : { expected, received },
      });
    }
    case 'unknown':
      throw new LogError(
        'NOT_LEADER',
        'Leadership was lost while the append waited for a majority: it may yet be committed.',
        {
          outcome: 'unknown',
        },
      );
    default:
      return outcome satisfies never;
  }
}
