/**
 * The wrapping shared by our small files and blocks: what it is, which version, how long, and a checksum.
 *
 *   byte  0  8B   magic, ASCII
 *         8  u32  format version
 *        12  u32  body bytes
 *        16  u32  CRC-32C over bytes 0..15 and the body
 *        20       body
 *
 * A version above the known one is refused untouched, never guessed (F88), but only when the checksum is right:
 * otherwise the version itself is not to be believed.
 */
import assert from 'node:assert/strict';
import { crc32c } from './checksum.ts';
import { StorageError } from './errors.ts';

export const ENVELOPE_BYTES = 20;
const SUM_AT = 16;

export interface EnvelopeKind {
  /** Exactly eight ASCII characters. */
  readonly magic: string;
  readonly version: number;
  /** Bounds what a reader believes of a length. */
  readonly bodyBytesMax: number;
}

export function encodeEnvelope(kind: EnvelopeKind, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(ENVELOPE_BYTES + body.length);
  const start = envelopeStart(kind, body.length);
  bytes.set(start, 0);
  bytes.set(body, ENVELOPE_BYTES);
  sealEnvelope(bytes, crc32c(body, envelopeSum(start)));
  return bytes;
}

/** What stands before a body of `bodyBytes`, its checksum still missing. */
export function envelopeStart(kind: EnvelopeKind, bodyBytes: number): Uint8Array {
  const magic = new TextEncoder().encode(kind.magic);
  if (magic.length !== 8) assert.fail(`magic ${kind.magic}`);
  if (bodyBytes > kind.bodyBytesMax) assert.fail(`${kind.magic}: body of ${bodyBytes} bytes`);
  const start = new Uint8Array(ENVELOPE_BYTES);
  start.set(magic, 0);
  const view = new DataView(start.buffer);
  view.setUint32(8, kind.version, true);
  view.setUint32(12, bodyBytes, true);
  return start;
}

/** The checksum as far as the start goes: the body's is added to it. */
export function envelopeSum(start: Uint8Array): number {
  return crc32c(start.subarray(0, SUM_AT));
}

/** Puts the checksum over start and body in its place. */
export function sealEnvelope(start: Uint8Array, sum: number): void {
  new DataView(start.buffer, start.byteOffset, start.byteLength).setUint32(SUM_AT, sum, true);
}

/**
 * The body of the envelope at the start of `bytes` (more may follow), or undefined when there is no sound one. Throws
 * UNSUPPORTED for a sound envelope of an unknown version.
 */
export function decodeEnvelope(kind: EnvelopeKind, bytes: Uint8Array, file: string): Uint8Array | undefined {
  const end = claimedEnd(kind, bytes);
  if (end === undefined || end > bytes.length) return undefined;
  const body = bytes.subarray(ENVELOPE_BYTES, end);
  return isSoundEnvelope(kind, bytes, crc32c(body, envelopeSum(bytes)), file) ? body : undefined;
}

/** Where the envelope that begins with `start` claims to end; undefined when there is none of this kind. */
export function claimedEnd(kind: EnvelopeKind, start: Uint8Array): number | undefined {
  if (start.length < ENVELOPE_BYTES) return undefined;
  for (let i = 0; i < 8; i++) if (start[i] !== kind.magic.charCodeAt(i)) return undefined;
  const length = new DataView(start.buffer, start.byteOffset, start.byteLength).getUint32(12, true);
  return length > kind.bodyBytesMax ? undefined : ENVELOPE_BYTES + length;
}

/** Whether the envelope that begins with `start` has the checksum `sum`. Throws UNSUPPORTED as decodeEnvelope does. */
export function isSoundEnvelope(kind: EnvelopeKind, start: Uint8Array, sum: number, file: string): boolean {
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  if (sum !== view.getUint32(SUM_AT, true)) return false;
  const version = view.getUint32(8, true);
  if (version !== kind.version) {
    throw new StorageError('UNSUPPORTED', `${kind.magic.trim()} format version ${version}, known is ${kind.version}`, {
      file,
    });
  }
  return true;
}
