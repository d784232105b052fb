/**
 * What a replica has to know, or to ask, before it may serve a read at a level (design 5, R7, R8, L3):
 *
 *   any           nothing
 *   atLeast       it has applied the token's record, and that record is the one the token means
 *   linearizable  the leader's read index, confirmed by a round begun after the request; it has applied that index
 *   lease         the same, where the leader's lease may stand in for the round
 *
 * All waiting has an end. What cannot be reached by then is refused, never served at a lower level in silence.
 */
import type { Env } from '../env.ts';
import type { Partition } from '../partition/index.ts';
import { isReadToken, LogError, READ_LEVEL_MS, type ReadToken } from '../protocol/index.ts';
import { withDeadline } from './deadline.ts';
import type { Host } from './host.ts';
import { decodeCall, encodeCall, type ReadIndexAnswer, type ReadIndexCall } from './peer-calls.ts';
import type { Peers } from './peers.ts';
import { NO_LEADER_RETRY_MS, type Route, type Routes } from './routes.ts';
import type { ReadLevel, WantedLevel } from './verbs.ts';
import { waitApplied, waitPast } from './waits.ts';

export interface ReadLevelsParts {
  readonly nodeId: string;
  readonly env: Env;
  readonly peers: Peers;
  readonly host: Host;
  readonly routes: Routes;
  /** This node takes leases; without, level 'lease' is refused. */
  readonly hasLeases: boolean;
}

interface Place {
  readonly route: Route;
  readonly partition: Partition;
}

/** After a leader that could not answer, before the next one is asked. */
const ASK_AGAIN_MS = 20;
/** Leader epochs in record batches, which tokens are made from, keep so many bits of a term. */
const EPOCH_LIMIT = 0x8000_0000;

export class ReadLevels {
  readonly #parts: ReadLevelsParts;

  constructor(parts: ReadLevelsParts) {
    this.#parts = parts;
  }

  /** What can be told without asking anybody. @throws LogError INVALID, UNSUPPORTED, STALE_TOKEN */
  check({ topic, partition }: Route, { level, token }: WantedLevel): void {
    if ((level === 'atLeast') !== (token !== undefined)) {
      const what =
        level === 'atLeast' ? 'Level atLeast needs a token.' : `A token goes with level atLeast, not ${level}.`;
      throw new LogError('INVALID', what);
    }
    if (token !== undefined && !isReadToken(token)) throw new LogError('INVALID', 'The read token is malformed.');
    if (token !== undefined && (token.topicId !== topic.id || token.partition !== partition.partition)) {
      throw staleToken(
        `The token is of topic ${token.topicId}, partition ${token.partition}; "${topic.name}" is topic ${topic.id}, ` +
          `and its partition ${partition.partition} is read.`,
      );
    }
    if (level === 'lease' && !this.#parts.hasLeases) {
      throw new LogError(
        'UNSUPPORTED',
        'Leases are off on this node (raft.leaseReads). Level linearizable needs none.',
      );
    }
  }

  /**
   * Brings the replica to the level. Resolves with what it was really served at.
   * @param waitMs How long the caller is ready to wait; at least READ_LEVEL_MS are spent where they are needed.
   * @throws LogError NOT_YET, NO_LEADER (both retriable), or what check() throws.
   */
  async reach({ route, partition }: Place, wanted: WantedLevel, waitMs: number): Promise<ReadLevel> {
    this.check(route, wanted);
    if (wanted.level === 'any') return 'any';
    const deadlineMs = this.#nowMs() + Math.max(waitMs, READ_LEVEL_MS);
    if (wanted.token !== undefined) {
      await this.#reachToken(route, partition, wanted.token, deadlineMs);
      return 'atLeast';
    }
    const { groupId } = route.partition;
    const { index, level } = await this.#confirmedIndex(groupId, wanted.level === 'lease', deadlineMs);
    await waitApplied(this.#parts.env.timers, partition, index, deadlineMs - this.#nowMs());
    if (partition.appliedIndex < index) throw notYet(partition, undefined);
    return level;
  }

  /** The read index of the leader that is known, by a round begun now. One attempt. @throws LogError */
  async askLeader(groupId: number, waitMs: number): Promise<ReadIndexAnswer> {
    await this.#parts.routes.waitForLeader(groupId, waitMs);
    return this.#ask({ groupId, mayLease: false }, READ_LEVEL_MS);
  }

  /** As the leader. @throws LogError NOT_LEADER when it is none, or is deposed before it knows. */
  async readIndexHere({ groupId, mayLease }: ReadIndexCall): Promise<ReadIndexAnswer> {
    const partition = this.#parts.host.get(groupId);
    const outcome = await partition?.readIndex(mayLease);
    if (partition === undefined || outcome?.kind !== 'confirmed') throw new LogError('NOT_LEADER');
    const { index, term, level } = outcome;
    const { earliest, tail } = partition;
    return { index, term, level, earliest, tail };
  }

  async #ask(call: ReadIndexCall, timeoutMs: number): Promise<ReadIndexAnswer> {
    const { nodeId, env, peers, routes } = this.#parts;
    const leader = routes.leader(call.groupId);
    if (leader === undefined) throw routes.noLeader('The partition has no leader to ask for its commit index.');
    // A question to oneself ends with the term, and a leader without a majority gives its term up.
    if (leader === nodeId) return withDeadline(env.timers, timeoutMs, this.readIndexHere(call), tooLate);
    const asked = peers.call(leader, 'read-index', encodeCall(call), { timeoutMs });
    const body = await routes.unlessLedByOther(call.groupId, leader, asked);
    return decodeCall<ReadIndexAnswer>(body).head;
  }

  /** Asks again while leaders come and go. */
  async #confirmedIndex(groupId: number, mayLease: boolean, deadlineMs: number): Promise<ReadIndexAnswer> {
    const { env, routes } = this.#parts;
    for (;;) {
      const leftMs = deadlineMs - this.#nowMs();
      try {
        await routes.waitForLeader(groupId, leftMs);
        return await this.#ask({ groupId, mayLease }, Math.max(1, deadlineMs - this.#nowMs()));
      } catch (error) {
        if (!LogError.is(error) || !error.retriable) throw error;
        if (deadlineMs - this.#nowMs() <= ASK_AGAIN_MS) {
          const what = `No leader could confirm by a majority that it leads (${error.message})`;
          throw routes.noLeader(what);
        }
      }
      await new Promise<void>((resolve) => env.timers.after(ASK_AGAIN_MS, resolve));
    }
  }

  async #reachToken(route: Route, partition: Partition, token: ReadToken, deadlineMs: number): Promise<void> {
    const { offset } = token;
    if (partition.tail <= offset && (await this.#isImpossible(route, partition, token, deadlineMs))) {
      throw staleToken(`Offset ${offset} of term ${token.term} was never committed in topic "${route.topic.name}".`);
    }
    if (partition.tail <= offset) throw notYet(partition, offset);
    const outcome = await partition.termOf(offset);
    // Trimmed: there is nothing left to compare with, and nothing of it left to read. Closed or damaged: the read that
    // follows says so, by name.
    if (outcome.kind !== 'term' || outcome.term % EPOCH_LIMIT === token.term % EPOCH_LIMIT) return;
    throw staleToken(
      `Offset ${offset} of topic "${route.topic.name}" was appended in term ${outcome.term}, not ${token.term}: ` +
        'the token is of another history.',
    );
  }

  /**
   * Waits for the token's record; true as soon as it is certain that there is none. What was acknowledged before the
   * question is below the tail of a leader confirmed after it; a record that is not was never acknowledged here.
   */
  async #isImpossible(route: Route, partition: Partition, token: ReadToken, deadlineMs: number): Promise<boolean> {
    const { timers } = this.#parts.env;
    const isDone = new AbortController();
    const leftMs = deadlineMs - this.#nowMs();
    const waited = waitPast(timers, partition, token.offset, leftMs, isDone.signal).then(() => false);
    const judged = this.#ask({ groupId: route.partition.groupId, mayLease: false }, leftMs).then(
      ({ tail, term }) => tail <= token.offset || term % EPOCH_LIMIT < token.term % EPOCH_LIMIT,
      // Nobody could say: the record may come.
      () => false,
    );
    try {
      return await Promise.race([waited, judged.then((isCertain) => isCertain || waited)]);
    } finally {
      isDone.abort();
    }
  }

  #nowMs(): number {
    return this.#parts.env.clock.monotonicMs();
  }
}

/** @param offset The one that is waited for, when it is known. */
export function notYet(partition: Partition, offset: number | undefined): LogError {
  const appliedOffset = partition.tail;
  const missing = offset === undefined ? 'not yet everything that is committed' : `not yet ${offset}`;
  const details = { ...(offset === undefined ? {} : { offset }), appliedOffset, retryAfterMs: NO_LEADER_RETRY_MS };
  return new LogError('NOT_YET', `This replica has applied offsets below ${appliedOffset}, ${missing}.`, { details });
}

function staleToken(what: string): LogError {
  return new LogError('STALE_TOKEN', what);
}

function tooLate(): LogError {
  return new LogError('TIMEOUT', 'No majority answered in time.', { outcome: 'none' });
}
