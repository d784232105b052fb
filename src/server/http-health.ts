/**
 * /livez, /readyz, /startupz, each also with ?verbose and as /readyz/<check>; /metrics; /version. Plain text when well.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type ErrorCode, LogError } from '../protocol/index.ts';
import type { Health, Probe } from './health.ts';
import { sendProblem } from './http-problem.ts';
import { checkNames, type Fields } from './http-values.ts';
import { problemOf } from './problem.ts';
import type { PrometheusMetrics } from './prometheus.ts';

const PROBES: readonly Probe[] = ['livez', 'readyz', 'startupz'];

export interface OperationsWorld {
  readonly health: Health;
  readonly metrics: PrometheusMetrics;
  readonly identity: { readonly node: string; readonly version: string };
}

export function addOperations(app: FastifyInstance, { health, metrics, identity }: OperationsWorld): void {
  for (const probe of PROBES) {
    app.get(`/${probe}`, (request, reply) => answerProbe(health, probe, undefined, request, reply));
    app.get<{ Params: { check: string } }>(`/${probe}/:check`, (request, reply) =>
      answerProbe(health, probe, request.params.check, request, reply),
    );
  }
  app.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.scrape()));
  app.get('/version', () => ({ name: 'logdrive', ...identity, node_js: process.version }));
}

function answerProbe(
  health: Health,
  probe: Probe,
  check: string | undefined,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  checkNames(request.query as Fields, ['verbose'], 'parameter');
  const all = health.checks(probe);
  const checks = check === undefined ? all : all.filter(({ name }) => name === check);
  if (checks.length === 0)
    throw new LogError('NOT_FOUND', `there is no such check; there are ${all.map((c) => c.name)}`);
  reply.header('cache-control', 'no-store');
  const failing = checks.filter(({ isOk }) => !isOk);
  if (failing.length === 0) {
    const lines = checks.map(({ name, detail }) => `[+] ${name}: ${detail}\n`).join('');
    const isVerbose = (request.query as Fields).verbose !== undefined;
    return reply.type('text/plain; charset=utf-8').send(isVerbose ? `${lines}${probe} ok\n` : 'ok');
  }
  // Like every answer outside 2xx, a problem; all checks ride along, so ?verbose has nothing to add.
  const code: ErrorCode = health.isDraining ? 'DRAINING' : 'NO_LEADER';
  const error = new LogError(code, failing.map(({ name, detail }) => `${name}: ${detail}`).join('; '));
  const list = checks.map(({ name, isOk, detail }) => ({ name, ok: isOk, detail }));
  return sendProblem(reply, problemOf(error, 503, { checks: list }));
}
