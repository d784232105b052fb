/**
 * One node of a test cluster: the Raft core, a disk in memory, and the drive loop in the order a partition keeps it.
 * It sends to a wire and tells an oracle what it did; it decides nothing by itself.
 */
import {
  checkInvariants,
  describeMembership,
  describeMessage,
  describeReady,
  type EntryId,
  type LogIndex,
  type Membership,
  type MembershipTarget,
  type Message,
  type NodeId,
  type OwnEntry,
  type ProposeMembershipResult,
  type ProposeResult,
  Raft,
  type RaftOptions,
  type Ready,
  type SendRequest,
} from '../../../src/raft/index.ts';
import type { Oracle } from './oracle.ts';
import { SimDisk, type StoredEntry } from './sim-disk.ts';

/** A message on the wire, with the bytes that travel beside it. */
export interface Parcel {
  readonly message: Message;
  readonly bodies: readonly StoredEntry[];
}

export interface NodeWorld {
  readonly oracle: Oracle;
  /** False: the transport refuses. */
  send(parcel: Parcel): boolean;
  /** Each Ready, as text. */
  trace(node: NodeId, text: string): void;
}

type PendingRead = { readonly peer: NodeId; readonly request: SendRequest | undefined };

export class SimNode {
  readonly id: NodeId;
  readonly disk: SimDisk;
  readonly #options: RaftOptions;
  readonly #world: NodeWorld;
  #raft: Raft | undefined;
  /** The log as accepted, flushed or not; starts after #base. */
  #base: EntryId = { term: 0, index: 0 };
  #log: StoredEntry[] = [];
  /** As of #base. */
  #baseMembership: Membership;
  /** What `membership` last found; undefined: to be looked for again. Entries without one change nothing about it. */
  #found: Membership | undefined;
  /** Bodies of entries the core may accept next, by index@term. */
  readonly #bodies = new Map<string, StoredEntry>();
  /** Requests to read entries, or the state, for a peer; served by serveReads(). */
  readonly #reads: PendingRead[] = [];

  constructor(options: RaftOptions, world: NodeWorld) {
    this.id = options.id;
    this.#options = options;
    this.disk = new SimDisk(options.membership);
    this.#baseMembership = options.membership;
    this.#world = world;
  }

  get isUp(): boolean {
    return this.#raft !== undefined;
  }

  get raft(): Raft {
    if (this.#raft === undefined) throw new Error(`${this.id} is down`);
    return this.#raft;
  }

  get log(): readonly StoredEntry[] {
    return this.#log;
  }

  get base(): EntryId {
    return this.#base;
  }

  /** In force, read from the log alone: of its last entry that has one, committed or not (R12). */
  get membership(): Membership {
    this.#found ??= this.#log.findLast((entry) => entry.membership !== undefined)?.membership ?? this.#baseMembership;
    return this.#found;
  }

  get pendingReads(): number {
    return this.#reads.length;
  }

  start(): void {
    const start = this.disk.recover();
    this.#raft = new Raft({ ...this.#options, membership: this.disk.membershipAt(start.commit) }, start);
    this.#baseMembership = this.disk.baseMembership;
    this.#base = this.disk.base;
    this.#log = [...this.disk.entries];
    this.#found = undefined;
    this.drive();
  }

  /** Of what was written and not flushed, the first `hardStates` and `writes` survive. */
  crash(hardStates = 0, writes = 0): void {
    this.#raft = undefined;
    this.#bodies.clear();
    this.#reads.length = 0;
    this.disk.crash(hardStates, writes);
  }

  /** Runs one event on the core and does what it asks for. */
  turn<T>(event: (raft: Raft) => T): T {
    const result = event(this.raft);
    this.drive();
    return result;
  }

  tick(): void {
    this.turn((raft) => raft.tick());
  }

  deliver({ message, bodies }: Parcel): void {
    for (const body of bodies) this.#bodies.set(keyOf(body), body);
    // As a partition does: what an entry is comes from its bytes, not from the header beside them.
    this.turn((raft) => raft.step(message.kind === 'append' ? { ...message, entries: bodies } : message));
  }

  propose(payloads: readonly string[], bytes = 100): ProposeResult {
    const result = this.raft.propose(payloads.map(() => bytes));
    if (result.kind === 'accepted') {
      const { term, first } = result;
      payloads.forEach((payload, i) => {
        const body = { term, index: first + i, bytes, payload };
        this.#bodies.set(keyOf(body), body);
      });
    }
    this.drive();
    return result;
  }

  proposeMembership(target: MembershipTarget): ProposeMembershipResult {
    const bytes = 100;
    const result = this.raft.proposeMembership(target, bytes);
    if (result.kind === 'accepted') {
      const { term, index, membership } = result;
      const payload = `members ${describeMembership(membership)}`;
      this.#bodies.set(keyOf({ term, index }), { term, index, bytes, payload, membership });
    }
    this.drive();
    return result;
  }

  flushHardStates(): void {
    for (const whenDurable of this.disk.flushHardStates()) whenDurable();
    this.drive();
  }

  /** Makes the first `count` log writes durable; all by default. */
  flushWrites(count: number = this.disk.pendingWrites): void {
    if (count === 0) return;
    const { whenDurable, installed } = this.disk.flushWrites(count, this.raft.commit);
    for (const call of whenDurable) call();
    if (installed !== undefined) {
      this.#base = installed;
      this.#baseMembership = this.disk.baseMembership;
      this.#log = [];
      this.#found = undefined;
      this.turn((raft) => raft.installed(installed));
    }
    const flushed = this.disk.flushedEntry();
    if (flushed !== undefined) this.turn((raft) => raft.persisted({ term: flushed.term, index: flushed.index }));
    this.drive();
  }

  flush(): void {
    this.flushHardStates();
    this.flushWrites();
  }

  /** Forgets the entries up to `index`, which must be durable and committed. */
  trim(index: LogIndex): void {
    const last = this.#log[index - this.#base.index - 1];
    if (last === undefined || index > this.raft.commit || index > this.raft.flushed.index) return;
    const base = { term: last.term, index };
    this.#log.splice(0, index - this.#base.index);
    this.#base = base;
    this.disk.trimTo(base);
    this.#baseMembership = this.disk.baseMembership;
    this.#found = undefined;
    this.turn((raft) => raft.logStartMoved(base));
  }

  /** Serves the oldest pending read. */
  serveRead(): void {
    const read = this.#reads.shift();
    if (read === undefined) return;
    const isSent = read.request === undefined ? this.#sendSnapshot(read.peer) : this.#sendEntries(read.request);
    if (!isSent) this.raft.sendFailed(read.peer);
    this.drive();
  }

  drive(): void {
    for (let ready = this.raft.ready(); ready !== undefined; ready = this.raft.ready()) this.#act(ready);
    checkInvariants(this.raft);
    this.#checkMembership();
  }

  #checkMembership(): void {
    if (this.raft.membership === this.membership) return;
    const [inForce, inLog] = [this.raft.membership, this.membership].map(describeMembership);
    if (inForce !== inLog) throw new Error(`${this.id} goes by the members ${inForce}, its log says ${inLog}`);
  }

  #act(ready: Ready): void {
    this.#world.trace(this.id, describeReady(ready));
    const { hardState, truncateFrom, append, install, commit } = ready;
    if (hardState !== undefined) {
      this.disk.saveHardState(hardState, () => this.#raft?.hardStatePersisted(hardState));
    }
    if (truncateFrom !== undefined) {
      this.#log.length = truncateFrom - this.#base.index - 1;
      this.#found = undefined;
      this.disk.write({ kind: 'truncate', from: truncateFrom });
    }
    if (append !== undefined) this.#append(append.first, append.last, ready.own);
    if (install !== undefined) {
      this.disk.write({ kind: 'install', snapshot: install.snapshot, membership: install.membership });
    }
    for (const message of ready.messages) this.#world.send({ message, bodies: [] });
    for (const message of ready.messagesAfterHardState) {
      this.disk.afterHardState(() => this.#world.send({ message, bodies: [] }));
    }
    for (const request of ready.sends) this.#reads.push({ peer: request.peer, request });
    for (const peer of ready.snapshotsTo) this.#reads.push({ peer, request: undefined });
    if (ready.status?.role === 'leader') this.#world.oracle.leads(this, ready.status.term);
    if (commit !== undefined) this.#world.oracle.commits(this, commit);
  }

  #append(first: EntryId, last: EntryId, own: readonly OwnEntry[]): void {
    const entries: StoredEntry[] = [];
    for (let index = first.index; index <= last.index; index += 1) {
      const entry = this.#bodyOf(index, own);
      const previous = this.#log.at(-1) ?? this.#base;
      if (entry.index !== previous.index + 1) throw new Error(`${this.id}: ${index} follows ${previous.index}`);
      this.#world.oracle.appends(this.id, entry, previous);
      this.#log.push(entry);
      if (entry.membership !== undefined) this.#found = undefined;
      entries.push(entry);
    }
    this.#bodies.clear();
    this.disk.write({ kind: 'append', entries });
  }

  #bodyOf(index: LogIndex, own: readonly OwnEntry[]): StoredEntry {
    const term = this.raft.inspect().log.termAt(index)!;
    const made = own.find((entry) => entry.index === index);
    if (made !== undefined) {
      const { membership } = made;
      const what = membership === undefined ? 'no-op' : `members ${describeMembership(membership)}`;
      return { term, index, bytes: this.#options.noopBytes, payload: `${what} of term ${term}`, membership };
    }
    const body = this.#bodies.get(keyOf({ term, index }));
    if (body === undefined) throw new Error(`${this.id}: no body came for entry ${index} of term ${term}`);
    return body;
  }

  #sendEntries({ peer, from, bytesMax }: SendRequest): boolean {
    const start = from - this.#base.index - 1;
    if (start < 0) return false;
    const bodies: StoredEntry[] = [];
    let bytes = 0;
    for (let i = start; i < this.#log.length; i += 1) {
      const entry = this.#log[i]!;
      if (bodies.length > 0 && bytes + entry.bytes > bytesMax) break;
      bodies.push(entry);
      bytes += entry.bytes;
    }
    const last = bodies.at(-1);
    // The log may have been cut since the request was made.
    if (last === undefined || this.raft.role !== 'leader') return false;
    const message = this.raft.appendFor(peer, from, last.index);
    if (message === undefined || !this.#world.send({ message, bodies })) return false;
    this.#world.trace(this.id, `send ${describeMessage(message)}`);
    this.raft.sent(peer, last.index, bytes);
    return true;
  }

  #sendSnapshot(peer: NodeId): boolean {
    const message = this.raft.snapshotFor(peer, this.#base, this.#baseMembership);
    if (message === undefined || !this.#world.send({ message, bodies: [] })) return false;
    this.#world.trace(this.id, `send ${describeMessage(message)}`);
    this.raft.snapshotSent(peer);
    return true;
  }
}

function keyOf({ term, index }: EntryId): string {
  return `${index}@${term}`;
}
