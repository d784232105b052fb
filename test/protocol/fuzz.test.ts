/**
 * Whatever arrives: a decoder returns or throws a LogError whose outcome is 'none', and leaves the process as it was.
 * FUZZ_SEED=n tries other bytes, FUZZ_ROUNDS=n more of them.
 */
import { afterAll, describe, expect, test } from 'vitest';
import {
  checkProducedBatch,
  crc32cPortable,
  decodeFrame,
  decodeRecords,
  encodeFrame,
  type Frame,
  LogError,
  readBatchHeader,
  splitBatches,
  verifyBatch,
} from '../../src/protocol/index.ts';
import { CODECS } from '../../src/protocol/message-codec.ts';
import { decodes, expectPrototypesUntouched, randomBelow, randomBytes, SEED, singleBitFlips } from './support/fuzz.ts';
import { bytesOfHex, concat, readGolden } from './support/golden.ts';
import { SAMPLES } from './support/samples.ts';

const BATCH = bytesOfHex(readGolden('record-batch-v2.hex'));
const ROUNDS = Number(process.env.FUZZ_ROUNDS ?? 1);
const FRAMES = SAMPLES.map(({ name, channel, message, hasBatch }) => ({
  name,
  batchBytes: hasBatch ? BATCH.length : 0,
  bytes: concat(encodeFrame(channel, message, hasBatch ? [BATCH] : [])),
}));

afterAll(expectPrototypesUntouched);

/** Decodes; what was understood must survive being said again. */
function tryFrame(bytes: Uint8Array, about: string): void {
  const frame = decodes(() => decodeFrame(bytes), about);
  if (frame === undefined || LogError.is(frame)) return;
  const again = encodeFrame(frame.channel, frame.message, frame.payload.length > 0 ? [frame.payload] : []);
  expect((decodeFrame(concat(again)) as Frame).message, about).toEqual(frame.message);
}

function tryBatch(bytes: Uint8Array, about: string): void {
  decodes(() => readBatchHeader(bytes), about);
  decodes(() => splitBatches(bytes), about);
  decodes(() => verifyBatch(bytes, crc32cPortable), about);
  decodes(() => checkProducedBatch(bytes, { batchBytesMax: 4_096 }, crc32cPortable), about);
  const records = decodes(() => decodeRecords(bytes), about);
  if (LogError.is(records)) return;
  const isSafe = records.every(
    ({ offset, timestampMs }) => Number.isSafeInteger(offset) && offset >= 0 && Number.isSafeInteger(timestampMs),
  );
  if (!isSafe) expect.fail(`${about} (seed ${SEED}) holds a number that is not safe`);
}

describe('frames', () => {
  test.each(FRAMES)('$name survives being cut at every byte', ({ bytes }) => {
    for (let length = 0; length < bytes.length; length++) tryFrame(bytes.subarray(0, length), `cut at ${length}`);
  });

  test.each(FRAMES)('$name survives every single flipped bit', ({ bytes, batchBytes }) => {
    // Of the batch behind it a byte stands for all: nothing here looks into it.
    const end = bytes.length - Math.max(0, batchBytes - 1);
    for (const { flipped, at } of singleBitFlips(bytes)) if (at < end) tryFrame(flipped, `flipped in byte ${at}`);
  });

  test('of random bytes are refused or understood, never more', () => {
    const below = randomBelow(SEED);
    for (let round = 0; round < 30_000 * ROUNDS; round++) {
      tryFrame(randomBytes(below, below(80)), `random frame ${round}`);
    }
  });

  test('with a good envelope around random headers are refused or understood', () => {
    const below = randomBelow(SEED + 1);
    for (let round = 0; round < 2_000 * ROUNDS; round++) {
      for (const { number, channel, payload } of Object.values(CODECS)) {
        const header = randomBytes(below, below(60));
        const on = channel === 'subscription' ? 1 : 0;
        const tail = payload === 'required' ? [1] : [];
        tryFrame(Uint8Array.of(number, 0, 0, 0, on, header.length, ...header, ...tail), `kind ${number}, ${round}`);
      }
    }
  });

  test('with pieces of others in the middle are refused or understood', () => {
    const below = randomBelow(SEED + 2);
    for (let round = 0; round < 20_000 * ROUNDS; round++) {
      const bytes = FRAMES[below(FRAMES.length)]!.bytes.slice();
      const other = FRAMES[below(FRAMES.length)]!.bytes;
      const at = below(bytes.length);
      const from = below(other.length);
      bytes.set(other.subarray(from, from + below(Math.min(bytes.length - at, other.length - from) + 1)), at);
      tryFrame(bytes, `splice ${round}`);
    }
  });
});

describe('record batches', () => {
  test('survive being cut at every byte', () => {
    for (let length = 0; length < BATCH.length; length++) tryBatch(BATCH.subarray(0, length), `cut at ${length}`);
  });

  test('survive every single flipped bit, and no flip goes unnoticed', () => {
    for (const { flipped, at } of singleBitFlips(BATCH)) {
      tryBatch(flipped, `flipped in byte ${at}`);
      // The leader's twelve bytes have no checksum here; the entry around a stored batch has one for them.
      const isLeaders = at < 8 || (at >= 12 && at < 16);
      const verified = decodes(() => verifyBatch(flipped, crc32cPortable), `flipped in byte ${at}`);
      if (!isLeaders) expect(verified, `flipped in byte ${at}`).toBeInstanceOf(LogError);
    }
  });

  test('with random bytes in them are refused or understood', () => {
    const below = randomBelow(SEED + 3);
    for (let round = 0; round < 20_000 * ROUNDS; round++) {
      const bytes = BATCH.slice();
      for (let count = 1 + below(4); count > 0; count--) bytes[below(bytes.length)] = below(256);
      tryBatch(bytes, `damaged batch ${round}`);
    }
  });

  test('with a good header around random records are refused or understood', () => {
    const below = randomBelow(SEED + 4);
    for (let round = 0; round < 20_000 * ROUNDS; round++) {
      const bytes = new Uint8Array(61 + 7 + below(60));
      bytes.set(BATCH.subarray(0, 61));
      // Small numbers make lengths that sometimes fit, which leads further in than noise would.
      for (let at = 61; at < bytes.length; at++) bytes[at] = below(4) === 0 ? below(256) : below(20);
      const view = new DataView(bytes.buffer);
      const count = 1 + below(3);
      view.setInt32(8, bytes.length - 12);
      view.setInt32(23, count - 1 + below(3));
      view.setInt32(57, count);
      tryBatch(bytes, `random records ${round}`);
    }
  });
});
