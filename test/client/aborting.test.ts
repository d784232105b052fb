/** What an AbortSignal ends: the waiting, at once, at every stage and with a true outcome; and what it leaves. */
import { describe, expect, test } from 'vitest';
import { utf8 } from '../../src/client/codec.ts';
import type { Topic } from '../../src/client/topic.ts';
import { outcomeOf, scene } from './support/setup.ts';

describe('a signal', () => {
  test('that was aborted before the call keeps an order from being sent', async () => {
    const { world, cluster, client } = await scene();
    const deleted = client.admin.deleteTopic('orders', { signal: AbortSignal.abort() });
    expect(await world.run(outcomeOf(deleted))).toBe('ABORTED none');
    expect(cluster.topics.has('orders')).toBe(true);
    expect(cluster.received.filter(({ frame }) => frame.message.kind === 'request')).toEqual([]);
  });

  test.each([
    {
      name: 'append',
      call: (topic: Topic<string, string>, signal: AbortSignal) => topic.append({ value: 'a' }, { signal }),
    },
    { name: 'read', call: (topic: Topic<string, string>, signal: AbortSignal) => topic.read({ signal }) },
    { name: 'tail', call: (topic: Topic<string, string>, signal: AbortSignal) => topic.tail(0, { signal }) },
  ])('ends $name() at once also while it waits to know the topic', async ({ call }) => {
    const { world, cluster, client } = await scene();
    cluster.incoming = (_, { message }) => message.kind === 'request';
    const controller = new AbortController();
    const sinceMs = world.nowMs;
    const outcome = outcomeOf(call(client.topic('orders', utf8), controller.signal));
    await world.settle();
    controller.abort();
    expect(await world.run(outcome)).toBe('ABORTED none');
    expect(world.nowMs).toBe(sinceMs);
  });

  test('ends an append at once that waits for its turn behind others, and that one is never sent', async () => {
    const { world, cluster, client, partition } = await scene();
    cluster.incoming = (_, { message }) => message.kind === 'append';
    const topic = client.topic('orders', utf8);
    const first = Array.from({ length: 64 }, () => outcomeOf(topic.append({ value: 'a' })));
    const controller = new AbortController();
    const outcome = outcomeOf(topic.append({ value: 'b' }, { signal: controller.signal }));
    await world.settle();
    const sinceMs = world.nowMs;
    controller.abort();
    expect(await world.run(outcome)).toBe('ABORTED none');
    expect(world.nowMs).toBe(sinceMs);
    cluster.incoming = undefined;
    await world.run(Promise.all(first));
    await world.run(topic.append({ value: 'c' }));
    expect(partition.values()).not.toContain('b');
  });

  test('that outlives a loop over events() keeps nothing of it', async () => {
    const { client } = await scene();
    const { signal } = new AbortController();
    const listeners = new Set<unknown>();
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (type: string, fn: EventListenerOrEventListenerObject): void => {
      listeners.add(fn);
      add(type, fn);
    };
    signal.removeEventListener = (type: string, fn: EventListenerOrEventListenerObject): void => {
      listeners.delete(fn);
      remove(type, fn);
    };
    const left = client.events({ signal })[Symbol.asyncIterator]();
    client.events({ signal });
    expect(listeners.size).toBe(2);
    await left.return?.();
    expect(listeners.size).toBe(1);
    await client.close();
    expect(listeners.size).toBe(0);
  });
});
