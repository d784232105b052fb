/**
 * A producer among everything that can happen to an append at once, from a seed: lost and held and doubled batches,
 * lost answers, refusals, broken connections, changes of leader, copies that arrive seconds later. Whatever the
 * producer said of a record must hold for the log at the end. A failure names its seed; the same seed fails again.
 */
import { describe, expect, test } from 'vitest';
import { utf8 } from '../../src/client/codec.ts';
import type { Frame } from '../../src/protocol/index.ts';
import type { FakeSession } from './support/fake-node.ts';
import { outcomeOf, type Scene, scene } from './support/setup.ts';

const SEEDS = Array.from({ length: 60 }, (_, at) => at + 1);
const RECORDS = 60;

/** What may happen to an append, with its share of all; the rest passes. */
type Fate = (it: Scene, session: FakeSession, frame: Frame, requestId: number, held: (() => void)[]) => void;

const FATES: readonly { readonly share: number; readonly happens: Fate }[] = [
  { share: 0.05, happens: (_it, session) => session.socket.cut() },
  {
    share: 0.02,
    happens: (it, session, frame) => {
      appendUnanswered(it, session, frame);
      session.socket.cut();
    },
  },
  {
    share: 0.02,
    happens: (it, session, frame, requestId) => {
      appendUnanswered(it, session, frame);
      session.nack(requestId, 'TIMEOUT');
    },
  },
  { share: 0.04, happens: (_it, session, _frame, requestId) => session.nack(requestId, 'NOT_LEADER') },
  { share: 0.02, happens: (_it, session, _frame, requestId) => session.nack(requestId, 'TOO_LARGE') },
  { share: 0.04, happens: ({ cluster }, session, frame, _id, held) => held.push(() => cluster.handle(session, frame)) },
  {
    share: 0.02,
    happens: ({ cluster }, session, frame) => {
      cluster.handle(session, frame);
      cluster.handle(session, frame);
    },
  },
  {
    share: 0.02,
    happens: ({ cluster, world }, session, frame) =>
      void world.platform.timers.after(world.next() * 4_000, () => cluster.handle(session, frame)),
  },
  {
    share: 0.02,
    happens: ({ cluster, partition, world }, session, frame) => {
      cluster.elect(partition, cluster.nodes[Math.floor(world.next() * 3)]!.id);
      cluster.handle(session, frame);
    },
  },
];

function appendUnanswered({ cluster }: Scene, session: FakeSession, frame: Frame): void {
  cluster.outgoing = () => 'drop';
  cluster.handle(session, frame);
  cluster.outgoing = undefined;
}

function arrange(it: Scene, held: (() => void)[]): void {
  it.cluster.incoming = (session, frame) => {
    if (frame.message.kind !== 'append') return false;
    let left = it.world.next();
    for (const { share, happens } of FATES) {
      left -= share;
      if (left >= 0) continue;
      happens(it, session, frame, frame.message.requestId, held);
      return true;
    }
    return false;
  };
}

describe('a producer in chaos', () => {
  test.each(SEEDS)('says of each record what the log says, seed %i', async (seed) => {
    const it = await scene({ seed, requestTimeoutMs: 3_000 });
    const { world, client, partition } = it;
    const held: (() => void)[] = [];
    arrange(it, held);
    const producer = client.topic('orders', utf8).producer({
      maxBatchRecords: 1 + Math.floor(world.next() * 4),
      maxInFlight: 1 + Math.floor(world.next() * 5),
    });
    const sends: { readonly value: string; readonly outcome: Promise<string> }[] = [];
    for (let i = 0; i < RECORDS; i++) {
      producer.resume();
      sends.push({ value: `v${i}`, outcome: outcomeOf(producer.send({ value: `v${i}` })) });
      if (world.next() < 0.3) await world.advance(world.next() * 500);
      if (world.next() < 0.3) held.shift()?.();
    }
    const acknowledged: string[] = [];
    const refused: string[] = [];
    for (const { value, outcome } of sends) {
      const told = await world.run(outcome);
      if (told === 'ok') acknowledged.push(value);
      else if (told.endsWith(' none')) refused.push(value);
    }
    for (const arrive of held) arrive();
    await world.advance(10_000);

    const log = partition.values();
    expect(new Set(log).size, 'one copy of each').toBe(log.length);
    expect(
      log.filter((value) => acknowledged.includes(value)),
      'what was acknowledged, in order',
    ).toEqual(acknowledged);
    expect(
      log.filter((value) => refused.includes(value)),
      'nothing of what was called none',
    ).toEqual([]);
  });
});
