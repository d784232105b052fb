/**
 * Payloads of control and membership entries: JSON with a version, small and rare, so that `logdrive wal dump` shows
 * them as they are. `trim`, `compacted` and `rejoin` belong to every partition; anything else is a command for the
 * state machine the partition was opened with (the catalog's). `rejoin` changes nothing: that it is committed tells the
 * replica it names that it holds everything it may ever have acked (rejoining.ts).
 *
 *   {"v":1,"kind":"trim","before":1234}
 *   {"v":1,"kind":"compacted","before":1234}
 *   {"v":1,"kind":"rejoin","node":"n2","marker":"9f..."}
 *   {"v":1,"kind":"machine","command":{...}}
 *
 * A membership entry holds the three lists of the configuration; the first entry of a cluster also says how the
 * cluster was born, which the catalog's machine takes as its first command:
 *
 *   {"v":1,"voters":["n1","n2","n3"],"votersOutgoing":[],"learners":[],"birth":{...}}
 */
import assert from 'node:assert';
import type { Membership } from '../raft/index.ts';
import { parseMembership } from './membership.ts';

export type Control =
  | { readonly kind: 'trim'; readonly before: number }
  | { readonly kind: 'rejoin'; readonly node: string; readonly marker: string }
  /** Every replica has compacted its log below `before`: tombstones there may go once they are old enough. */
  | { readonly kind: 'compacted'; readonly before: number }
  | { readonly kind: 'machine'; readonly command: unknown };

const VERSION = 1;

/** An entry that was written by a newer version: whoever meets it cannot know the state behind it, and stops. */
export class UnsupportedEntry extends Error {
  constructor(what: string) {
    super(`${what}: written by a newer logdrive`);
    this.name = 'UnsupportedEntry';
  }
}

export function encodeControl(control: Control): Uint8Array {
  // What is committed is read by every replica for ever: one that cannot be read would stop them all.
  if (control.kind === 'trim' || control.kind === 'compacted')
    assert.ok(isOffset(control.before), `${control.kind} before ${control.before}`);
  return Buffer.from(JSON.stringify({ v: VERSION, ...control }), 'utf8');
}

/** The bytes passed their checksum, so whatever they hold was written by a node: an unknown kind means a newer one,
 *  and the partition stops by name rather than guess (design 4, Entry). */
export function decodeControl(payload: Uint8Array): Control {
  const { kind, before, node, marker, command } = fieldsOf(payload, 'a control entry');
  if ((kind === 'trim' || kind === 'compacted') && isOffset(before)) return { kind, before };
  if (kind === 'rejoin' && typeof node === 'string' && typeof marker === 'string') return { kind, node, marker };
  if (kind === 'machine') return { kind, command };
  throw new UnsupportedEntry(`a control entry of kind ${String(kind)}`);
}

function isOffset(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function fieldsOf(payload: Uint8Array, what: string): Record<string, unknown> {
  let value: Record<string, unknown> | null;
  try {
    value = JSON.parse(Buffer.from(payload).toString('utf8'));
  } catch {
    throw new UnsupportedEntry(`${what} that is not JSON`);
  }
  if (value?.v !== VERSION) throw new UnsupportedEntry(`${what} of version ${String(value?.v)}`);
  return value;
}

export interface MembershipEntry {
  readonly membership: Membership;
  /** A command for the state machine; only in the first entry of a cluster. */
  readonly birth: unknown;
}

export function encodeMembershipEntry({ membership, birth }: MembershipEntry): Uint8Array {
  return Buffer.from(JSON.stringify({ v: VERSION, ...membership, birth }), 'utf8');
}

export function decodeMembershipEntry(payload: Uint8Array): MembershipEntry {
  const value = fieldsOf(payload, 'a membership entry');
  return { membership: parseMembership(value), birth: value.birth };
}
