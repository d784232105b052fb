/**
 * State machine safety: at the same index every replica has applied the same entries, and is in the same state: high
 * watermark, log start, producer table, and the catalog on group 0. The log start never goes down and never passes the
 * high watermark. Source: Raft paper 5.4.3, R28, L1; design 5 (duplicates).
 */

import { ByteWriter } from '../../../src/partition/bytes.ts';
import type { PartitionState } from '../../../src/partition/state.ts';
import { crc32c } from '../../../storage/index.ts';
import { atOnce, encodeState } from '../../partition/support/state-bytes.ts';
import { type Invariant, Violation } from './view.ts';

/** The whole state is compared at every so many entries: encoding it costs more than applying one. */
const WHOLE_STATE_EVERY = 32;

interface Applied {
  readonly chainHigh: number;
  readonly chainLow: number;
  readonly highWatermark: number;
  readonly logStart: number;
  readonly stateSum: number | undefined;
  /** By itself: a snapshot that leaves the table out is left out of by every replica in the same way. */
  readonly producersSum: number | undefined;
}

export function appliedStateEqual(): Invariant {
  const applied = new Map<number, Map<number, Applied>>();
  const logStarts = new WeakMap<PartitionState, number>();
  return {
    name: 'applied state is equal at equal indexes',
    source: 'Raft paper 5.4.3, R28',
    applied({ id }, { index, chain }, state) {
      const { highWatermark, logStart } = state;
      if (logStart > highWatermark)
        throw new Violation(`group ${id}: log start ${logStart}, high watermark ${highWatermark}`);
      if (logStart < (logStarts.get(state) ?? 0))
        throw new Violation(`group ${id}: log start ${logStarts.get(state)} became ${logStart}`);
      logStarts.set(state, logStart);
      const isWhole = index % WHOLE_STATE_EVERY === 0;
      const stateSum = isWhole ? crc32c(encodeState(state)) : undefined;
      const producersSum = isWhole ? sumOfProducers(state) : undefined;
      const chains = { chainHigh: chain.high, chainLow: chain.low };
      const now: Applied = { ...chains, highWatermark, logStart, stateSum, producersSum };
      let known = applied.get(id);
      if (known === undefined) {
        known = new Map();
        applied.set(id, known);
      }
      const before = known.get(index);
      if (before === undefined) known.set(index, now);
      else compare(id, index, before, now);
    },
  };
}

function sumOfProducers({ producers }: PartitionState): number {
  const frozen = producers.freeze();
  const writer = new ByteWriter(frozen.bytes);
  atOnce(frozen.encode(writer));
  return crc32c(writer.finish());
}

function compare(group: number, index: number, one: Applied, other: Applied): void {
  for (const field of ['chainHigh', 'chainLow', 'highWatermark', 'logStart', 'stateSum', 'producersSum'] as const) {
    if (one[field] === other[field]) continue;
    throw new Violation(
      `group ${group}: at index ${index} two replicas differ in ${field}: ${one[field]} and ${other[field]}`,
    );
  }
}
