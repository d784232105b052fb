/** The codec alone: what one processor spends on building, checking, framing and reading record batches. */
import {
  checkProducedBatch,
  decodeFrame,
  decodeRecords,
  encodeFrame,
  RecordBatchBuilder,
  verifyBatch,
} from '../../src/protocol/index.ts';
import { crc32c } from '../../storage/index.ts';
import { makeValues } from '../payload.ts';
import { type FigureSpec, figureOf } from '../result.ts';
import { defineScenario, type Scenario } from '../scenario.ts';

const MiB = 1024 * 1024;
const BATCH_BYTES_MAX = 4 * MiB;
const NOW_MS = 1_700_000_000_000;

interface Work {
  readonly spec: FigureSpec;
  /** Items done by one call. */
  readonly items: number;
  run(): void;
}

export const codec: Scenario = defineScenario({
  name: 'codec',
  sentence: 'Record batches and frames: encode, check, decode, in one thread.',
  options: {
    size: { default: 100, least: 1, sentence: 'bytes of a record' },
    batch: { default: 1_000, least: 1, sentence: 'records of a batch' },
    seconds: { default: 0.5, least: 0.01, sentence: 'seconds of each measurement' },
    repeats: { default: 5, least: 1, sentence: 'times each is taken, interleaved' },
  },
  async run(context, { size, batch: records, seconds, repeats }) {
    const works = workOf(size, records);
    const samples = works.map((): number[] => []);
    for (const work of works) perSecond(work, seconds);
    for (let repeat = 1; repeat <= repeats; repeat++) {
      context.say(`repeat ${repeat} of ${repeats}`);
      works.forEach((work, at) => {
        samples[at]!.push(perSecond(work, seconds));
      });
    }
    return {
      durability: 'none: nothing is stored',
      figures: works.map(({ spec }, at) => figureOf(spec, samples[at]!)),
    };
  },
});

function workOf(size: number, records: number): Work[] {
  const values = makeValues(records, size);
  const build = (): Uint8Array => {
    const builder = new RecordBatchBuilder({ bytesMax: BATCH_BYTES_MAX, recordsMax: records });
    for (const value of values) {
      if (!builder.tryAdd({ value }, NOW_MS)) throw new RangeError('these records do not fit in one batch');
    }
    return builder.build(crc32c);
  };
  const batch = build();
  const limits = { batchBytesMax: BATCH_BYTES_MAX };
  const producer = { id: '00112233445566778899aabbccddeeff', epoch: 0, sequence: 0 };
  const append = {
    kind: 'append',
    topic: { id: 7 },
    partition: 0,
    producer,
    redirect: false,
    timeoutMs: 10_000,
  } as const;
  const frame = Buffer.concat(encodeFrame(0, { ...append, requestId: 1 }, [batch]));
  let requestId = 0;
  const spec = (name: string, unit: string, target?: number): FigureSpec => ({
    name,
    unit,
    better: 'higher',
    ...(target !== undefined && { target }),
  });
  return [
    { spec: spec('build a batch', 'records/s', 2e6), items: records, run: () => void build() },
    {
      spec: spec('check a produced batch', 'batches/s'),
      items: 1,
      run: () => void checkProducedBatch(batch, limits, crc32c),
    },
    {
      spec: spec('verify and decode a batch', 'records/s'),
      items: records,
      run: () => {
        verifyBatch(batch, crc32c);
        decodeRecords(batch);
      },
    },
    {
      spec: spec('encode an APPEND', 'frames/s'),
      items: 1,
      run: () => void encodeFrame(0, { ...append, requestId: ++requestId }, [batch]),
    },
    { spec: spec('decode an APPEND', 'frames/s'), items: 1, run: () => void decodeFrame(frame) },
  ];
}

function perSecond(work: Work, seconds: number): number {
  const begunMs = performance.now();
  let nowMs = begunMs;
  let items = 0;
  while (nowMs - begunMs < seconds * 1_000) {
    for (let n = 0; n < 16; n++) work.run();
    items += 16 * work.items;
    nowMs = performance.now();
  }
  return (items * 1_000) / (nowMs - begunMs);
}
