/** Clients that run the place: trims, snapshots, transfers; and one that makes topics and deletes them again. */
import type { SimClient } from './client-world.ts';
import { failure } from './client-world.ts';

export const OPERATIONS = ['trim', 'snapshot', 'transfer'] as const;
export type Operation = (typeof OPERATIONS)[number];

/** Does one thing after the other to a topic. What cannot be done now is left. */
export async function operate(it: SimClient, topic: string, operations: readonly Operation[]): Promise<void> {
  const { world, random } = it;
  while (!world.isOver && operations.length > 0) {
    await it.sleep(100 + random.below(900));
    const operation = random.pick(operations);
    it.operates();
    if (operation === 'trim' && random.chance(0.1)) await trimTooFar(it, topic);
    else if (await doOnce(it, topic, operation)) world.done[operation] = (world.done[operation] ?? 0) + 1;
  }
}

async function doOnce(it: SimClient, topic: string, operation: Operation): Promise<boolean> {
  const { world, random } = it;
  const { admin } = it.sdk;
  let op: number | undefined;
  try {
    if (operation === 'snapshot') await admin.snapshot(topic, 0);
    else if (operation === 'transfer') {
      await admin.transferLeader(topic, 0, random.pick([...world.cluster.nodes.keys()]));
    } else {
      const { earliest, offset: tail } = await it.sdk.topic(topic).tail(0);
      const before = earliest + random.below(Math.max(1, tail - earliest - 20));
      op = world.recorder.begin({ kind: 'trim', client: it.name, partition: topic, before });
      await admin.trim(topic, before, 0);
      world.recorder.end(op, { kind: 'done' });
    }
    return true;
  } catch (error) {
    const answer = failure(error);
    if (op !== undefined) world.recorder.end(op, answer);
    return false;
  }
}

/** Nothing there is to trim yet: that is refused, or at least not done. */
async function trimTooFar(it: SimClient, topic: string): Promise<void> {
  const { world } = it;
  const answer = await it.sdk.admin.trim(topic, Number.MAX_SAFE_INTEGER - it.random.below(1_000), 0).catch(failure);
  if (answer === undefined) throw new Error(`${topic} was trimmed past its tail`);
  const isRefused = answer.kind === 'failed' && answer.code === 'OUT_OF_RANGE';
  if (isRefused) world.done['trim past tail'] = (world.done['trim past tail'] ?? 0) + 1;
}

/** Makes topics and deletes them again, each until it is known to be done. */
export async function garden(it: SimClient): Promise<void> {
  const { world, random } = it;
  const { admin } = it.sdk;
  for (let made = 0; !world.isHealed; made += 1) {
    const name = `garden-${made}`;
    const spec = { name, partitions: 1 + random.below(2), replicas: 1 + random.below(3) };
    await persist(it, ['TOPIC_EXISTS'], () => admin.createTopic(spec));
    world.done.create = (world.done.create ?? 0) + 1;
    await it.sleep(random.below(300));
    await persist(it, ['TOPIC_NOT_FOUND'], () => admin.deleteTopic(name));
    world.done.delete = (world.done.delete ?? 0) + 1;
    await it.sleep(200 + random.below(1_500));
  }
}

async function persist(it: SimClient, done: readonly string[], act: () => Promise<unknown>): Promise<void> {
  for (;;) {
    it.operates();
    try {
      await act();
      return;
    } catch (error) {
      const answer = failure(error);
      if (answer.kind === 'failed' && done.includes(answer.code ?? '')) return;
    }
    await it.sleep(20 + it.random.below(200));
  }
}
