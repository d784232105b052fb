/** The verbs over HTTP, as docs/http.md has them, by the `fetch` that everybody has. Nothing is tried again. */
import { type ErrorCode, LogError, type Outcome } from '../../src/client/index.ts';
import type { Appended, Incoming, NumberedProducer, Outgoing, Page, Start, TopicFacts, Verbs } from './verbs.ts';

/** Bodies of many shapes; what a case looks at, it compares. */
type Json = Readonly<Record<string, unknown>>;

interface JsonBytes {
  readonly value?: string;
  readonly valueBase64?: string;
}

interface JsonRecord extends JsonBytes {
  readonly offset: number;
  readonly timestamp: number;
  readonly key?: string | null;
  readonly keyBase64?: string;
  readonly headers: Readonly<Record<string, string>> | readonly (JsonBytes & { readonly key: string })[];
}

/** @param url http://host:port of one node. */
export function httpVerbs(node: string, url: string): Verbs {
  const call = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Json> =>
    request(`${url}${path}`, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  const at = (topic: string, rest = ''): string => `/v1/topics/${encodeURIComponent(topic)}${rest}`;
  const post = async (topic: string, partition: number, records: readonly Outgoing[], headers = {}) =>
    appendedOf(
      await call('POST', at(topic, `/records?partition=${partition}`), { records: records.map(jsonOf) }, headers),
    );
  const numbered: NonNullable<Verbs['appendNumbered']> = (topic, value, { id, epoch, sequence }) => {
    const numbers = { 'producer-id': id, 'producer-epoch': `${epoch}`, 'producer-seq': `${sequence}` };
    return post(topic, 0, [{ value }], numbers);
  };
  return {
    face: 'HTTP',
    node,
    create: async (spec) => topicOf(await call('POST', '/v1/topics', spec)),
    describe: async (name) => topicOf(await call('GET', at(name))),
    list: async () => ((await call('GET', '/v1/topics')).topics as readonly Json[]).map(topicOf),
    async remove(name) {
      await call('DELETE', at(name));
    },
    async trim(topic, before) {
      await call('POST', at(topic, '/trim'), { before });
    },
    append: (topic, record, partition = 0) => post(topic, partition, [record]),
    appendBatch: (topic, records) => post(topic, 0, records),
    async read(topic, { from, ...rest }) {
      const query = new URLSearchParams({ offset: startOf(from) });
      for (const [name, value] of Object.entries(rest)) {
        if (value !== undefined) query.set(name, String(value));
      }
      const page = await call('GET', at(topic, `/records?${query}`));
      return { ...page, records: (page.records as readonly JsonRecord[]).map(incomingOf) } as unknown as Page;
    },
    // HTTP has no verb of that name; a topic's description has what its leaders say.
    async tail(topic, partition = 0) {
      const found = topicOf(await call('GET', at(topic))).partitions[partition];
      if (found === undefined) throw new LogError('PARTITION_NOT_FOUND');
      return found.tail;
    },
    appendNumbered: numbered,
    producer(topic, identity): NumberedProducer {
      let sequence = 0;
      return {
        send: (value) => numbered(topic, value, { ...identity, sequence: sequence++ }),
        close: async () => {},
      };
    },
    close: async () => {},
  };
}

/** @throws LogError as the problem says; an Error for what is no problem+json, which no answer outside 2xx may be. */
export async function request(url: string, init: RequestInit): Promise<Json> {
  const headers = new Headers(init.headers);
  if (init.body !== undefined && !headers.has('content-type')) headers.set('content-type', 'application/json');
  const response = await fetch(url, { ...init, headers });
  const text = await response.text();
  if (response.ok) return text === '' ? {} : (JSON.parse(text) as Json);
  const type = response.headers.get('content-type');
  if (type !== 'application/problem+json') throw new Error(`${response.status} came as ${type}: ${text}`);
  const { code, detail, outcome, type: _type, title: _title, retriable: _retriable, ...details } = JSON.parse(text);
  throw new LogError(code as ErrorCode, detail as string, { outcome: outcome as Outcome, details });
}

function startOf(from: Start): string {
  if (typeof from === 'string') return from;
  if ('offset' in from) return String(from.offset);
  throw new Error(`HTTP reads begin at a number, earliest or latest, not ${JSON.stringify(from)}`);
}

function jsonOf({ value, key, headers, timestamp }: Outgoing): Json {
  return {
    valueBase64: base64(value),
    ...(key === undefined ? {} : { keyBase64: base64(key) }),
    ...(headers === undefined
      ? {}
      : { headers: headers.map((header) => ({ key: header.key, valueBase64: base64(header.value) })) }),
    ...(timestamp === undefined ? {} : { timestamp }),
  };
}

function incomingOf(record: JsonRecord): Incoming {
  const { offset, timestamp, key, keyBase64, headers } = record;
  const hasKey = keyBase64 !== undefined || (key !== undefined && key !== null);
  return {
    offset,
    timestamp,
    key: hasKey ? bytesOf({ value: key as string, valueBase64: keyBase64 } as JsonBytes) : undefined,
    value: bytesOf(record),
    headers: Array.isArray(headers)
      ? headers.map((header: JsonBytes & { readonly key: string }) => ({ key: header.key, value: bytesOf(header) }))
      : Object.entries(headers as Record<string, string>).map(([name, value]) => ({
          key: name,
          value: bytesOf({ value }),
        })),
  };
}

function appendedOf(json: Json): Appended {
  const { offset, lastOffset, ...rest } = json as unknown as Omit<Appended, 'offset' | 'lastOffset'> & {
    readonly offset: number | null;
    readonly lastOffset: number | null;
  };
  return { ...rest, offset: offset ?? undefined, lastOffset: lastOffset ?? undefined };
}

function topicOf(json: Json): TopicFacts {
  const { name, id, partitions } = json as unknown as TopicFacts;
  return { name, id, partitions: partitions.map((one) => ({ ...one, leader: one.leader ?? undefined })) };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

function bytesOf({ value, valueBase64 }: JsonBytes): Uint8Array {
  return valueBase64 === undefined ? Buffer.from(value as string, 'utf8') : Buffer.from(valueBase64, 'base64');
}
