/** Records that tests of subscriptions read, and what happens to them on the way. */
import { expect } from 'vitest';
import { utf8 } from '../../../src/client/codec.ts';
import type { SubscribeOptions, Subscription } from '../../../src/client/subscription.ts';
import type { DataMessage } from '../../../src/protocol/index.ts';
import type { FakeCluster, Outgoing } from './fake-cluster.ts';
import type { Scene } from './setup.ts';

/** `count` batches of three records each: v0, v1, ... */
export function batches(count: number, from = 0): string[][] {
  return Array.from({ length: count }, (_, at) => [0, 1, 2].map((i) => `v${(from + at) * 3 + i}`));
}

export function values(count: number): string[] {
  return batches(count).flat();
}

/** Reads `count` records and leaves the loop; fails when offsets are not consecutive from `first`. */
export async function take(subscription: Subscription<string, string>, count: number, first = 0): Promise<string[]> {
  const taken: string[] = [];
  for await (const record of subscription) {
    expect(record.offset).toBe(first + taken.length);
    taken.push(record.value);
    if (taken.length === count) break;
  }
  return taken;
}

export function subscribe({ client }: Scene, options: SubscribeOptions = {}): Subscription<string, string> {
  return client.topic('orders', utf8).subscribe(options);
}

/** Changes the n-th DATA (from 0) that any node sends; `times` of them from there on. */
export function onData(
  cluster: FakeCluster,
  n: number,
  change: (message: DataMessage, payload: readonly Uint8Array[]) => Outgoing | 'drop',
  times = 1,
): void {
  let seen = 0;
  cluster.outgoing = (_, __, message, payload) => {
    if (message.kind !== 'data') return undefined;
    const at = seen++;
    return at >= n && at < n + times ? change(message, payload) : undefined;
  };
}

export function flipped([batch]: readonly Uint8Array[]): Uint8Array[] {
  const copy = new Uint8Array(batch!);
  copy[copy.length - 1]! ^= 1;
  return [copy];
}

/** Breaks every connection. */
export function cut({ cluster }: Scene): void {
  for (const { sessions } of cluster.nodes) for (const { socket } of sessions) socket.cut();
}
