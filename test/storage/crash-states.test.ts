/**
 * Every state that a power cut can leave, at every disk call of seeded workloads: each is recovered, and held against
 * what was promised until then. Where one cut can leave more than STATES_MAX states, so many are drawn.
 *
 * LOGDRIVE_TEST_CRASH_STATES says how many are tried at least (default 100,000); LOGDRIVE_TEST_CRASH_FROM the first
 * seed.
 */
import { expect, test } from 'vitest';
import { type Call, ModelDisk } from '../support/model-disk.ts';
import { seededRandom } from '../support/model-tree.ts';
import { openLog } from '../support/storage-fixture.ts';
import { PromisedLog } from './support/promised-log.ts';
import { Promises, type Recovered, recoveredOf } from './support/promises.ts';

const STATES = Number(process.env.LOGDRIVE_TEST_CRASH_STATES ?? 100_000);
const FROM = Number(process.env.LOGDRIVE_TEST_CRASH_FROM ?? 1);
const STATES_MAX = 512;
const SEGMENT_BYTES = 16 * 1024;
/** Of every third workload: with more in it than that, zeros are written ahead of the frames (storage/file-room.ts). */
const ROOMY_SEGMENT_BYTES = 96 * 1024;
const ROOMY_DATA_BYTES = 40 * 1024;
const STEPS = 12;
const PAYLOADS = [60, 300, 3_000, 9_000];

function segmentBytesOf(seed: number): number {
  return seed % 3 === 0 ? ROOMY_SEGMENT_BYTES : SEGMENT_BYTES;
}

/** Twelve steps, drawn; no more is cut or trimmed than a replica may. */
async function work(disk: ModelDisk, promises: Promises, seed: number): Promise<void> {
  const random = seededRandom(seed);
  const below = (count: number): number => Math.floor(random() * count);
  const segmentBytes = segmentBytesOf(seed);
  const used = await PromisedLog.open(disk, promises, segmentBytes);
  const { log } = used;
  let term = 1;
  let floor = 0;
  const entries = (): { term: number; payloadBytes: number }[] =>
    Array.from({ length: 1 + below(4) }, () => ({ term, payloadBytes: PAYLOADS[below(PAYLOADS.length)]! }));
  const waiting: Promise<unknown>[] = [];
  const steps: (() => Promise<void> | void)[] = [
    () => used.append(entries()),
    async () => {
      used.append(entries());
      await log.flush();
    },
    // Whatever comes next meets this flush, or this vote, under way.
    () => void waiting.push(log.flush()),
    () => void waiting.push(used.vote({ term: ++term, votedFor: below(2) === 0 ? undefined : 'n2' })),
    () => used.fireTimers(),
    () => {
      if (log.lastIndex > floor) used.truncate(floor + 1 + below(log.lastIndex - floor));
      term++;
    },
    async () => {
      await log.roll();
    },
    async () => {
      await log.flush();
      floor = log.lastIndex;
      log.setCommitHint(floor);
    },
    async () => {
      if (log.lastIndex === log.base.index) return;
      floor = await used.snapshot();
      if (below(2) === 0) await used.trim(floor + 1);
    },
    async () => {
      const point = { index: log.lastIndex + 5, term: ++term, nextOffset: 40, appendTimeMs: 9_000_000 };
      if (below(3) > 0) return;
      // A flush that ends while the state is installed would be word of the log that goes.
      await log.flush();
      await used.install({ ...point, chain: { high: 5, low: 6 } });
      floor = point.index;
    },
  ];
  if (segmentBytes > ROOMY_DATA_BYTES) {
    used.append([{ term, payloadBytes: ROOMY_DATA_BYTES }]);
    await log.flush();
  }
  for (let n = 0; n < STEPS; n++) {
    used.append(entries());
    await steps[below(steps.length)]!();
  }
  await Promise.all(waiting);
  await log.flush();
  await used.close();
}

/** A disk in the middle of a call, and what was promised until then. */
interface Moment {
  readonly call: Call;
  readonly disk: ModelDisk;
  readonly promises: Promises;
}

/** Every call of a workload. */
async function momentsOf(seed: number): Promise<Moment[]> {
  const moments: Moment[] = [];
  const promises = new Promises();
  const disk: ModelDisk = new ModelDisk({
    onBegun: (call) => void moments.push({ call, disk: disk.copy(), promises: promises.copy() }),
  });
  await work(disk, promises, seed);
  return moments;
}

test('every state a power cut can leave is recovered to what was promised', { timeout: STATES * 20 }, async () => {
  let states = 0;
  let different = 0;
  for (let seed = FROM; states < STATES; seed++) {
    // Most of what one call can leave, the next one can leave too. What comes back of it is the same; what was
    // promised until then is not.
    const known = new Map<string, Recovered>();
    for (const { call, disk, promises } of await momentsOf(seed)) {
      for (const { key, disk: state } of disk.crashStates(STATES_MAX, call.number)) {
        let recovered = known.get(key);
        if (recovered === undefined) {
          recovered = await recoveredOf(await openLog(state, { segmentBytes: segmentBytesOf(seed) }));
          known.set(key, recovered);
        }
        const broken = promises.broken(recovered);
        if (broken !== undefined) expect.fail(`seed ${seed}, in call ${call.number} (${call.kind}): ${broken}`);
        states++;
      }
    }
    different += known.size;
  }
  console.info(`${states} crash states, ${different} of them different`);
});
