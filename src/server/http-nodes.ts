/** The HTTP verbs on the nodes of a cluster. */
import type { BrokerVerbs } from '../broker/index.ts';
import { LogError } from '../protocol/index.ts';
import { type Fields, jsonObject } from './http-values.ts';

export async function addNode(broker: BrokerVerbs, body: unknown): Promise<unknown> {
  const fields = jsonObject(body, ['id', 'peerAddress']);
  const node = { id: textOf(fields, 'id'), peerAddress: textOf(fields, 'peerAddress') };
  await broker.addNode(node);
  return { ...node, state: 'joining' };
}

export async function removeNode(broker: BrokerVerbs, id: string): Promise<unknown> {
  await broker.removeNode(id);
  return { id, state: 'leaving' };
}

export async function replaceNode(broker: BrokerVerbs, id: string, body: unknown): Promise<unknown> {
  const fields = jsonObject(body, ['by', 'peerAddress']);
  const by = textOf(fields, 'by');
  const peerAddress = fields.peerAddress === undefined ? undefined : textOf(fields, 'peerAddress');
  await broker.replaceNode(id, by, peerAddress);
  return { id, state: 'leaving', by };
}

export async function drainNode(broker: BrokerVerbs, id: string, body: unknown): Promise<unknown> {
  const { drained = true } = jsonObject(body ?? {}, ['drained']);
  if (typeof drained !== 'boolean') throw new LogError('INVALID', 'drained must be true or false');
  await broker.drainNode(id, drained);
  return { id, state: drained ? 'drained' : 'member' };
}

function textOf(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== 'string' || value === '') throw new LogError('INVALID', `${name} must be a text`);
  return value;
}
