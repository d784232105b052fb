/**
 * The bytes of every format, as hex files. They were written once per format version and must be read and written alike
 * for ever; every single-bit flip of them must be refused.
 *
 * LOGDRIVE_UPDATE_GOLDEN=1 writes files that are missing; a changed one is a new format version, not an update.
 */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { compactEntry } from '../../storage/compacted-entry.ts';
import { isStorageError } from '../../storage/errors.ts';
import { decodeFooter, decodeIndex, encodeFooter, type SegmentSummary } from '../../storage/footer.ts';
import { decodeEntries, encodeEntry, type NewEntry } from '../../storage/format.ts';
import { encodeFrameHeader, frameSeed, parseFrameHeader } from '../../storage/frame.ts';
import { decodeHardStateSlot, encodeHardStateSlot } from '../../storage/hard-state.ts';
import { decodeIdentity, encodeIdentity } from '../../storage/identity.ts';
import { decodeIncomingKey, encodeIncomingKey } from '../../storage/incoming-snapshot.ts';
import type { LogPoint } from '../../storage/log-point.ts';
import { decodeManifest, encodeManifest, type Manifest } from '../../storage/manifest.ts';
import { decodeSegmentHeader, encodeSegmentHeader } from '../../storage/segment-header.ts';
import { decodeSnapshot, encodeSnapshot } from '../../storage/snapshot.ts';
import { decodeStanding, encodeStanding } from '../../storage/standing.ts';
import { asBatch, bytesOf } from '../support/storage-fixture.ts';

const own = { clusterId: 'cluster-1', groupId: 7, diskUuid: '000102030405060708090a0b0c0d0e0f' };
const before: LogPoint = {
  index: 41,
  term: 3,
  nextOffset: 1000,
  appendTimeMs: 1_700_000_000_000,
  chain: { high: 1, low: 2 },
};
const last: LogPoint = {
  index: 2 ** 40,
  term: 9,
  nextOffset: 2 ** 52,
  appendTimeMs: 1_800_000_000_000,
  chain: { high: 0xdead_beef, low: 0xffff_ffff },
};
const summary: SegmentSummary = {
  segmentId: 12,
  before,
  last,
  dataEnd: 67_000_000,
  frames: 512,
  termRuns: [
    { term: 3, lastIndex: 50 },
    { term: 9, lastIndex: 2 ** 40 },
  ],
};
const marks = [{ index: 42, baseOffset: 1000, appendTimeMs: 1_700_000_000_001, position: 4192, frame: 1 }];
const manifest: Manifest = {
  ...own,
  generation: 8,
  nextSegmentId: 14,
  commitHint: 49,
  sealed: [summary],
  active: { segmentId: 13, before: last },
};
const hardState = { sequence: 5, state: { term: 9, votedFor: 'n2' } };
const identity = { nodeId: 'n1', diskUuid: own.diskUuid, clusterId: own.clusterId };
const standing = {
  diskUuid: own.diskUuid,
  groupId: own.groupId,
  marker: { id: 'f0e1d2c3b4a5968778695a4b3c2d1e0f', reason: 'the manifest is missing' },
};
const snapshot = { ...before, state: bytesOf('state', 40) };
const incoming = { index: 41, term: 3, stateBytes: 300_000, stateCrc: 0xdead_beef };
const seed = frameSeed(own.diskUuid, 12);
const frame = {
  segmentId: 12,
  sequence: 3,
  position: 8192,
  provenPosition: 8192,
  commitHint: 40,
  bodyBytes: 1234,
  entryCount: 5,
  before,
};

/** The zeros that fill its page say nothing. */
function withoutPadding(page: Uint8Array): Uint8Array {
  return page.subarray(0, page.findLastIndex((byte) => byte !== 0) + 1);
}

function entryOf(change: Partial<NewEntry>): Uint8Array {
  const entry = encodeEntry(
    {
      kind: 'control',
      groupId: 7,
      index: 42,
      term: 3,
      baseOffset: 1000,
      recordCount: 0,
      appendTimeMs: 1_700_000_000_001,
      producer: undefined,
      payload: bytesOf('payload', 33),
      ...change,
    },
    before.chain,
  );
  return new Uint8Array([...entry.headerBytes, ...entry.payload]);
}

const batch: Partial<NewEntry> = {
  kind: 'batch',
  recordCount: 3,
  producer: { id: 'ffeeddccbbaa99887766554433221100', epoch: 0xffff_ffff, sequence: Number.MAX_SAFE_INTEGER },
  payload: asBatch(bytesOf('batch', 80)),
};

/** The batch without some of its records, or without all of them. */
function compactedOf(left: Uint8Array): Uint8Array {
  const [whole] = decodeEntries(entryOf(batch), before.chain);
  const { headerBytes, payload } = compactEntry(whole!, left);
  return new Uint8Array([...headerBytes, ...payload]);
}

/** For each format: its bytes, and what a reader makes of bytes (undefined: refused). */
const formats: Record<string, { bytes: Uint8Array; read(bytes: Uint8Array): unknown }> = {
  'entry-batch': { bytes: entryOf(batch), read: (bytes) => decodeEntries(bytes, before.chain) },
  'entry-control': { bytes: entryOf({}), read: (bytes) => decodeEntries(bytes, before.chain) },
  'entry-no-op': {
    bytes: entryOf({ kind: 'no-op', payload: new Uint8Array(0) }),
    read: (bytes) => decodeEntries(bytes, before.chain),
  },
  'entry-membership': { bytes: entryOf({ kind: 'membership' }), read: (bytes) => decodeEntries(bytes, before.chain) },
  'entry-compacted': {
    bytes: compactedOf(asBatch(bytesOf('left', 70))),
    read: (bytes) => decodeEntries(bytes, before.chain),
  },
  'entry-hollow': { bytes: compactedOf(new Uint8Array(0)), read: (bytes) => decodeEntries(bytes, before.chain) },
  frame: {
    bytes: encodeFrameHeader(frame, seed),
    read: (bytes) => parseFrameHeader(bytes, new DataView(bytes.buffer), 0, { seed, segmentId: 12, position: 8192 }),
  },
  'segment-header': {
    bytes: trimmed(encodeSegmentHeader({ ...own, segmentId: 12, before })),
    read: (bytes) => decodeSegmentHeader(bytes, 'golden'),
  },
  'incoming-snapshot': {
    bytes: withoutPadding(encodeIncomingKey(incoming, own)),
    read: (bytes) => decodeIncomingKey(bytes, own, 'golden'),
  },
  footer: { bytes: encodeFooter(summary, marks, own.diskUuid)[0]!, read: (bytes) => decodeFooter(bytes, 0, 'golden') },
  index: { bytes: encodeFooter(summary, marks, own.diskUuid)[1]!, read: (bytes) => decodeIndex(bytes, 12, 'golden') },
  manifest: { bytes: trimmed(encodeManifest(manifest)), read: (bytes) => decodeManifest(bytes, 'golden')?.manifest },
  'hard-state': {
    bytes: trimmed(encodeHardStateSlot(hardState, own)),
    read: (bytes) => decodeHardStateSlot(bytes, own, 'golden'),
  },
  identity: { bytes: trimmed(encodeIdentity(identity)), read: (bytes) => decodeIdentity(bytes, 'golden')?.identity },
  standing: { bytes: trimmed(encodeStanding(standing)), read: (bytes) => decodeStanding(bytes, 'golden')?.standing },
  snapshot: { bytes: encodeSnapshot(snapshot, own), read: (bytes) => decodeSnapshot(bytes, own, 'golden') },
};

const expected: Record<string, unknown> = {
  frame,
  'segment-header': { ...own, segmentId: 12, before },
  footer: { summary, diskUuid: own.diskUuid, indexPosition: 180, indexBytes: 72 },
  index: marks,
  manifest,
  'hard-state': hardState,
  'incoming-snapshot': incoming,
  identity,
  standing,
  snapshot,
};

/** The first copy or slot, without the zeros behind it. */
function trimmed(bytes: Uint8Array): Uint8Array {
  const body = new DataView(bytes.buffer, bytes.byteOffset).getUint32(12, true);
  return bytes.slice(0, 20 + body);
}

function goldenPath(name: string): string {
  return fileURLToPath(new URL(`../golden/storage/${name}.v1.hex`, import.meta.url));
}

function golden(name: string): Uint8Array {
  return new Uint8Array(Buffer.from(readFileSync(goldenPath(name), 'utf8').replace(/\s/g, ''), 'hex'));
}

function tryRead(name: string, bytes: Uint8Array): unknown {
  try {
    return formats[name]!.read(bytes);
  } catch (error) {
    if (isStorageError(error)) return undefined;
    throw error;
  }
}

describe.each(Object.keys(formats))('%s', (name) => {
  test('is written and read as it ever was', () => {
    const { bytes, read } = formats[name]!;
    if (!existsSync(goldenPath(name)) && process.env.LOGDRIVE_UPDATE_GOLDEN !== undefined) {
      writeFileSync(
        goldenPath(name),
        `${Buffer.from(bytes)
          .toString('hex')
          .replace(/.{1,64}/g, '$&\n')}`,
      );
    }
    expect(Buffer.from(bytes).toString('hex')).toBe(Buffer.from(golden(name)).toString('hex'));
    const value = read(golden(name));
    expect(value).toBeDefined();
    if (expected[name] !== undefined) expect(value).toEqual(expected[name]);
  });

  test('is refused with any single bit flipped', () => {
    const sound = golden(name);
    for (let bit = 0; bit < sound.length * 8; bit++) {
      const flipped = sound.slice();
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      expect(tryRead(name, flipped), `bit ${bit}`).toBeUndefined();
    }
  });

  test('is refused when it is cut short, at any byte', () => {
    const sound = golden(name);
    for (let end = 0; end < sound.length; end++) {
      const value = tryRead(name, sound.slice(0, end));
      if (name.startsWith('entry') && end === 0) expect(value).toEqual([]);
      else expect(value, `cut at ${end}`).toBeUndefined();
    }
  });
});
