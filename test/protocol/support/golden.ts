/** Golden files of the protocol: hex with comments. `UPDATE_GOLDEN=1` rewrites those that a test can write. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { NewRecord } from '../../../src/protocol/index.ts';

export const isUpdatingGolden: boolean = process.env.UPDATE_GOLDEN === '1';

function pathOf(name: string): string {
  return fileURLToPath(new URL(`../../golden/protocol/${name}`, import.meta.url));
}

export function readGolden(name: string): string {
  return readFileSync(pathOf(name), 'utf8');
}

export function writeGolden(name: string, text: string): void {
  writeFileSync(pathOf(name), text);
}

export function bytesOfHex(text: string): Uint8Array {
  const digits = text.replaceAll(/#.*$/gm, '').replaceAll(/\s/g, '');
  if (!/^([0-9a-f]{2})*$/.test(digits)) throw new Error('not hex');
  return Uint8Array.from(digits.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
}

export function hexOfBytes(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

const text = new TextEncoder();

/** The records of record-batch-v2.hex. */
export const GOLDEN_RECORDS: readonly NewRecord[] = [
  { key: text.encode('k1'), value: text.encode('first'), timestampMs: 1_700_000_000_000 },
  {
    value: new Uint8Array(0),
    timestampMs: 1_699_999_999_995,
    headers: [
      { key: 'é', value: Uint8Array.of(0, 0xff) },
      { key: 't', value: new Uint8Array(0) },
    ],
  },
  { key: new Uint8Array(0), value: text.encode('a'.repeat(70)), timestampMs: 1_700_000_000_300 },
];

/** The chunks of one frame as a socket would deliver them. */
export function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
