/** Topics of the fake cluster: real batches in memory, producers judged as the real ones are. */
import {
  decodeRecords,
  LogError,
  type ProducerTuple,
  patchBatch,
  readBatchHeader,
} from '../../../src/protocol/index.ts';

export interface StoredBatch {
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly nextOffset: number;
  readonly producer: ProducerTuple | undefined;
}

interface ProducerState {
  epoch: number;
  nextSequence: number;
  readonly window: { readonly sequence: number; readonly offset: number }[];
}

export class FakePartition {
  leader: string;
  term: number = 1;
  earliest: number = 0;
  readonly batches: StoredBatch[] = [];
  readonly producers: Map<string, ProducerState> = new Map();
  readonly replicas: readonly string[];

  constructor(leader: string, replicas: readonly string[]) {
    this.leader = leader;
    this.replicas = replicas;
  }

  get tail(): number {
    return this.batches.at(-1)?.nextOffset ?? 0;
  }

  /** Values of all records, in order, as text. */
  values(): string[] {
    const text = new TextDecoder();
    return this.batches.flatMap(({ bytes }) => decodeRecords(bytes).map(({ value }) => text.decode(value)));
  }

  /** The verdict on a producer's batch, and its effect. */
  append(bytes: Uint8Array, producer: ProducerTuple | undefined): { offset: number | undefined; duplicate: boolean } {
    const { recordCount } = readBatchHeader(bytes);
    const state = producer && this.#state(producer);
    if (producer !== undefined && state !== undefined) {
      if (producer.epoch < state.epoch)
        throw new LogError('PRODUCER_FENCED', undefined, { details: { epoch: state.epoch } });
      if (producer.sequence > state.nextSequence) {
        const details = { expected: state.nextSequence, received: producer.sequence };
        throw new LogError('SEQUENCE_GAP', undefined, { details });
      }
      if (producer.sequence < state.nextSequence) {
        const known = state.window.find(({ sequence }) => sequence === producer.sequence);
        return { offset: known?.offset, duplicate: true };
      }
    }
    const offset = this.tail;
    const stored = new Uint8Array(bytes);
    patchBatch(stored, offset, this.term);
    this.batches.push({ bytes: stored, offset, nextOffset: offset + recordCount, producer });
    if (producer !== undefined && state !== undefined) {
      state.window.push({ sequence: producer.sequence, offset });
      if (state.window.length > 5) state.window.shift();
      state.nextSequence += recordCount;
    }
    return { offset, duplicate: false };
  }

  #state(producer: ProducerTuple): ProducerState {
    let state = this.producers.get(producer.id);
    if (state === undefined || producer.epoch > state.epoch) {
      state = { epoch: producer.epoch, nextSequence: 0, window: [] };
      this.producers.set(producer.id, state);
    }
    return state;
  }
}

export interface FakeTopic {
  readonly id: number;
  readonly name: string;
  readonly partitions: readonly FakePartition[];
}
