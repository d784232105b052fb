/** The HTTP door over a fake broker that has a topic "orders", and what its tests say to it. */
import { expect } from 'vitest';
import { closeLater } from './closing.ts';
import { type Door, type DoorOptions, openDoor } from './door.ts';
import { realWorld } from './world.ts';

/** The one that call() speaks to. */
export let door: Door;

/** From here on call() speaks to one of these options. */
export async function openDoorWith(options: DoorOptions): Promise<void> {
  door = await openDoor(realWorld().env, options);
  const opened = door;
  closeLater(() => opened.close());
  door.broker.addTopic('orders');
}

export function openUsual(): Promise<void> {
  return openDoorWith({});
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: bodies of many shapes, looked into by the tests.
  readonly json: any;
}

export async function call(
  method: string,
  path: string,
  init: { body?: unknown; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const isJson = init.body !== undefined && typeof init.body === 'object' && !(init.body instanceof Uint8Array);
  const body = isJson ? JSON.stringify(init.body) : (init.body as string | Uint8Array<ArrayBuffer> | undefined);
  const headers = { ...(isJson ? { 'content-type': 'application/json' } : {}), ...init.headers };
  const response = await fetch(door.url + path, {
    method,
    headers,
    redirect: 'manual',
    ...(body === undefined ? {} : { body }),
  });
  const text = await response.text();
  const isAnswerJson =
    /json/.test(response.headers.get('content-type') ?? '') &&
    !/ndjson/.test(response.headers.get('content-type') ?? '');
  return {
    status: response.status,
    headers: response.headers,
    text,
    json: isAnswerJson ? JSON.parse(text) : undefined,
  };
}

export const append = (records: unknown, headers: Record<string, string> = {}): Promise<Answer> =>
  call('POST', '/v1/topics/orders/records', { body: { records }, headers });

export function expectProblem(answer: Answer, status: number, code: string): void {
  expect(answer.json).toMatchObject({ status, code });
  expect(answer.status).toBe(status);
  expect(answer.headers.get('content-type')).toBe('application/problem+json');
  expect(['none', 'unknown']).toContain(answer.json.outcome);
  expect(typeof answer.json.retriable).toBe('boolean');
  expect(answer.text).not.toMatch(/node_modules|\.ts:|\/src\//);
}
