/** The works as the bench gives them to one client after the other, and the figures that come of them. */
import type { FigureSpec } from '../result.ts';
import type { ClientProcess } from './client-process.ts';
import type { ClientSpec, Offer, RatioName, RunningPeer } from './peer.ts';

const SMALL_BYTES = 100;
const LARGE_BYTES = 1_024;
const HTTP_CONNECTIONS = 100;

export const SPECS: Readonly<Record<RatioName, Pick<FigureSpec, 'unit' | 'better'>>> = {
  'produce 100 B': { unit: 'records/s', better: 'higher' },
  'consume 100 B': { unit: 'records/s', better: 'higher' },
  'produce 1 KiB': { unit: 'MB/s', better: 'higher' },
  'one in flight p50': { unit: 'ms', better: 'lower' },
  'one in flight p99': { unit: 'ms', better: 'lower' },
  singles: { unit: 'records/s', better: 'higher' },
  'HTTP POST': { unit: 'requests/s', better: 'higher' },
  'failover gap': { unit: 'ms', better: 'lower' },
};

/** One client of one side, open. */
export interface Contestant {
  readonly system: RunningPeer;
  readonly spec: ClientSpec;
  readonly process: ClientProcess;
  readonly offer: Offer;
  /** Unique within the pairing, for names of topics. */
  readonly id: string;
  /** One a counted repeat. */
  readonly samples: Map<RatioName, number[]>;
  /** Names of works that are not asked of it any more. */
  readonly failed: Set<string>;
}

export type Numbers = Partial<Record<RatioName, number>>;

export interface Round {
  /** 0: the one that is not counted. */
  readonly repeat: number;
  readonly seconds: number;
  readonly connections: number;
}

export interface Work {
  readonly name: string;
  offers(offer: Offer): boolean;
  measure(contestant: Contestant, round: Round): Promise<Numbers>;
}

export const WORKS: readonly Work[] = [
  {
    name: 'small',
    offers: ({ produce }) => produce === true,
    async measure({ process, offer, id }, { repeat, seconds }) {
      const topic = `small-${id}-${repeat}`;
      await process.call('createTopic', { topic });
      const produced = await process.call('produce', { topic, size: SMALL_BYTES, seconds });
      const numbers: Numbers = { 'produce 100 B': produced.records / produced.seconds };
      if (offer.consume === true) {
        const read = await process.call('consume', { topic, records: produced.records, seconds });
        numbers['consume 100 B'] = read.records / read.seconds;
      }
      await process.call('deleteTopic', { topic });
      return numbers;
    },
  },
  {
    name: 'large',
    offers: ({ produce }) => produce === true,
    async measure({ process, id }, { repeat, seconds }) {
      const topic = `large-${id}-${repeat}`;
      await process.call('createTopic', { topic });
      const { records, seconds: took } = await process.call('produce', { topic, size: LARGE_BYTES, seconds });
      await process.call('deleteTopic', { topic });
      return { 'produce 1 KiB': (records * LARGE_BYTES) / took / 1e6 };
    },
  },
  {
    name: 'one in flight',
    offers: ({ sender }) => sender === true,
    async measure({ process, id }, { repeat, seconds }) {
      const topic = `latency-${id}-${repeat}`;
      await process.call('createTopic', { topic });
      const { ms } = await process.call('singles', { topic, size: SMALL_BYTES, seconds, connections: 1 });
      return { 'one in flight p50': ms.p50, 'one in flight p99': ms.p99 };
    },
  },
  {
    name: 'singles',
    offers: ({ sender, singlesOverHttp }) => sender === true || singlesOverHttp === true,
    async measure({ process, offer, id }, { repeat, seconds, connections }) {
      const topic = `singles-${id}-${repeat}`;
      await process.call('createTopic', { topic });
      const way = offer.singlesOverHttp === true ? 'http' : 'singles';
      const { records, seconds: took } = await process.call(way, { topic, size: SMALL_BYTES, seconds, connections });
      return { singles: records / took };
    },
  },
  {
    name: 'HTTP POST',
    offers: ({ httpRequest }) => httpRequest === true,
    async measure({ process, id }, { repeat, seconds }) {
      const topic = `http-${id}-${repeat}`;
      await process.call('createTopic', { topic });
      const load = { topic, size: SMALL_BYTES, seconds, connections: HTTP_CONNECTIONS };
      const { records, seconds: took } = await process.call('http', load);
      return { 'HTTP POST': records / took };
    },
  },
];
