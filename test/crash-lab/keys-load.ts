/**
 * A producer on a compacted topic and what it must find there in the end: of each key the last value that was
 * acknowledged, or one whose outcome is unknown, and never an older one or none. The judge of the histories counts
 * offsets and knows no holes; so this has a check of its own.
 */
import { type Client, connect, LogError } from '../../src/client/index.ts';
import type { TestNode } from '../cluster/support/test-node.ts';

const KEYS = 200;
const BATCH_RECORDS = 40;
const FILLER = 'abcdefghij'.repeat(100);
const PAUSE_MS = 20;
const LIMIT = 1_000;

/** Of one key: versions that may be the last one. */
interface Expected {
  acked: number;
  readonly unknown: Set<number>;
}

export class KeysLoad {
  readonly #topic: string;
  readonly #client: Client;
  readonly #expected: Expected[] = Array.from({ length: KEYS }, () => ({ acked: -1, unknown: new Set() }));
  #isWriting = true;
  readonly #work: Promise<void>;
  ackedBatches = 0;

  private constructor(topic: string, client: Client) {
    this.#topic = topic;
    this.#client = client;
    this.#work = this.#write();
    // Told of by stop(); until then a failure must not end the process.
    this.#work.catch(() => undefined);
  }

  static async start(servers: readonly string[], topic: string): Promise<KeysLoad> {
    return new KeysLoad(topic, await connect(servers, { requestTimeoutMs: 20_000 }));
  }

  async stop(): Promise<void> {
    this.#isWriting = false;
    await this.#work;
    await this.#client.close();
  }

  /** @returns what is wrong with that node's copy, a line each; empty when nothing is. */
  async wrongOn(node: TestNode): Promise<string[]> {
    const found = await lastVersions(node, this.#topic);
    return this.#expected.flatMap(({ acked, unknown }, key) => {
      const version = found.get(`k${key}`);
      const isRight = version === acked || (version === undefined ? acked === -1 : unknown.has(version));
      return isRight ? [] : `${node.id}: the last version of k${key} is ${version}, acknowledged was ${acked}`;
    });
  }

  async #write(): Promise<void> {
    const topic = this.#client.topic(this.#topic);
    for (let version = 0; this.#isWriting; version++) {
      const keys = Array.from({ length: BATCH_RECORDS }, (_, at) => (version * BATCH_RECORDS + at) % KEYS);
      const records = keys.map((key) => ({ key: Buffer.from(`k${key}`), value: Buffer.from(`${version}|${FILLER}`) }));
      const outcome = await topic.appendBatch(records).then(
        () => 'acked',
        (error: unknown) => {
          if (!LogError.is(error)) throw error;
          return error.outcome;
        },
      );
      for (const key of keys) {
        const expected = this.#expected[key]!;
        if (outcome === 'acked') expected.acked = version;
        if (outcome === 'unknown') expected.unknown.add(version);
      }
      if (outcome === 'acked') this.ackedBatches++;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}

interface RecordsAnswer {
  readonly records: readonly { readonly key: string; readonly value: string }[];
  readonly nextOffset: number;
  readonly tail: number;
}

/** Read from the start of the log, as that node serves it. */
async function lastVersions(node: TestNode, topic: string): Promise<ReadonlyMap<string, number>> {
  const versions = new Map<string, number>();
  for (let offset = 0; ; ) {
    const answer = (await node.get(`/v1/topics/${topic}/records?offset=${offset}&limit=${LIMIT}`)) as RecordsAnswer;
    for (const { key, value } of answer.records) {
      const [version, filler] = value.split('|');
      versions.set(key, filler === FILLER ? Number(version) : Number.NaN);
    }
    offset = answer.nextOffset;
    if (offset >= answer.tail) return versions;
  }
}
