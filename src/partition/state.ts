/**
 * The replicated state of a partition beside its records: what applying the log in order makes, the same on every
 * replica, and what a snapshot holds.
 *
 *   snapshot state   u8 version (2)   u53 log start offset   u53 compacted by all
 *                    text membership (JSON, empty: as the catalog has it)
 *                    producer table (producer-table.ts)   blob machine state
 *
 * Version 1 has no "compacted by all", which is 0 then.
 *
 * The machine is what the catalog adds to its own partition; topic partitions have none.
 */
import assert from 'node:assert';
import type { EntryHeader, LogIndex, Offset } from '../../storage/index.ts';
import type { Membership } from '../raft/index.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import { decodeControl, decodeMembershipEntry } from './control.ts';
import { parseMembershipText } from './membership.ts';
import type { Pieces } from './pieces.ts';
import type { ProducerRows } from './producer-rows.ts';
import { ProducerTable } from './producer-table.ts';

/** A deterministic state machine fed with the control entries the partition itself does not know. */
export interface StateMachine {
  /** `command` is the entry's JSON value, as proposed. Must not throw: what it cannot accept it ignores, by rule.
   *  What it returns is told to whoever proposed the command. */
  apply(command: unknown, header: EntryHeader): unknown;
  encode(): Uint8Array;
  /** Replaces the state. */
  restore(bytes: Uint8Array): void;
}

const STATE_VERSION = 2;
const NO_BYTES = new Uint8Array(0);
const BLOB_LENGTH_BYTES = 4;

/** A state as it was at one moment. */
export interface FrozenState {
  /** The same bytes on every replica, in however many pieces. */
  encode(): Pieces<Uint8Array>;
}

interface StateHead {
  readonly logStart: Offset;
  readonly compactedByAll: Offset;
  readonly membership: Membership | undefined;
}

export interface DecodedState extends StateHead {
  readonly producers: ProducerRows;
  readonly machine: Uint8Array;
}

export class PartitionState {
  readonly producers: ProducerTable = new ProducerTable();
  readonly #machine: StateMachine | undefined;
  /** First offset still readable, inclusive. Never goes back. */
  #logStart: Offset;
  /** First offset not yet committed, exclusive end of what may be read. Invariant: logStart <= highWatermark. */
  #highWatermark: Offset;
  /** Every replica has compacted its log below it. Never goes back. */
  #compactedByAll: Offset = 0;
  #appliedIndex: LogIndex = 0;
  #membership: Membership | undefined;
  /** Markers of rejoining replicas, by node, as applied since this replica was opened. No part of what replicas agree
   *  on: a replica asks again when its own is not among them. At most one for each member. */
  readonly #rejoins = new Map<string, string>();

  /** The state before the first entry of a log that begins with `firstOffset`; restore() replaces it. */
  constructor(machine: StateMachine | undefined, firstOffset: Offset = 0) {
    this.#logStart = firstOffset;
    this.#highWatermark = firstOffset;
    this.#machine = machine;
  }

  get logStart(): Offset {
    return this.#logStart;
  }

  get highWatermark(): Offset {
    return this.#highWatermark;
  }

  /**
   * Tombstones below it may be forgotten: no replica holds an older record of their keys. 0 where nothing is compacted.
   */
  get compactedByAll(): Offset {
    return this.#compactedByAll;
  }

  get appliedIndex(): LogIndex {
    return this.#appliedIndex;
  }

  /**
   * The last committed configuration that is an entry of this log; undefined: the one the partition was opened with.
   */
  get membership(): Membership | undefined {
    return this.#membership;
  }

  /** The marker with which `node` was last heard to rejoin. */
  rejoinOf(node: string): string | undefined {
    return this.#rejoins.get(node);
  }

  /** Applies the next entry; returns what the state machine made of it. */
  apply(header: EntryHeader, payload: Uint8Array): unknown {
    assert.equal(header.index, this.#appliedIndex + 1, 'index of the entry to apply');
    if (header.baseOffset !== this.#highWatermark)
      assert.fail(`offsets are dense: base offset of entry ${header.index}`);
    this.#appliedIndex = header.index;
    switch (header.kind) {
      case 'batch':
        this.#highWatermark += header.recordCount;
        this.producers.applied(header);
        return undefined;
      case 'control':
        return this.#applyControl(header, payload);
      case 'membership':
        return this.#applyMembership(header, payload);
      case 'no-op':
        return undefined;
      default:
        return header.kind satisfies never;
    }
  }

  #applyControl(header: EntryHeader, payload: Uint8Array): unknown {
    const control = decodeControl(payload);
    if (control.kind === 'trim') {
      const before = Math.min(control.before, this.#highWatermark);
      this.#logStart = Math.max(this.#logStart, before);
      return undefined;
    }
    if (control.kind === 'rejoin') {
      this.#rejoins.set(control.node, control.marker);
      return undefined;
    }
    if (control.kind === 'compacted') {
      this.#compactedByAll = Math.max(this.#compactedByAll, Math.min(control.before, this.#highWatermark));
      return undefined;
    }
    return this.#machine?.apply(control.command, header);
  }

  #applyMembership(header: EntryHeader, payload: Uint8Array): unknown {
    const { membership, birth } = decodeMembershipEntry(payload);
    this.#membership = membership;
    return birth === undefined ? undefined : this.#machine?.apply(birth, header);
  }

  /** The membership in an encoded state; undefined: the one the partition was opened with. */
  static membershipIn(bytes: Uint8Array): Membership | undefined {
    return readHead(new ByteReader(bytes)).membership;
  }

  /** The state as it is now, to be encoded over as many turns as it takes: what is applied meanwhile is not in it. */
  freeze(): FrozenState {
    // What a version 1 can say is said in it: a partition that was never compacted reads the same to an older node.
    const version = this.#compactedByAll === 0 ? 1 : STATE_VERSION;
    const head = new ByteWriter();
    head.u8(version);
    head.u53(this.#logStart);
    if (version === STATE_VERSION) head.u53(this.#compactedByAll);
    head.text(this.#membership === undefined ? '' : JSON.stringify(this.#membership));
    const producers = this.producers.freeze();
    const machine = this.#machine?.encode() ?? NO_BYTES;
    return {
      *encode(): Pieces<Uint8Array> {
        const start = head.finish();
        // Exactly as large as it gets: growing would copy megabytes in one go.
        const writer = new ByteWriter(start.length + producers.bytes + BLOB_LENGTH_BYTES + machine.length);
        writer.raw(start);
        yield* producers.encode(writer);
        writer.blob(machine);
        return writer.finish();
      },
    };
  }

  /** Reads an encoded state, for adopt(). */
  static *decode(bytes: Uint8Array): Pieces<DecodedState> {
    const reader = new ByteReader(bytes);
    const head = readHead(reader);
    const producers = yield* ProducerTable.decode(reader);
    const machine = reader.blob();
    reader.expectEnd();
    return { ...head, producers, machine };
  }

  /** Replaces everything by a snapshot's state. Given: the state goes on with it. */
  adopt(at: { readonly index: LogIndex; readonly nextOffset: Offset }, decoded: DecodedState): void {
    this.#logStart = decoded.logStart;
    this.#compactedByAll = decoded.compactedByAll;
    this.#membership = decoded.membership;
    this.producers.adopt(decoded.producers);
    this.#machine?.restore(decoded.machine);
    this.#appliedIndex = at.index;
    this.#highWatermark = at.nextOffset;
  }
}

/** What stands in front of the producer table, of either version. */
function readHead(reader: ByteReader): StateHead {
  const version = reader.u8();
  if (version !== 1 && version !== STATE_VERSION) assert.fail(`version ${version} of a snapshot state`);
  const logStart = reader.u53();
  const compactedByAll = version === 1 ? 0 : reader.u53();
  const membership = reader.text();
  return { logStart, compactedByAll, membership: membership === '' ? undefined : parseMembershipText(membership) };
}
