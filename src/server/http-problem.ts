/** A problem as fastify's answer. */
import type { FastifyReply } from 'fastify';
import type { Problem } from './problem.ts';

export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  // As bytes: fastify appends a charset to the type of JSON texts, and problem+json has none (RFC 9457).
  return reply.code(problem.status).headers(problem.headers).send(Buffer.from(problem.body));
}
