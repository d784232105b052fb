/**
 * A producer in trouble. The logs of the fake cluster are the judge: whatever happens on the way, what was acknowledged
 * is there once and in order (P3, P7), and what was called 'none' is not there (P8).
 */
import { describe, expect, test } from 'vitest';
import { utf8 } from '../../src/client/codec.ts';
import type { Frame } from '../../src/protocol/index.ts';
import type { FakeCluster } from './support/fake-cluster.ts';
import type { FakeSession } from './support/fake-node.ts';
import { outcomeOf, type Scene, scene } from './support/setup.ts';

const VALUES = Array.from({ length: 40 }, (_, at) => `v${at}`);

/** Sends VALUES in batches of 4, five in flight, and says what became of each. */
async function sendAll({ world, client }: Scene): Promise<string[]> {
  const producer = client.topic('orders', utf8).producer({ maxBatchRecords: 4 });
  return await world.run(Promise.all(VALUES.map((value) => outcomeOf(producer.send({ value })))));
}

/** Lets `act` see the n-th append (from 0) of the test instead of the node; later ones pass. */
function onAppend(cluster: FakeCluster, n: number, act: (session: FakeSession, frame: Frame) => void): void {
  let seen = 0;
  cluster.incoming = (session, frame) => {
    if (frame.message.kind !== 'append' || seen++ !== n) return false;
    act(session, frame);
    return true;
  };
}

function requestIdOf({ message }: Frame): number {
  if (message.kind !== 'append') throw new Error(`${message.kind} is no append`);
  return message.requestId;
}

interface Trouble {
  readonly name: string;
  readonly cause: (scene: Scene) => void;
}

const SURVIVED: readonly Trouble[] = [
  {
    name: 'the connection breaks after a batch was appended and before it was acknowledged',
    cause: ({ cluster }) =>
      onAppend(cluster, 2, (session, frame) => {
        cluster.outgoing = (_, __, message) => (message.kind === 'ack' ? 'drop' : undefined);
        cluster.handle(session, frame);
        cluster.outgoing = undefined;
        session.socket.cut();
      }),
  },
  {
    name: 'the connection breaks before a batch arrived',
    cause: ({ cluster }) => onAppend(cluster, 3, (session) => session.socket.cut()),
  },
  {
    name: 'the leader is killed and another node takes over',
    cause: ({ cluster, partition }) =>
      onAppend(cluster, 4, () => {
        cluster.node('n1').kill();
        cluster.elect(partition, 'n2');
      }),
  },
  {
    name: 'the leader is killed and nobody leads for two seconds',
    cause: ({ cluster, partition, world }) =>
      onAppend(cluster, 4, () => {
        cluster.node('n1').kill();
        world.platform.timers.after(2_000, () => cluster.elect(partition, 'n3'));
      }),
  },
  {
    name: 'the leader is stopped, keeps its sockets open and says nothing',
    cause: ({ cluster, partition }) =>
      onAppend(cluster, 4, () => {
        cluster.node('n1').hang();
        cluster.elect(partition, 'n2');
      }),
  },
  {
    name: 'a batch is refused with NOT_LEADER, so that those behind it come back as SEQUENCE_GAP',
    cause: ({ cluster }) =>
      onAppend(cluster, 1, (session, frame) =>
        session.nack(requestIdOf(frame), 'NOT_LEADER', 'none', { leader: 'n1' }),
      ),
  },
  {
    name: 'a batch times out at the server although it was appended',
    cause: ({ cluster }) =>
      onAppend(cluster, 1, (session, frame) => {
        cluster.outgoing = (_, __, message) => (message.kind === 'ack' ? 'drop' : undefined);
        cluster.handle(session, frame);
        cluster.outgoing = undefined;
        session.nack(requestIdOf(frame), 'TIMEOUT');
      }),
  },
  {
    name: 'the node is overloaded and asks for patience',
    cause: ({ cluster }) =>
      onAppend(cluster, 1, (session, frame) =>
        session.nack(requestIdOf(frame), 'OVERLOADED', 'none', { retryAfterMs: 700 }),
      ),
  },
  {
    name: 'bytes were damaged on the way',
    cause: ({ cluster }) => onAppend(cluster, 2, (session, frame) => session.nack(requestIdOf(frame), 'CRC')),
  },
  {
    name: 'two batches arrive in the wrong order',
    cause: ({ cluster }) => {
      let held: { session: FakeSession; frame: Frame } | undefined;
      let seen = 0;
      cluster.incoming = (session, frame) => {
        if (frame.message.kind !== 'append') return false;
        if (seen++ === 1) {
          held = { session, frame };
          return true;
        }
        cluster.handle(session, frame);
        if (held !== undefined) cluster.handle(held.session, held.frame);
        held = undefined;
        return true;
      };
    },
  },
  {
    name: 'a batch arrives twice',
    cause: ({ cluster }) =>
      onAppend(cluster, 1, (session, frame) => {
        cluster.handle(session, frame);
        cluster.handle(session, frame);
      }),
  },
  {
    name: 'the node drains: it says GOAWAY and later closes',
    cause: ({ cluster, partition, world }) =>
      onAppend(cluster, 2, (session, frame) => {
        cluster.node('n1').goAway();
        cluster.elect(partition, 'n2');
        cluster.handle(session, frame);
        world.platform.timers.after(500, () => cluster.node('n1').kill());
      }),
  },
  {
    name: 'the server forgot the producer, which begins anew',
    cause: ({ cluster, partition }) =>
      onAppend(cluster, 5, (session, frame) => {
        partition.producers.clear();
        cluster.handle(session, frame);
      }),
  },
  {
    name: 'the node does not know the topic yet',
    cause: ({ cluster }) =>
      onAppend(cluster, 0, (session, frame) => session.nack(requestIdOf(frame), 'TOPIC_NOT_FOUND')),
  },
];

describe('trouble that is survived: every record is acknowledged, once in the log, in order', () => {
  test.each(SURVIVED)('$name', async ({ cause }) => {
    const it = await scene();
    cause(it);
    expect(await sendAll(it)).toEqual(VALUES.map(() => 'ok'));
    expect(it.partition.values()).toEqual(VALUES);
  });

  test.each([1, 2, 3, 4, 5])('connections that break at random, seed %i', async (seed) => {
    const it = await scene({ seed, requestTimeoutMs: 60_000 });
    const { cluster, world } = it;
    let budget = 12;
    cluster.incoming = (session, frame) => {
      if (frame.message.kind !== 'append' || budget === 0 || world.next() > 0.3) return false;
      budget--;
      const isLost = world.next() < 0.5;
      cluster.outgoing = () => 'drop';
      if (!isLost) cluster.handle(session, frame);
      cluster.outgoing = undefined;
      session.socket.cut();
      return true;
    };
    expect(await sendAll(it)).toEqual(VALUES.map(() => 'ok'));
    expect(it.partition.values()).toEqual(VALUES);
  });

  test('after a change of leader batches go to the new one directly again', async () => {
    const it = await scene();
    const { world, cluster, client, partition } = it;
    const producer = client.topic('orders', utf8).producer();
    await world.run(producer.send({ value: 'a' }));
    cluster.elect(partition, 'n3');
    // n1 forwards; the new term in its ack tells the client to look again.
    await world.run(producer.send({ value: 'b' }));
    await world.settle();
    await world.run(producer.send({ value: 'c' }));
    const nodes = cluster.received.filter(({ frame }) => frame.message.kind === 'append').map(({ node }) => node);
    expect(nodes).toEqual(['n1', 'n1', 'n3']);
  });
});

describe('the connection of a lane', () => {
  test('that was lost while nothing was under way is replaced by the next send', async () => {
    const { world, cluster, client, partition } = await scene({ nodes: ['n1'] });
    const producer = client.topic('orders', utf8).producer();
    await world.run(producer.send({ value: 'a' }));
    for (const { socket } of cluster.node('n1').sessions) socket.cut();
    await world.settle();
    await world.run(producer.send({ value: 'b' }));
    expect(partition.values()).toEqual(['a', 'b']);
  });

  test('that is leaving gets nothing new', async () => {
    const { world, cluster, client, partition } = await scene();
    const producer = client.topic('orders', utf8).producer();
    await world.run(producer.send({ value: 'a' }));
    cluster.node('n1').goAway();
    await world.settle();
    cluster.received.length = 0;
    await world.run(producer.send({ value: 'b' }));
    const to = cluster.received.filter(({ frame }) => frame.message.kind === 'append').map(({ node }) => node);
    expect(to).not.toContain('n1');
    expect(partition.values()).toEqual(['a', 'b']);
  });
});

describe('the fate of a record stays unknown', () => {
  async function halted(it: Scene): Promise<{ outcomes: string[]; producer: ReturnType<typeof producerOf> }> {
    const { world, cluster } = it;
    const producer = producerOf(it);
    await world.run(producer.send({ value: 'before' }));
    // Appended, never acknowledged; every later attempt is swallowed.
    cluster.incoming = (session, frame) => {
      if (frame.message.kind !== 'append') return false;
      cluster.outgoing = (_, __, message) => (message.kind === 'ack' ? 'drop' : undefined);
      cluster.handle(session, frame);
      return true;
    };
    const sends = ['a', 'b', 'c'].map((value) => outcomeOf(producer.send({ value })));
    return { outcomes: await world.run(Promise.all(sends)), producer };
  }

  function producerOf({ client }: Scene) {
    return client.topic('orders', utf8).producer({ maxBatchRecords: 1, maxInFlight: 2 });
  }

  test('it is called unknown, what was sent behind it too, and what was not sent is called none', async () => {
    const it = await scene();
    const { outcomes } = await halted(it);
    expect(outcomes).toEqual(['TIMEOUT unknown', 'TIMEOUT unknown', 'TIMEOUT none']);
    expect(it.partition.values()).toEqual(['before', 'a', 'b']);
  });

  test('later sends are refused with outcome none until resume(), which goes on under the next epoch', async () => {
    const it = await scene();
    const { world, cluster, partition } = it;
    const { producer } = await halted(it);
    cluster.incoming = undefined;
    cluster.outgoing = undefined;
    expect(await outcomeOf(producer.send({ value: 'refused' }))).toBe('TIMEOUT none');
    expect(() => producer.enqueue({ value: 'refused' })).toThrow(/failure before it/);
    producer.resume();
    await world.run(producer.send({ value: 'after' }));
    expect(partition.values()).toEqual(['before', 'a', 'b', 'after']);
    expect(partition.batches.map(({ producer: tuple }) => [tuple?.epoch, tuple?.sequence])).toEqual([
      [0, 0],
      [0, 1],
      [0, 2],
      [1, 0],
    ]);
  });

  test('a late copy of what was given up is fenced by the new epoch', async () => {
    const it = await scene();
    const { world, cluster, partition } = it;
    const producer = producerOf(it);
    await world.run(producer.send({ value: 'before' }));
    const late: (() => void)[] = [];
    cluster.incoming = (session, frame) => {
      if (frame.message.kind !== 'append') return false;
      late.push(() => cluster.handle(session, frame));
      return true;
    };
    expect(await world.run(outcomeOf(producer.send({ value: 'given up' })))).toBe('TIMEOUT unknown');
    cluster.incoming = undefined;
    producer.resume();
    await world.run(producer.send({ value: 'after' }));
    for (const arrive of late) arrive();
    await world.settle();
    expect(partition.values()).toEqual(['before', 'after']);
  });

  test('no time passes without limit: requestTimeoutMs after the last progress it is decided', async () => {
    const it = await scene({ requestTimeoutMs: 3_000 });
    const startMs = it.world.nowMs;
    await halted(it);
    expect(it.world.nowMs - startMs).toBeGreaterThanOrEqual(3_000);
    expect(it.world.nowMs - startMs).toBeLessThan(3_100);
  });
});

describe('a record that is surely not in the log', () => {
  test('is told none, and those behind it are appended under a new epoch, in order', async () => {
    const it = await scene();
    const { world, cluster, client, partition } = it;
    onAppend(cluster, 1, (session, frame) => session.nack(requestIdOf(frame), 'TOO_LARGE'));
    const producer = client.topic('orders', utf8).producer({ maxBatchRecords: 1 });
    const outcomes = await world.run(
      Promise.all(['a', 'b', 'c', 'd'].map((value) => outcomeOf(producer.send({ value })))),
    );
    expect(outcomes).toEqual(['ok', 'TOO_LARGE none', 'ok', 'ok']);
    expect(partition.values()).toEqual(['a', 'c', 'd']);
    expect(partition.batches.map(({ producer: tuple }) => [tuple?.epoch, tuple?.sequence])).toEqual([
      [0, 0],
      [1, 0],
      [1, 1],
    ]);
  });

  test('a batch that was refused for good is not sent again while an older one is', async () => {
    const { world, cluster, client, partition } = await scene();
    let seen = 0;
    cluster.incoming = (session, frame) => {
      if (frame.message.kind !== 'append') return false;
      const at = seen++;
      if (at === 0) session.nack(requestIdOf(frame), 'NO_LEADER');
      else if (at === 1) session.nack(requestIdOf(frame), 'TOO_LARGE');
      else return false;
      return true;
    };
    const producer = client.topic('orders', utf8).producer({ maxBatchRecords: 1 });
    const outcomes = Promise.all(['a', 'b', 'c'].map((value) => outcomeOf(producer.send({ value }))));
    expect(await world.run(outcomes)).toEqual(['ok', 'TOO_LARGE none', 'ok']);
    expect(partition.values()).toEqual(['a', 'c']);
  });

  test('answers to attempts of an epoch that was left mean nothing', async () => {
    const { world, cluster, client, partition } = await scene({ requestTimeoutMs: 2_000 });
    const producer = client.topic('orders', utf8).producer({ maxBatchRecords: 1 });
    await world.run(producer.send({ value: 'a' }));
    let refuseB: (() => void) | undefined;
    let refuseC: (() => void) | undefined;
    cluster.incoming = (session, frame) => {
      if (frame.message.kind !== 'append' || refuseC !== undefined) return false;
      if (refuseB === undefined) refuseB = () => session.nack(requestIdOf(frame), 'NO_LEADER');
      else refuseC = () => session.nack(requestIdOf(frame), 'TOO_LARGE');
      return true;
    };
    const b = outcomeOf(producer.send({ value: 'b' }));
    await world.advance(1_000);
    const c = outcomeOf(producer.send({ value: 'c' }));
    await world.settle();
    // b is to be sent again once c is answered, which does not happen: so b's time runs out, and c goes on without it.
    refuseB?.();
    expect(await world.run(b)).toBe('NO_LEADER none');
    refuseC?.();
    expect(await world.run(c)).toBe('ok');
    expect(partition.values()).toEqual(['a', 'c']);
  });

  test('while nobody leads, everything fails with NO_LEADER none when its time is up, and sending goes on later', async () => {
    const it = await scene({ requestTimeoutMs: 2_000 });
    const { world, cluster, partition } = it;
    const producer = it.client.topic('orders', utf8).producer();
    await world.run(producer.send({ value: 'a' }));
    cluster.incoming = (session, frame) => {
      if (frame.message.kind !== 'append') return false;
      session.nack(requestIdOf(frame), 'NO_LEADER');
      return true;
    };
    expect(await world.run(outcomeOf(producer.send({ value: 'b' })))).toBe('NO_LEADER none');
    cluster.incoming = undefined;
    await world.run(producer.send({ value: 'c' }));
    expect(partition.values()).toEqual(['a', 'c']);
  });

  test('a producer the server forgot does not send again what may be in the log', async () => {
    const { world, cluster, client, partition } = await scene();
    const producer = client.topic('orders', utf8).producer();
    await world.run(producer.send({ value: 'a' }));
    onAppend(cluster, 0, (session, frame) => {
      cluster.outgoing = () => 'drop';
      cluster.handle(session, frame);
      cluster.outgoing = undefined;
      partition.producers.clear();
      session.socket.cut();
    });
    expect(await world.run(outcomeOf(producer.send({ value: 'b' })))).toBe('SEQUENCE_GAP unknown');
    expect(partition.values()).toEqual(['a', 'b']);
  });

  test('a refusal after an attempt that may have worked does not make it none', async () => {
    const it = await scene();
    const { world, cluster, client } = it;
    const producer = client.topic('orders', utf8).producer();
    await world.run(producer.send({ value: 'a' }));
    let seen = 0;
    cluster.incoming = (session, frame) => {
      if (frame.message.kind !== 'append') return false;
      if (seen++ === 0) session.socket.cut();
      else session.nack(requestIdOf(frame), 'STORAGE_CORRUPT');
      return true;
    };
    expect(await world.run(outcomeOf(producer.send({ value: 'b' })))).toBe('STORAGE_CORRUPT unknown');
  });

  test('no node can be reached at all: CONNECTION none for what was never sent', async () => {
    const { world, cluster, client } = await scene({ requestTimeoutMs: 1_000 });
    for (const node of cluster.nodes) node.kill();
    const producer = client.topic('orders', utf8).producer();
    expect(await world.run(outcomeOf(producer.send({ value: 'a' })))).toBe('CONNECTION none');
  });

  test('an answer to another batch is no answer: INTERNAL unknown', async () => {
    const { world, cluster, client } = await scene();
    const producer = client.topic('orders', utf8).producer();
    cluster.outgoing = (_, __, message, payload) =>
      message.kind === 'ack' ? { message: { ...message, recordCount: 7 }, payload } : undefined;
    expect(await world.run(outcomeOf(producer.send({ value: 'a' })))).toBe('INTERNAL unknown');
  });
});

describe('producer ids', () => {
  test('id and epoch come together; a higher epoch fences the older one, which cannot be resumed', async () => {
    const { world, client, partition } = await scene();
    const topic = client.topic('orders', utf8);
    expect(() => topic.producer({ id: 'loader' })).toThrow(/id and epoch together/);
    const old = topic.producer({ id: 'loader', epoch: 10 });
    await world.run(old.send({ value: 'old' }));
    const successor = topic.producer({ id: 'loader', epoch: 20 });
    await world.run(successor.send({ value: 'new' }));
    expect(await world.run(outcomeOf(old.send({ value: 'zombie' })))).toBe('PRODUCER_FENCED unknown');
    expect(() => old.resume()).toThrow(/failure before it/);
    expect(partition.values()).toEqual(['old', 'new']);
    expect(new Set(partition.batches.map(({ producer }) => producer?.id)).size).toBe(1);
  });

  test('the same id, epoch and input after a restart change nothing: the acks say duplicate', async () => {
    const { world, client, partition } = await scene();
    const topic = client.topic('orders', utf8);
    const first = topic.producer({ id: 'loader', epoch: 1 });
    await world.run(first.send({ value: 'a' }));
    const second = topic.producer({ id: 'loader', epoch: 1 });
    expect(await world.run(second.send({ value: 'a' }))).toMatchObject({ duplicate: true, offset: 0 });
    expect(partition.values()).toEqual(['a']);
  });

  test('a topic that was deleted and created again is not written to by the producer of the old one', async () => {
    const { world, cluster, client } = await scene();
    const producer = client.topic('orders', utf8).producer();
    await world.run(producer.send({ value: 'a' }));
    cluster.topics.delete('orders');
    const again = cluster.createTopic('orders');
    const startMs = world.nowMs;
    expect(await world.run(outcomeOf(producer.send({ value: 'b' })))).toBe('TOPIC_NOT_FOUND none');
    expect(world.nowMs - startMs).toBeLessThan(1_000);
    expect(again.partitions[0]?.tail).toBe(0);
  });
});

describe('the room a connection has', () => {
  test('bytes in flight over all partitions stay within what the node allows', async () => {
    const { world, cluster, client, topic } = await scene({
      nodes: ['n1'],
      partitions: 4,
      arrange: (arranged) => {
        arranged.inflightBytesMax = 3_000;
      },
    });
    const held: (() => void)[] = [];
    let most = 0;
    let bytes = 0;
    cluster.incoming = (session, frame) => {
      if (frame.message.kind !== 'append') return false;
      bytes += frame.payload.length;
      most = Math.max(most, bytes);
      held.push(() => {
        bytes -= frame.payload.length;
        cluster.handle(session, frame);
      });
      return true;
    };
    const producer = client.topic('orders').producer({ maxBatchRecords: 1 });
    const sends = Array.from({ length: 20 }, (_, at) =>
      producer.send({ value: new Uint8Array(1_000), partition: at % 4 }),
    );
    const answered = Promise.all(sends);
    while (topic.partitions.reduce((sum, { tail }) => sum + tail, 0) < 20) {
      await world.settle();
      held.shift()?.();
    }
    await world.run(answered);
    expect(most).toBeGreaterThan(1_000);
    expect(most).toBeLessThanOrEqual(3_000);
  });
});
