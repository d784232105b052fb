/**
 * The works, the same for every driver: what a sender, a batching producer or a reader is asked to do and how that is
 * timed. Runs in the client process. Times are taken by the clock of that process alone.
 */
import { setTimeout as delay } from 'node:timers/promises';
import autocannon from 'autocannon';
import { makeValues } from '../payload.ts';
import { type Distribution, distributionOf } from '../statistics.ts';
import type { Driver, Sender, Throughput } from './peer.ts';

const VALUES = 1_024;
const RETRY_MS = 5;
const CONNECTS_AT_ONCE = 20;
/** A failover is over when acks have come for so long without a pause. */
const STEADY_MS = 1_000;
const PAUSE_MS = 200;
const POLL_MS = 50;

export interface TopicLoad {
  readonly topic: string;
  readonly size: number;
  readonly seconds: number;
}

export async function produce(driver: Driver, { topic, size, seconds }: TopicLoad): Promise<Throughput> {
  return need(driver.produce, 'produce').call(driver, topic, { values: makeValues(VALUES, size), seconds });
}

/** Reads the topic again and again until the time is used up, once at least. */
export async function consume(
  driver: Driver,
  { topic, records, seconds }: { readonly topic: string; readonly records: number; readonly seconds: number },
): Promise<Throughput> {
  const read = need(driver.consume, 'consume');
  const total = { records: 0, seconds: 0 };
  do {
    const pass = await read.call(driver, topic, records);
    total.records += pass.records;
    total.seconds += pass.seconds;
  } while (total.seconds < seconds && driver.consumesOnce !== true);
  return total;
}

/** One record in flight on each of the connections. @returns ms from sent to acknowledged. */
export async function singles(
  driver: Driver,
  { topic, size, seconds, connections }: TopicLoad & { readonly connections: number },
): Promise<Throughput & { readonly ms: Distribution }> {
  const connect = need(driver.sender, 'sender');
  const [value] = makeValues(1, size);
  const senders: Sender[] = [];
  while (senders.length < connections) {
    const group = Math.min(CONNECTS_AT_ONCE, connections - senders.length);
    senders.push(...(await Promise.all(Array.from({ length: group }, () => connect.call(driver, topic)))));
  }
  // One each, uncounted: what a first send has to find out is found out.
  await Promise.all(senders.map((sender) => sender.send(value!)));
  const begunMs = performance.now();
  const untilMs = begunMs + seconds * 1_000;
  const samples = await Promise.all(senders.map((sender) => oneByOne(sender, value!, untilMs)));
  const elapsedSeconds = (performance.now() - begunMs) / 1_000;
  await Promise.all(senders.map((sender) => sender.close()));
  const all = samples.flat();
  return { records: all.length, seconds: elapsedSeconds, ms: distributionOf(all) };
}

async function oneByOne(sender: Sender, value: Uint8Array, untilMs: number): Promise<number[]> {
  const samples: number[] = [];
  let nowMs = performance.now();
  while (nowMs < untilMs) {
    await sender.send(value);
    const doneMs = performance.now();
    samples.push(doneMs - nowMs);
    nowMs = doneMs;
  }
  return samples;
}

/** One request in flight on each of the connections. */
export async function http(
  driver: Driver,
  { topic, size, seconds, connections }: TopicLoad & { readonly connections: number },
): Promise<Throughput> {
  const [value] = makeValues(1, size);
  const request = await need(driver.httpRequest, 'httpRequest').call(driver, topic, value!);
  const { url, body, headers } = request;
  const result = await autocannon({ url, body, headers, method: 'POST', connections, duration: seconds });
  if (result.errors > 0 || result.non2xx > 0) {
    throw new Error(`${url}: ${result.non2xx} answers outside 2xx, ${result.errors} errors, ${result['2xx']} good`);
  }
  return { records: result['2xx'], seconds: result.duration };
}

/** Keeps records in flight through a failover, sending again what failed, until it is stopped. */
export class SteadyLoad {
  readonly #sender: Sender;
  readonly #lanes: readonly Promise<void>[];
  /** performance.now() of each acknowledgement, ascending. */
  readonly #ackTimesMs: number[] = [];
  #isStopping = false;
  #lastFailure: unknown;

  private constructor(sender: Sender, size: number, lanes: number) {
    this.#sender = sender;
    const [value] = makeValues(1, size);
    this.#lanes = Array.from({ length: lanes }, () => this.#lane(value!));
  }

  static async start(driver: Driver, load: { topic: string; size: number; lanes: number }): Promise<SteadyLoad> {
    const sender = await need(driver.sender, 'sender').call(driver, load.topic);
    await sender.send(makeValues(1, load.size)[0]!);
    return new SteadyLoad(sender, load.size, load.lanes);
  }

  /**
   * Watches `watchMs` from now on, and on until acks come steadily again. Called at the moment of the kill.
   * @returns the longest time between two acks, ms. @throws when they do not come back in time.
   */
  async gapFromNow(watchMs: number, timeoutMs: number): Promise<number> {
    const sinceMs = performance.now();
    while (performance.now() - sinceMs < watchMs || !this.#isSteady()) {
      if (performance.now() - sinceMs > timeoutMs) {
        throw new Error(`no steady acks ${timeoutMs} ms after the kill: ${String(this.#lastFailure)}`);
      }
      await delay(POLL_MS);
    }
    return longestGap(
      this.#ackTimesMs.filter((each) => each >= sinceMs),
      sinceMs,
    );
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#lanes);
    await this.#sender.close();
  }

  #isSteady(): boolean {
    const nowMs = performance.now();
    const recent = this.#ackTimesMs.filter((each) => each >= nowMs - STEADY_MS);
    return longestGap([...recent, nowMs], nowMs - STEADY_MS) < PAUSE_MS;
  }

  async #lane(value: Uint8Array): Promise<void> {
    while (!this.#isStopping) {
      try {
        await this.#sender.send(value);
        this.#ackTimesMs.push(performance.now());
      } catch (error) {
        this.#lastFailure = error;
        await delay(RETRY_MS);
      }
    }
  }
}

/** Between neighbours of `timesMs`, the time before the first included. */
export function longestGap(timesMs: readonly number[], sinceMs: number): number {
  let previousMs = sinceMs;
  let longest = 0;
  for (const timeMs of timesMs) {
    longest = Math.max(longest, timeMs - previousMs);
    previousMs = timeMs;
  }
  return longest;
}

function need<T>(method: T | undefined, name: string): T {
  if (method === undefined) throw new Error(`this driver has no ${name}`);
  return method;
}
