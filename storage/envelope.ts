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

export interface EnvelopeKind {
  /** Exactly eight ASCII characters. */
  readonly magic: string;
  readonly version: number;
  /** Bounds what a reader believes of a length. */
  readonly bodyBytesMax: number;
}

export function encodeEnvelope(kind: EnvelopeKind, body: Uint8Array): Uint8Array {
  const magic = new TextEncoder().encode(kind.magic);
  if (magic.length !== 8) assert.fail(`magic ${kind.magic}`);
  if (body.length > kind.bodyBytesMax) assert.fail(`${kind.magic}: body of ${body.length} bytes`);
  const bytes = new Uint8Array(ENVELOPE_BYTES + body.length);
  const view = new DataView(bytes.buffer);
  bytes.set(magic, 0);
  view.setUint32(8, kind.version, true);
  view.setUint32(12, body.length, true);
  bytes.set(body, ENVELOPE_BYTES);
  view.setUint32(16, crc32c(body, crc32c(bytes.subarray(0, 16))), true);
  return bytes;
}

/**
 * The body of the envelope at the start of `bytes` (more may follow), or undefined when there is no sound one. Throws
 * UNSUPPORTED for a sound envelope of an unknown version.
 */
export function decodeEnvelope(kind: EnvelopeKind, bytes: Uint8Array, file: string): Uint8Array | undefined {
  if (bytes.length < ENVELOPE_BYTES) return undefined;
  for (let i = 0; i < 8; i++) if (bytes[i] !== kind.magic.charCodeAt(i)) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getUint32(12, true);
  if (length > kind.bodyBytesMax || ENVELOPE_BYTES + length > bytes.length) return undefined;
  const body = bytes.subarray(ENVELOPE_BYTES, ENVELOPE_BYTES + length);
  if (crc32c(body, crc32c(bytes.subarray(0, 16))) !== view.getUint32(16, true)) return undefined;
  const version = view.getUint32(8, true);
  if (version !== kind.version) {
    throw new StorageError('UNSUPPORTED', `${kind.magic.trim()} format version ${version}, known is ${kind.version}`, {
      file,
    });
  }
  return body;
}

/** The length an envelope claims, for a reader that must know how much to fetch; undefined when it is absurd. */
export function envelopeBytes(kind: EnvelopeKind, start: Uint8Array): number | undefined {
  if (start.length < ENVELOPE_BYTES) return undefined;
  const length = new DataView(start.buffer, start.byteOffset, start.byteLength).getUint32(12, true);
  return length > kind.bodyBytesMax ? undefined : ENVELOPE_BYTES + length;
}
