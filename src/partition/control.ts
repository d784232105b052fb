/**
 * Payloads of control and membership entries: JSON with a version, small and rare, so that `logdrive wal dump` shows them as they
 * are. `trim` belongs to every partition; anything else is a command for the state machine the partition was opened
 * with (the catalog's).
 *
 *   {"v":1,"kind":"trim","before":1234}
 *   {"v":1,"kind":"machine","command":{...}}
 *
 * A membership entry holds the three lists of the configuration; the first entry of a cluster also says how the
 * cluster was born, which the catalog's machine takes as its first command:
 *
 *   {"v":1,"voters":["n1","n2","n3"],"votersOutgoing":[],"learners":[],"birth":{...}}
 */
import type { Membership } from '../raft/index.ts';
import { parseMembership } from './membership.ts';

export type Control =
  | { readonly kind: 'trim'; readonly before: number }
  | { readonly kind: 'machine'; readonly command: unknown };

const VERSION = 1;

export function encodeControl(control: Control): Uint8Array {
  return Buffer.from(JSON.stringify({ v: VERSION, ...control }), 'utf8');
}

/** The bytes passed their checksum, so whatever they hold was written by a node: an unknown kind means a newer one,
 *  and the partition stops by name rather than guess (design 4, Entry). */
export function decodeControl(payload: Uint8Array): Control {
  const value = JSON.parse(Buffer.from(payload).toString('utf8')) as Record<string, unknown>;
  if (value.v !== VERSION) throw new Error(`control entry of version ${String(value.v)}: written by a newer logdrive`);
  if (value.kind === 'trim' && Number.isSafeInteger(value.before))
    return { kind: 'trim', before: value.before as number };
  if (value.kind === 'machine') return { kind: 'machine', command: value.command };
  throw new Error(`control entry of unknown kind ${String(value.kind)}: written by a newer logdrive`);
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
  const value = JSON.parse(Buffer.from(payload).toString('utf8')) as Record<string, unknown>;
  if (value.v !== VERSION)
    throw new Error(`membership entry of version ${String(value.v)}: written by a newer logdrive`);
  return { membership: parseMembership(value), birth: value.birth };
}
