/**
 * Clients of the lab: producers that keep records in flight and go on after every failure, some that post records to
 * whichever node with nothing but `fetch`, a subscriber at the tail, a reader that asks one node after the other, and
 * somebody who asks for the tail. All of it is noted in one history.
 *
 * A value is its own proof: the name of its record and filler made from that name, so that wrong bytes show.
 */
import { type Client, connect, LogError, type Subscription } from '../../src/client/index.ts';
import type { TestNode } from '../cluster/support/test-node.ts';
import type { Prng } from '../raft/support/prng.ts';
import { type Outcome, Recorder, type Sighting } from '../sim/oracle/index.ts';

/** Single records of one producer that wait for their answer. */
const PIPELINE = 24;
/** Records of one call of the batching client. */
const BATCH_RECORDS = 40;
const POSTERS = 4;
const FILLER_BYTES_MAX = 400;
const PAUSE_MS = 20;
const REQUEST_TIMEOUT_MS = 20_000;
const LIMIT = 1_000;

export interface LoadOptions {
  readonly servers: readonly string[];
  readonly nodes: readonly TestNode[];
  readonly topic: string;
  readonly random: Prng;
  /** From there on writers trickle: the history of a run has to fit into memory. */
  readonly recordsMax: number;
}

export class Load {
  readonly history: Recorder = new Recorder();
  acked = 0;
  /** Codes of failures, with how often each came. */
  readonly failures: Map<string, number> = new Map();
  /** One past the last record the subscriber was handed. */
  delivered = 0;
  readonly #options: LoadOptions;
  readonly #partition: string;
  readonly #clients: Client[] = [];
  #probes = 0;
  #isWriting = true;
  #isReading = true;
  #subscription: Subscription<Uint8Array> | undefined;
  #writers: readonly Promise<void>[] = [];
  #readers: readonly Promise<void>[] = [];

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#partition = `${options.topic}/0`;
  }

  async start(): Promise<void> {
    const [one, two, batching, following, asking] = await Promise.all(
      Array.from({ length: 5 }, () => connect(this.#options.servers, { requestTimeoutMs: REQUEST_TIMEOUT_MS })),
    );
    this.#clients.push(one!, two!, batching!, following!, asking!);
    const posters = Array.from({ length: POSTERS }, (_, at) => this.#post(`f${at + 1}`));
    this.#writers = [this.#produce('p1', one!), this.#produce('p2', two!), this.#append('b1', batching!), ...posters];
    this.#readers = [this.#follow(following!), this.#read(), this.#ask(asking!)];
    // Told of by stop(); until then a failure must not end the process.
    for (const work of [...this.#writers, ...this.#readers]) work.catch(() => undefined);
  }

  async stopWriting(): Promise<void> {
    this.#isWriting = false;
    await Promise.all(this.#writers);
  }

  /** Waits until the subscriber was handed everything below `tail`, then ends all readers. */
  async stopReading(tail: number, timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (this.delivered < tail && performance.now() < deadline) await pause();
    if (this.delivered >= tail) this.history.note({ kind: 'drained', client: 's1', partition: this.#partition });
    this.#isReading = false;
    await this.#subscription?.close();
    await Promise.all(this.#readers);
    await Promise.all(this.#clients.map((client) => client.close()));
  }

  /** One record over HTTP, to that node and without a retry. @returns the code of its refusal. */
  appendOnce(node: TestNode): Promise<string | undefined> {
    this.#probes++;
    return this.#postOne(node, 'o1', `o1-${this.#probes}`);
  }

  async #postOne({ address }: TestNode, client: string, value: string): Promise<string | undefined> {
    const { topic } = this.#options;
    const op = this.history.begin({ kind: 'append', client, partition: this.#partition, values: [value] });
    let answer: PostAnswer;
    try {
      const response = await fetch(`http://${address}/v1/topics/${topic}/records?partition=0`, {
        method: 'POST',
        headers: { 'content-type': 'application/octet-stream' },
        body: encode(value),
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
      answer = (await response.json()) as PostAnswer;
    } catch {
      // No answer, or not a whole one.
      answer = { code: 'CONNECTION', outcome: 'unknown' };
    }
    if ('code' in answer) {
      const { code, outcome } = answer;
      this.history.end(op, { kind: 'failed', outcome, code });
      return code;
    }
    this.#acked(op, answer.offset, 1);
    return undefined;
  }

  /** Ends everything at once; nobody wants to know any more. */
  async abandon(): Promise<void> {
    this.#isWriting = false;
    this.#isReading = false;
    await Promise.all(this.#clients.map((client) => client.close().catch(() => undefined)));
    await Promise.allSettled([...this.#writers, ...this.#readers]);
  }

  async #pace(): Promise<void> {
    if (this.acked >= this.#options.recordsMax) await pause();
  }

  /**
   * One idempotent producer after the other: each ends at its first failure, as an application that must know would.
   */
  async #produce(name: string, client: Client): Promise<void> {
    for (let life = 0; this.#isWriting; life++) {
      const who = `${name}.${life}`;
      const producer = client.topic(this.#options.topic).producer();
      const inFlight = new Set<Promise<void>>();
      let isFailed = false;
      for (let order = 0; this.#isWriting && !isFailed; order++) {
        await this.#pace();
        const value = `${who}-${order}`;
        const append = { kind: 'append', client: who, partition: this.#partition, values: [value], order } as const;
        const op = this.history.begin(append);
        const sending = producer.send({ value: encode(value) }).then(
          ({ offset }) => this.#acked(op, offset, 1),
          (error: unknown) => {
            isFailed = true;
            this.#failed(op, error);
          },
        );
        inFlight.add(sending);
        void sending.finally(() => inFlight.delete(sending));
        if (inFlight.size >= PIPELINE) await Promise.all(inFlight);
      }
      await Promise.all(inFlight);
      await producer.close().catch(() => undefined);
      if (this.#isWriting) await pause();
    }
  }

  async #append(name: string, client: Client): Promise<void> {
    const topic = client.topic(this.#options.topic);
    for (let call = 0; this.#isWriting; call++) {
      const batchRecords = this.acked < this.#options.recordsMax ? BATCH_RECORDS : 1;
      const values = Array.from({ length: batchRecords }, (_, at) => `${name}-${call}-${at}`);
      const op = this.history.begin({ kind: 'append', client: name, partition: this.#partition, values });
      // Batches are for the count; single records, sent as fast as they are answered, are for the load.
      await pause();
      await topic.appendBatch(values.map((value) => ({ value: encode(value) }))).then(
        ({ offset }) => this.#acked(op, offset, values.length),
        (error: unknown) => this.#failed(op, error),
      );
    }
  }

  async #post(name: string): Promise<void> {
    const { nodes, random } = this.#options;
    for (let call = 0; this.#isWriting; call++) {
      await this.#pace();
      const code = await this.#postOne(random.pick(nodes), name, `${name}-${call}`);
      if (code === undefined) continue;
      this.failures.set(code, (this.failures.get(code) ?? 0) + 1);
      await pause();
    }
  }

  #acked(op: number, offset: number | undefined, records: number): void {
    this.history.end(op, { kind: 'acked', offset: offset ?? null });
    this.acked += records;
  }

  #failed(op: number, error: unknown): void {
    if (!LogError.is(error)) throw error;
    this.failures.set(error.code, (this.failures.get(error.code) ?? 0) + 1);
    this.history.end(op, { kind: 'failed', outcome: error.outcome, code: error.code });
  }

  /** Subscribes, and again where it was when that ends. */
  async #follow(client: Client): Promise<void> {
    while (this.#isReading) {
      this.#subscription = client.topic(this.#options.topic).subscribe({ from: { offset: this.delivered } });
      try {
        for await (const batch of this.#subscription.batches()) {
          // An answer that was on its way: it is noted as one read, begun when it is handed over.
          const read = { kind: 'read', client: 's1', partition: this.#partition, from: this.delivered } as const;
          const op = this.history.begin({ ...read, level: 'any' });
          const records = batch.records.map(({ offset, value }) => sighting(offset, value));
          this.history.end(op, { kind: 'records', from: batch.offset, next: batch.nextOffset, records });
          this.delivered = batch.nextOffset;
        }
      } catch (error) {
        if (!LogError.is(error)) throw error;
        this.failures.set(error.code, (this.failures.get(error.code) ?? 0) + 1);
        await pause();
      }
    }
  }

  /** Goes through the log over HTTP, each step on any node, and begins again at the end. */
  async #read(): Promise<void> {
    const { nodes, random, topic } = this.#options;
    let from = 0;
    while (this.#isReading) {
      const node = random.pick(nodes);
      const call = { kind: 'read', client: 'h1', partition: this.#partition, from, level: 'any' } as const;
      const op = this.history.begin(call);
      try {
        const answer = await readOver(node, topic, from);
        const { nextOffset: next, earliest, tail } = answer;
        const records = answer.records.map(({ offset, value }) => sighting(offset, Buffer.from(value)));
        this.history.end(op, { kind: 'records', from, next, earliest, tail, records, node: node.id });
        from = next >= tail ? random.below(tail + 1) : next;
      } catch {
        this.history.end(op, { kind: 'failed', outcome: 'none' });
      }
      await pause();
    }
  }

  async #ask(client: Client): Promise<void> {
    const topic = client.topic(this.#options.topic);
    while (this.#isReading) {
      const call = { kind: 'tail', client: 't1', partition: this.#partition, level: 'linearizable' } as const;
      const op = this.history.begin(call);
      try {
        const { earliest, offset } = await topic.tail(0);
        this.history.end(op, { kind: 'tailIs', earliest, tail: offset });
      } catch (error) {
        if (!LogError.is(error)) throw error;
        this.history.end(op, { kind: 'failed', outcome: error.outcome, code: error.code });
      }
      await pause();
    }
  }
}

type PostAnswer = { readonly offset: number } | { readonly code: string; readonly outcome: Outcome };

interface RecordsAnswer {
  readonly records: readonly { readonly offset: number; readonly value: string }[];
  readonly nextOffset: number;
  readonly earliest: number;
  readonly tail: number;
}

async function readOver(node: TestNode, topic: string, offset: number): Promise<RecordsAnswer> {
  return (await node.get(`/v1/topics/${topic}/records?offset=${offset}&limit=${LIMIT}`)) as RecordsAnswer;
}

/** All that one node holds, as it serves it. */
export async function readReplica(
  node: TestNode,
  topic: string,
): Promise<{ readonly earliest: number; readonly tail: number; readonly records: Sighting[] }> {
  const records: Sighting[] = [];
  const { earliest } = await readOver(node, topic, 0);
  for (let offset = earliest; ; ) {
    const answer = await readOver(node, topic, offset);
    for (const record of answer.records) records.push(sighting(record.offset, Buffer.from(record.value)));
    offset = answer.nextOffset;
    if (answer.records.length === 0 || offset >= answer.tail) return { earliest, tail: offset, records };
  }
}

function encode(name: string): Buffer<ArrayBuffer> {
  return Buffer.from(`${name}|${fillerOf(name)}`);
}

function sighting(offset: number, value: Uint8Array): Sighting {
  const text = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1');
  const at = text.indexOf('|');
  const name = text.slice(0, Math.max(at, 0));
  return text.slice(at + 1) === fillerOf(name) ? { offset, value: name } : { offset, value: text, isDamaged: true };
}

const FILLER = 'abcdefghijklmnopqrstuvwxyz0123456789'.repeat(Math.ceil((FILLER_BYTES_MAX + 36) / 36));

/** Of a length and a beginning that depend on the name. */
function fillerOf(name: string): string {
  let hash = 0;
  for (let at = 0; at < name.length; at++) hash = (Math.imul(hash, 31) + name.charCodeAt(at)) >>> 0;
  return FILLER.slice(hash % 36, (hash % 36) + (hash % FILLER_BYTES_MAX));
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}
