/**
 * One core under a magnifying glass: messages are written by the test, and everything the core asks for is collected.
 * The disk is the test's too: nothing is durable until flush() or saved() says so.
 */
import {
  checkInvariants,
  type EntryId,
  type EntryMeta,
  type HardState,
  type LogIndex,
  type Message,
  Raft,
  type RaftOptions,
  type Ready,
  type SendRequest,
  type Term,
} from '../../../src/raft/index.ts';
import { optionsFor } from './cluster.ts';

export interface SoloOptions {
  /** Durable entries of these terms, from index 1 on. */
  readonly terms?: readonly Term[];
  readonly hardState?: HardState;
  readonly commit?: LogIndex;
  readonly ids?: readonly string[];
  readonly raft?: Partial<RaftOptions>;
}

/** A message body; sender n2 and receiver n1 unless told otherwise. */
export type Body = Message extends infer M
  ? M extends Message
    ? Omit<M, 'from' | 'to'> & { readonly from?: string; readonly to?: string }
    : never
  : never;

export class Solo {
  readonly raft: Raft;
  /** Everything asked for since the last take(). */
  #readies: Ready[] = [];
  /** Open ones, by peer. */
  readonly #requests = new Map<string, SendRequest>();
  #unsaved: HardState | undefined;
  #unflushed: EntryId | undefined;

  constructor({ terms = [], hardState, commit = 0, ids = ['n1', 'n2', 'n3'], raft = {} }: SoloOptions = {}) {
    const last = terms.at(-1) ?? 0;
    this.raft = new Raft(optionsFor('n1', ids, raft), {
      hardState: hardState ?? { term: last, votedFor: undefined },
      base: { term: 0, index: 0 },
      termRuns: terms.map((term, i) => ({ term, lastIndex: i + 1 })).filter(({ term }, i) => terms[i + 1] !== term),
      commit,
      memberships: [],
    });
    this.#drain();
  }

  do<T>(event: (raft: Raft) => T): T {
    const result = event(this.raft);
    this.#drain();
    return result;
  }

  step(body: Body): this {
    this.do((raft) => raft.step({ from: 'n2', to: 'n1', ...body } as Message));
    return this;
  }

  tick(count = 1): this {
    for (let i = 0; i < count; i += 1) this.do((raft) => raft.tick());
    return this;
  }

  /** The hard state last asked for is durable. */
  saved(): this {
    const state = this.#unsaved;
    this.#unsaved = undefined;
    if (state !== undefined) this.do((raft) => raft.hardStatePersisted(state));
    return this;
  }

  /** Hard state and entries are durable. */
  flush(): this {
    this.saved();
    const at = this.#unflushed;
    this.#unflushed = undefined;
    if (at !== undefined) this.do((raft) => raft.persisted(at));
    return this;
  }

  /** Through an election, with the vote of n2, to leader in the next term. Its no-op is durable. */
  lead(): this {
    this.do((raft) => raft.campaign());
    this.step({ kind: 'pre-vote-reply', term: this.raft.term + 1, granted: true }).saved();
    this.step({ kind: 'vote-reply', term: this.raft.term, granted: true }).flush();
    this.take();
    return this;
  }

  /** Answers the open SendRequest for `peer` with all entries up to the end, as a partition would. */
  serve(peer: string): Message | undefined {
    for (let request = this.#requests.get(peer); request !== undefined; request = this.#requests.get(peer)) {
      this.#requests.delete(peer);
      const { from } = request;
      const last = this.raft.lastIndex;
      const message = this.raft.appendFor(peer, from, last);
      if (message !== undefined) {
        this.do((raft) => raft.sent(peer, last, 100 * (last - from + 1)));
        return message;
      }
      this.do((raft) => raft.sendFailed(peer));
    }
    return undefined;
  }

  /** What was asked for since the last take(). */
  take(): Ready[] {
    const taken = this.#readies;
    this.#readies = [];
    return taken;
  }

  /** Messages of the last take, of one kind, that may leave at once. */
  sent<K extends Message['kind']>(kind: K): Extract<Message, { kind: K }>[] {
    return pick(
      this.#readies.flatMap((ready) => ready.messages),
      kind,
    );
  }

  /** The same, of those that wait for the hard state. */
  waiting<K extends Message['kind']>(kind: K): Extract<Message, { kind: K }>[] {
    return pick(
      this.#readies.flatMap((ready) => ready.messagesAfterHardState),
      kind,
    );
  }

  get truncations(): LogIndex[] {
    return this.#readies.flatMap((ready) => ready.truncateFrom ?? []);
  }

  get log(): Term[] {
    const terms: Term[] = [];
    const { log } = this.raft.inspect();
    for (let index = log.base.index + 1; index <= log.lastIndex; index += 1) terms.push(log.termAt(index)!);
    return terms;
  }

  #drain(): void {
    for (let ready = this.raft.ready(); ready !== undefined; ready = this.raft.ready()) {
      this.#readies.push(ready);
      for (const request of ready.sends) this.#requests.set(request.peer, request);
      this.#unsaved = ready.hardState ?? this.#unsaved;
      this.#unflushed = ready.append?.last ?? this.#unflushed;
    }
    checkInvariants(this.raft);
  }
}

function pick<K extends Message['kind']>(messages: readonly Message[], kind: K): Extract<Message, { kind: K }>[] {
  return messages.filter((message): message is Extract<Message, { kind: K }> => message.kind === kind);
}

/** entries(4, [2, 2, 3]) are 4@2, 5@2 and 6@3. */
export function entries(first: LogIndex, terms: readonly Term[]): EntryMeta[] {
  return terms.map((term, i) => ({ term, index: first + i, bytes: 100 }));
}

export function at(index: LogIndex, term: Term): EntryId {
  return { index, term };
}
