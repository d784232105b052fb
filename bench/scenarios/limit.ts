/**
 * What no log can beat on this machine: durable writes of several sizes, by one writer and by three at once (the three
 * nodes share the disk), the round trip of a small message over loopback, the speed of the checksum, and the same three
 * processes in C without a protocol.
 */
import { once } from 'node:events';
import { connect as dial, type Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import { crc32cPortable } from '../../src/protocol/index.ts';
import { crc32c } from '../../storage/index.ts';
import { runFlushLoop } from '../disk-limit.ts';
import { buildPipe } from '../pipe-limit.ts';
import { type Figure, figureOf, type NamedDistribution } from '../result.ts';
import { defineScenario, type Scenario } from '../scenario.ts';
import { distributionOf } from '../statistics.ts';

const KiB = 1024;
const SIZES = [4 * KiB, 64 * KiB, 256 * KiB, 1024 * KiB];
const PIPE_CHUNKS = [64 * KiB, 256 * KiB, 1024 * KiB];
const FILE_BYTES = 64 * 1024 * KiB;
/** Never filled within a measurement, so that no block is met twice. */
const NEW_FILE_BYTES = 4096 * 1024 * KiB;

export const limit: Scenario = defineScenario({
  name: 'limit',
  sentence: 'The disk, the loopback and the checksum alone.',
  options: {
    seconds: { default: 1, least: 0.05, sentence: 'seconds of each measurement' },
    repeats: { default: 3, least: 1, sentence: 'times each is taken, interleaved' },
  },
  async run(context, { seconds, repeats }) {
    const samples = new Map<string, { unit: string; better: 'higher' | 'lower'; values: number[] }>();
    const note = (name: string, unit: string, better: 'higher' | 'lower', value: number): void => {
      const entry = samples.get(name) ?? { unit, better, values: [] };
      entry.values.push(value);
      samples.set(name, entry);
    };
    const roundTrips: number[] = [];
    const pipe = await buildPipe(context);
    for (let repeat = 1; repeat <= repeats; repeat++) {
      context.say(`repeat ${repeat} of ${repeats}`);
      await measureDisk(context.dir, seconds, note);
      const trips = await measureRoundTrips(seconds);
      roundTrips.push(...trips);
      note('loopback round trip p50', 'ms', 'lower', distributionOf(trips).p50);
      measureChecksums(seconds, note);
      if (pipe === undefined) continue;
      for (const bytes of PIPE_CHUNKS) {
        note(`the topology in C, ${bytes / KiB} KiB a flush`, 'MB/s', 'higher', await pipe(bytes));
      }
    }
    const figures: Figure[] = [...samples].map(([name, { unit, better, values }]) =>
      figureOf({ name, unit, better }, values),
    );
    const distributions: NamedDistribution[] = [
      { name: 'loopback round trip', unit: 'ms', ...distributionOf(roundTrips) },
    ];
    return { durability: 'durable writes to one disk, no replication', figures, distributions };
  },
});

type Note = (name: string, unit: string, better: 'higher' | 'lower', value: number) => void;

async function measureDisk(dir: string, seconds: number, note: Note): Promise<void> {
  const loop = { dir, seconds, fileBytes: FILE_BYTES } as const;
  for (const writeBytes of SIZES) {
    const size = `${writeBytes / KiB} KiB`;
    for (const writers of [1, 3]) {
      const who = writers === 1 ? 'one writer' : 'three writers';
      const result = await runFlushLoop({ ...loop, writeBytes, writers, hint: 'durable-writes', file: 'written' });
      note(`flush ${size}, ${who}: p50`, 'ms', 'lower', result.milliseconds.p50);
      note(`flush ${size}, ${who}: p99`, 'ms', 'lower', result.milliseconds.p99);
      note(`flush ${size}, ${who}`, 'MB/s', 'higher', result.bytesPerSecond / 1e6);
    }
    const grown = await runFlushLoop({
      ...loop,
      writeBytes,
      writers: 1,
      hint: 'durable-writes',
      fileBytes: NEW_FILE_BYTES,
      file: 'grown',
    });
    note(`flush ${size}, into new blocks: p50`, 'ms', 'lower', grown.milliseconds.p50);
    const separate = await runFlushLoop({ ...loop, writeBytes, writers: 1, hint: undefined, file: 'written' });
    note(`flush ${size}, write and fdatasync: p50`, 'ms', 'lower', separate.milliseconds.p50);
  }
}

/** An echo in a thread of its own, so that both ends wake up as two processes would. */
const ECHO = `
const { parentPort } = require('node:worker_threads');
const server = require('node:net').createServer({ noDelay: true }, (socket) => socket.pipe(socket));
server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));
`;

async function measureRoundTrips(seconds: number): Promise<number[]> {
  const echo = new Worker(ECHO, { eval: true });
  try {
    const [port] = (await once(echo, 'message')) as [number];
    const socket = dial({ host: '127.0.0.1', port, noDelay: true });
    await once(socket, 'connect');
    const samples = await pingPong(socket, seconds);
    socket.destroy();
    return samples;
  } finally {
    await echo.terminate();
  }
}

function pingPong(socket: Socket, seconds: number): Promise<number[]> {
  const message = Buffer.alloc(64);
  const samples: number[] = [];
  const untilMs = performance.now() + seconds * 1_000;
  return new Promise((resolve, reject) => {
    let sentMs = performance.now();
    socket.on('error', reject);
    socket.on('data', () => {
      const nowMs = performance.now();
      samples.push(nowMs - sentMs);
      if (nowMs >= untilMs) return resolve(samples);
      sentMs = nowMs;
      socket.write(message);
    });
    socket.write(message);
  });
}

function measureChecksums(seconds: number, note: Note): void {
  const ways = [
    ['as nodes compute it', crc32c],
    ['portable', crc32cPortable],
  ] as const;
  for (const [way, checksum] of ways) {
    for (const bytes of [100, 64 * KiB]) {
      const size = bytes < KiB ? `${bytes} B` : `${bytes / KiB} KiB`;
      note(`CRC-32C ${way}, ${size}`, 'GB/s', 'higher', checksumSpeed(checksum, bytes, seconds / 4) / 1e9);
    }
  }
}

function checksumSpeed(checksum: (bytes: Uint8Array, seed?: number) => number, size: number, seconds: number): number {
  const bytes = new Uint8Array(size).fill(0x6c);
  const begunMs = performance.now();
  let nowMs = begunMs;
  let rounds = 0;
  let seed = 0;
  while (nowMs - begunMs < seconds * 1_000) {
    // Each result seeds the next, so that none can be left out.
    for (let n = 0; n < 64; n++) seed = checksum(bytes, seed);
    rounds += 64;
    nowMs = performance.now();
  }
  return (rounds * size * 1_000) / (nowMs - begunMs);
}
