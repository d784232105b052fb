/**
 * The HTTP door: one table of routes onto the broker's verbs, and the port it shares with the WebSocket door. Exact
 * contracts are in docs/http.md.
 *
 * Limits stand here: bytes of headers, time for headers and whole requests, bytes of bodies while they arrive, number
 * of connections. Every answer outside 2xx is problem+json, also those that Node or fastify give by themselves.
 * A connection is one client to admission, however many requests it carries.
 */
import type { IncomingMessage } from 'node:http';
import { METHODS, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import type { AppendResult, BrokerVerbs } from '../broker/index.ts';
import type { Env } from '../env.ts';
import { type Crc32c, LogError } from '../protocol/index.ts';
import { toldError } from './failures.ts';
import { type AppendTarget, type AppendWorld, appendJson, appendNdjson, appendRaw } from './http-append.ts';
import { HttpConnection } from './http-connection.ts';
import { addOperations, type OperationsWorld } from './http-health.ts';
import * as nodes from './http-nodes.ts';
import { sendProblem } from './http-problem.ts';
import { readRecords } from './http-read.ts';
import * as topics from './http-topics.ts';
import { checkNames, type Fields, numberOf, producerOf } from './http-values.ts';
import { listenOn } from './listen.ts';
import { isOriginAllowed, type OriginRule } from './origin.ts';
import { httpError, problemOf, rawAnswer } from './problem.ts';

const HEADER_BYTES_MAX = 8 * 1024;
const HEADERS_MS = 10_000;
/** A whole request; generous, because NDJSON of any length is one. */
const REQUEST_MS = 300_000;
const IDLE_MS = 60_000;

const FACE = { face: 'http' };

export interface HttpListenerOptions {
  readonly listen: { readonly host: string; readonly port: number };
  readonly origin: OriginRule;
  readonly connectionsMax: number;
  readonly recordBytesMax: number;
  readonly batchBytesMax: number;
}

export interface HttpWorld extends OperationsWorld {
  readonly env: Env;
  readonly crc32c: Crc32c;
}

type Handler = (request: FastifyRequest, reply: FastifyReply, broker: BrokerVerbs) => Promise<unknown> | unknown;

interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly url: string;
  readonly status?: number;
  /** Parameters allowed in the query; none when absent. Routes that check by themselves say 'own'. */
  readonly query?: 'own';
  readonly run: Handler;
}

export class HttpListener {
  readonly #world: HttpWorld;
  readonly #options: HttpListenerOptions;
  readonly #app: FastifyInstance;
  readonly #connections = new WeakMap<Socket, HttpConnection>();
  /** Reads under way: aborted when their client hangs up or the node drains. */
  readonly #reads = new Set<AbortController>();

  constructor(world: HttpWorld, options: HttpListenerOptions) {
    this.#world = world;
    this.#options = options;
    this.#app = fastify({
      http: {
        maxHeaderSize: HEADER_BYTES_MAX,
        headersTimeout: HEADERS_MS,
        // Node looks for late requests this often.
        connectionsCheckingInterval: 5_000,
        // Node would answer without a problem; the first hook does with one.
        requireHostHeader: false,
      },
      requestTimeout: REQUEST_MS,
      connectionTimeout: IDLE_MS,
      keepAliveTimeout: IDLE_MS,
      // Connections at rest are closed at once; answers under way are not cut off.
      forceCloseConnections: 'idle',
      // JSON may take six bytes for one, base64 four for three; NDJSON is counted by the line instead.
      bodyLimit: 2 * options.batchBytesMax + 65_536,
      routerOptions: { maxParamLength: 512 },
      exposeHeadRoutes: true,
      frameworkErrors: (error, _request, reply) => this.#sendError(error, reply),
      clientErrorHandler: (error, socket) => answerBroken(error, socket, this.#connection(socket).mayHaveEffect),
    });
    this.#app.server.maxConnections = options.connectionsMax;
    this.#app.server.on('checkExpectation', (_request, response) => {
      const { headers, body } = problemOf(httpError(417, 'the only expectation that is met is 100-continue'), 417);
      const length = { 'content-length': Buffer.byteLength(body) };
      response.writeHead(417, { ...headers, ...length, connection: 'close' }).end(body);
    });
    this.#addHooks();
    this.#addParsers();
    addOperations(this.#app, world);
    this.#addRoutes();
    this.#app.setErrorHandler((error, _request, reply) => this.#sendError(error, reply));
    this.#app.setNotFoundHandler((_request, reply) => this.#sendError(httpError(404, 'there is no such route'), reply));
  }

  /** @param onUpgrade Gets every upgrade request. */
  async listen(onUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void): Promise<void> {
    this.#app.server.on('upgrade', onUpgrade);
    await this.#app.ready();
    await listenOn(this.#app.server, this.#options.listen, 'listen');
  }

  get port(): number {
    const address = this.#app.server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** Requests that only wait come back now. */
  endWaiting(): void {
    for (const read of this.#reads) read.abort();
  }

  async close(): Promise<void> {
    this.endWaiting();
    await this.#app.close();
  }

  #addHooks(): void {
    const { metrics } = this.#world;
    this.#app.addHook('onRequest', async (request, reply) => {
      const { origin, host } = request.headers;
      const connection = this.#connection(request.raw.socket);
      if (request.method === 'GET' || request.method === 'HEAD') await connection.onRead(request.raw, reply.raw);
      else connection.onOrder(request.raw, reply.raw);
      reply.header('x-content-type-options', 'nosniff');
      if (host === undefined && request.raw.httpVersion === '1.1') throw httpError(400, 'there is no Host header');
      if (origin === undefined) return;
      if (!isOriginAllowed(this.#options.origin, origin, host)) {
        throw new LogError('FORBIDDEN', 'pages of this origin may not call this node');
      }
      reply.headers({ vary: 'origin', 'access-control-allow-origin': origin, 'access-control-expose-headers': '*' });
      if (request.method !== 'OPTIONS') return;
      const allowed = 'content-type, accept, producer-id, producer-epoch, producer-seq, logdrive-redirect';
      reply.headers({ 'access-control-allow-methods': 'GET, POST, DELETE', 'access-control-allow-headers': allowed });
      await reply.code(204).send();
    });
    this.#app.addHook('onResponse', async (request, reply) => {
      // The route's pattern, never the path: what a client chose is no label.
      const route = request.routeOptions.url ?? 'none';
      const labels = { route, method: request.method, status: String(reply.statusCode) };
      metrics.add('logdrive_http_requests_total', 1, labels);
      metrics.observe('logdrive_http_request_seconds', reply.elapsedTime / 1_000, { route });
    });
    this.#app.server.on('connection', () => metrics.add('logdrive_connections_total', 1, FACE));
    this.#app.server.on('drop', () => metrics.add('logdrive_connections_refused_total', 1, FACE));
  }

  #addParsers(): void {
    this.#app.removeAllContentTypeParsers();
    this.#app.addContentTypeParser('application/x-ndjson', (_request, payload, done) => done(null, payload));
    this.#app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  }

  #routes(): readonly Route[] {
    const params = (request: FastifyRequest): topics.TopicParams => request.params as topics.TopicParams;
    return [
      {
        method: 'POST',
        url: '/v1/topics',
        status: 201,
        run: ({ body }, _, broker) => topics.createTopic(broker, body),
      },
      { method: 'GET', url: '/v1/topics', run: (_request, _, broker) => topics.listTopics(broker) },
      { method: 'GET', url: '/v1/topics/:topic', run: (r, _, broker) => topics.describeTopic(broker, params(r)) },
      {
        method: 'DELETE',
        url: '/v1/topics/:topic',
        status: 204,
        run: (request, _, broker) => broker.deleteTopic(params(request).topic),
      },
      { method: 'POST', url: '/v1/topics/:topic/records', query: 'own', run: (...all) => this.#append(...all) },
      { method: 'GET', url: '/v1/topics/:topic/records', query: 'own', run: (...all) => this.#read(...all) },
      {
        method: 'POST',
        url: '/v1/topics/:topic/partitions/:partition/transfer',
        run: (request, _, broker) => topics.transferLeader(broker, params(request), request.body),
      },
      {
        method: 'POST',
        url: '/v1/topics/:topic/partitions/:partition/snapshot',
        run: (request, _, broker) => topics.takeSnapshot(broker, params(request)),
      },
      {
        method: 'POST',
        url: '/v1/topics/:topic/trim',
        run: (request, _, broker) => topics.trim(broker, params(request), request.body),
      },
      { method: 'GET', url: '/v1/cluster', run: (_request, _, broker) => topics.cluster(broker) },
      ...this.#nodeRoutes(),
    ];
  }

  #nodeRoutes(): Route[] {
    const nodeOf = (request: FastifyRequest): string => (request.params as { readonly node: string }).node;
    return [
      {
        method: 'POST',
        url: '/v1/cluster/nodes',
        status: 202,
        run: (request, _, broker) => nodes.addNode(broker, request.body),
      },
      {
        method: 'DELETE',
        url: '/v1/cluster/nodes/:node',
        status: 202,
        run: (request, _, broker) => nodes.removeNode(broker, nodeOf(request)),
      },
      {
        method: 'POST',
        url: '/v1/cluster/nodes/:node/replace',
        status: 202,
        run: (request, _, broker) => nodes.replaceNode(broker, nodeOf(request), request.body),
      },
      {
        method: 'POST',
        url: '/v1/cluster/nodes/:node/drain',
        run: (request, _, broker) => nodes.drainNode(broker, nodeOf(request), request.body),
      },
    ];
  }

  #addRoutes(): void {
    const routes = this.#routes();
    for (const { method, url, status = 200, query, run } of routes) {
      this.#app.route({
        method,
        url,
        handler: async (request, reply) => {
          if (query !== 'own') checkNames(request.query as Fields, [], 'parameter');
          reply.code(status);
          return await run(request, reply, this.#broker());
        },
      });
    }
    const operations = ['/livez', '/readyz', '/startupz', '/metrics', '/version'];
    for (const url of new Set([...routes.map((route) => route.url), ...operations]))
      this.#refuseOtherMethods(url, routes);
    this.#app.all('/v1/stream/*', (_request, reply) => {
      const error = new LogError('UNSUPPORTED', '/v1/stream is reserved for a later protocol');
      return sendProblem(reply, problemOf(error, 501));
    });
  }

  #refuseOtherMethods(url: string, routes: readonly Route[]): void {
    const own: string[] = routes.filter((route) => route.url === url).map((route) => route.method);
    const allowed = own.length === 0 ? ['GET'] : own;
    if (allowed.includes('GET')) allowed.push('HEAD');
    const others = this.#app.supportedMethods.filter((method) => METHODS.includes(method) && !allowed.includes(method));
    this.#app.route({
      method: others,
      url,
      handler: (request, reply) => {
        reply.header('allow', allowed.join(', '));
        throw httpError(405, `${request.method} is not allowed here; allowed are ${allowed.join(', ')}`);
      },
    });
  }

  #broker(): BrokerVerbs {
    const { broker } = this.#world.health;
    if (broker === undefined)
      throw new LogError('NO_LEADER', 'this node is recovering', { details: { retryAfterMs: 500 } });
    return broker;
  }

  async #append(request: FastifyRequest, reply: FastifyReply, broker: BrokerVerbs): Promise<unknown> {
    const { env, crc32c, metrics } = this.#world;
    const { recordBytesMax, batchBytesMax } = this.#options;
    const startedMs = env.clock.monotonicMs();
    const onAppended = (result: AppendResult, batchBytes: number): void => {
      metrics.add('logdrive_append_records_total', result.recordCount, FACE);
      metrics.add('logdrive_append_bytes_total', batchBytes, FACE);
      if (result.isDuplicate) metrics.add('logdrive_duplicates_total');
    };
    const nowMs = (): number => env.clock.nowMs();
    const world: AppendWorld = { broker, crc32c, nowMs, recordBytesMax, batchBytesMax, onAppended };
    try {
      const target = this.#target(request);
      const type = request.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase();
      const body = request.body as (Buffer & AsyncIterable<Uint8Array>) | undefined;
      const bytes = body ?? Buffer.alloc(0);
      const result =
        type === 'application/json'
          ? await appendJson(world, target, bytes)
          : type === 'application/x-ndjson'
            ? await appendNdjson(world, target, body ?? emptyBody())
            : await appendRaw(world, target, bytes);
      metrics.observe('logdrive_append_seconds', (env.clock.monotonicMs() - startedMs) / 1_000, FACE);
      return result;
    } catch (error) {
      const told = toldError(error, env.logger);
      metrics.add('logdrive_append_errors_total', 1, { ...FACE, code: told.code });
      const { leaderUrl } = told.details;
      // Whoever is sent on sends all of it again, also what is in the log already.
      if (told.code !== 'NOT_LEADER' || leaderUrl === undefined || told.outcome !== 'none') throw told;
      // Asked for with Logdrive-Redirect; else the append would have been forwarded.
      const location = new URL(request.url, leaderUrl.replace(/^ws/, 'http')).href;
      return sendProblem(reply.header('location', location), problemOf(told, 307));
    }
  }

  #connection(socket: Socket): HttpConnection {
    const known = this.#connections.get(socket);
    if (known !== undefined) return known;
    const connection = new HttpConnection();
    this.#connections.set(socket, connection);
    return connection;
  }

  #target(request: FastifyRequest): AppendTarget {
    const query = request.query as Fields;
    checkNames(query, ['partition'], 'parameter');
    return {
      topic: (request.params as topics.TopicParams).topic,
      partition: numberOf(query.partition, 'partition', 0),
      producer: producerOf(request.headers),
      redirect: request.headers['logdrive-redirect'] === '1',
      client: this.#connection(request.raw.socket).client,
    };
  }

  async #read(request: FastifyRequest, reply: FastifyReply, broker: BrokerVerbs): Promise<unknown> {
    const read = new AbortController();
    this.#reads.add(read);
    // A client that hung up while it waited costs nothing more.
    reply.raw.once('close', () => {
      read.abort();
      this.#reads.delete(read);
    });
    const isNdjson = (request.headers.accept ?? '').includes('application/x-ndjson');
    const { topic } = request.params as topics.TopicParams;
    const answer = await readRecords(broker, topic, request.query as Fields, { isNdjson, signal: read.signal });
    this.#world.metrics.add('logdrive_read_bytes_total', answer.batchBytes, FACE);
    return reply.headers(answer.headers).send(answer.body);
  }

  #sendError(error: unknown, reply: FastifyReply): void {
    // fastify's own errors carry a status below 500; anything else is ours to explain.
    const { statusCode, message } = error as { readonly statusCode?: number; readonly message?: string };
    const isTransport = !LogError.is(error) && statusCode !== undefined && statusCode < 500;
    const told = isTransport ? httpError(statusCode, message ?? '') : toldError(error, this.#world.env.logger);
    const problem = problemOf(told, isTransport ? statusCode : undefined);
    // What is left of a body nobody will read would otherwise be parsed as the next request.
    if (problem.status === 413) reply.header('connection', 'close');
    sendProblem(reply, problem);
  }
}

async function* emptyBody(): AsyncGenerator<Uint8Array> {}

const PARSER_STATUS: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
};

/**
 * What Node's parser refused: there is no request to answer, only a socket.
 * @param mayHaveEffect Requests before it on the same connection, or the part of it that was taken, may have happened.
 */
function answerBroken(error: NodeJS.ErrnoException, socket: Socket, mayHaveEffect: boolean): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status = PARSER_STATUS[error.code ?? ''] ?? 400;
  const outcome = mayHaveEffect ? 'unknown' : 'none';
  const told = httpError(status, 'the request is not valid HTTP, or too slow or too large', outcome);
  socket.end(rawAnswer(problemOf(told, status), STATUS_CODES[status] ?? ''), () => socket.destroy());
}
