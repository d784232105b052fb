/**
 * Groups at rest: when they may, what ends it, and that a dead or deposed leader is noticed all the same. The watch
 * over nodes that stands in for heartbeats is played by hand here; test/broker/beats.test.ts has the real one.
 */
import { describe, expect, test } from 'vitest';
import { Cluster } from './support/cluster.ts';
import { at, Solo } from './support/solo.ts';

const REST_TICKS = 10;
/** As support/cluster.ts has it. */
const HEARTBEAT_TICKS = 4;

/** Three nodes, n1 leads, and everybody rests. */
function resting(traced: string[] = []): Cluster {
  const trace = (node: string, text: string): void => void traced.push(`${node} ${text}`);
  const cluster = new Cluster({ ids: ['n1', 'n2', 'n3'], raft: { restTicks: REST_TICKS }, trace }).start();
  cluster.elect('n1');
  cluster.tick(REST_TICKS + 10);
  expect(rests(cluster)).toEqual([true, true, true]);
  return cluster;
}

function rests(cluster: Cluster): boolean[] {
  return [...cluster.nodes.values()].filter((node) => node.isUp).map((node) => node.raft.isResting);
}

describe('going to rest', () => {
  test('an idle group sends nothing, elects nobody and keeps its leader, however many ticks pass', () => {
    const traced: string[] = [];
    const cluster = resting(traced);
    const before = traced.length;
    cluster.tick(1_000);
    expect(traced.slice(before)).toEqual([]);
    expect(cluster.leader()?.id).toBe('n1');
    expect([...cluster.nodes.values()].map(({ raft }) => raft.leader)).toEqual(['n1', 'n1', 'n1']);
  });

  test('a group without the option never rests', () => {
    const cluster = new Cluster({ ids: ['n1', 'n2', 'n3'] }).start();
    cluster.elect('n1');
    cluster.tick(500);
    expect(rests(cluster)).toEqual([false, false, false]);
  });

  test('a leader does not rest while one member has not everything durable', () => {
    const cluster = new Cluster({ ids: ['n1', 'n2', 'n3'], raft: { restTicks: REST_TICKS } }).start();
    const leader = cluster.elect('n1');
    cluster.cut(['n1'], ['n3']);
    leader.propose(['a']);
    cluster.tick(15);
    cluster.heal();
    // The link heals; until n3 has caught up the leader is awake, then it rests.
    expect(rests(cluster)).toEqual([false, true, true]);
    cluster.tick(40);
    expect(rests(cluster)).toEqual([true, true, true]);
    expect(cluster.node('n3').raft.commit).toBe(leader.raft.lastIndex);
  });

  test('a leader rests only when all members took the offer of one and the same round', () => {
    const solo = new Solo({ raft: { restTicks: REST_TICKS } }).lead();
    for (const from of ['n2', 'n3']) {
      solo.serve(from);
      solo.step({ kind: 'append-reply', from, term: 1, accepted: true, index: 1, hint: at(1, 1), lastIndex: 1 });
    }
    for (const from of ['n2', 'n3']) solo.step({ kind: 'heartbeat-reply', term: 1, from, round: 1 });
    solo.flush().tick(REST_TICKS + 4);
    const offers = solo.sent('heartbeat').filter(({ mayRest }) => mayRest === true);
    const { round } = offers.at(-1)!;
    const reply = { kind: 'heartbeat-reply', term: 1, isResting: true } as const;
    solo.step({ ...reply, from: 'n2', round });
    expect(solo.raft.isResting).toBe(false);
    solo.step({ ...reply, from: 'n3', round: round - 1 });
    expect(solo.raft.isResting).toBe(false);
    solo.step({ ...reply, from: 'n3', round });
    expect(solo.raft.isResting).toBe(true);
  });
});

describe('what is left out while the nodes are watched', () => {
  /** A leader and its followers, everything acked and told, all messages of before read. */
  function settled(): Cluster {
    const cluster = new Cluster({ ids: ['n1', 'n2', 'n3'], raft: { restTicks: 1_000 } }).start();
    cluster.elect('n1');
    cluster.tick(20);
    return cluster;
  }

  /** Messages by kind that leave while `work` runs. */
  function traffic(cluster: Cluster, work: () => void): Record<string, number> {
    const counts: Record<string, number> = {};
    const push = cluster.wire.push.bind(cluster.wire);
    cluster.wire.push = (...parcels) => {
      for (const { message } of parcels) counts[message.kind] = (counts[message.kind] ?? 0) + 1;
      return push(...parcels);
    };
    work();
    cluster.wire.push = push;
    return counts;
  }

  test('an append now and then costs six messages and no heartbeats between', () => {
    const cluster = settled();
    const counts = traffic(cluster, () => {
      for (let appends = 0; appends < 20; appends += 1) {
        cluster.node('n1').propose(['a']);
        cluster.tick(10);
      }
    });
    // The heartbeats are the notices of the commit, which nobody answers.
    expect(counts).toEqual({ append: 40, 'append-reply': 40, heartbeat: 40 });
    expect(cluster.node('n3').raft.commit).toBe(cluster.node('n1').raft.lastIndex);
  });

  test('a leader is told of time at heartbeats alone, and has something to say at those at which a round is due', () => {
    const cluster = settled();
    const { raft } = cluster.node('n1');
    expect(raft.pace).toBe('heartbeats');
    expect([1, 2, 3, 4, 5].map(() => raft.tick(HEARTBEAT_TICKS))).toEqual([false, false, false, false, false]);
    raft.propose([100]);
    expect([1, 2].map(() => raft.tick(HEARTBEAT_TICKS))).toEqual([false, true]);
  });

  test('a leader that is told of heartbeats alone notices in time that no majority is there (R10)', () => {
    const cluster = settled();
    const leader = cluster.node('n1');
    cluster.cut(['n1'], ['n2', 'n3']);
    for (const peer of ['n2', 'n3']) leader.turn((raft) => raft.peerSilent(peer, 20));
    let ticks = 20;
    for (; leader.raft.role === 'leader'; ticks += HEARTBEAT_TICKS) leader.turn((raft) => raft.tick(HEARTBEAT_TICKS));
    // An election timeout is 40 ticks.
    expect(ticks).toBe(40);
    expect(leader.raft.pace).toBe('ticks');
  });

  test('who does not lead, or leads a group that nobody watches, is told of each tick', () => {
    const cluster = new Cluster({ ids: ['n1', 'n2', 'n3'] }).start();
    expect(cluster.node('n1').raft.pace).toBe('ticks');
    cluster.elect('n1');
    expect(cluster.node('n1').raft.pace).toBe('ticks');
    expect(resting().node('n1').raft.pace).toBe('none');
  });

  test('a follower counts no time while what it was sent is on its way to its disk', () => {
    const cluster = settled();
    cluster.node('n1').propose(['a']);
    while (cluster.wire.length > 0) cluster.deliverAt(0);
    for (let ticks = 0; ticks < 100; ticks += 1) cluster.node('n2').tick();
    expect(cluster.node('n2').raft).toMatchObject({ role: 'follower', leader: 'n1' });
  });

  test('what is not answered is asked for at the second round that is due, and every fourth from then on', () => {
    const cluster = settled();
    cluster.cut(['n1'], ['n3']);
    cluster.node('n1').propose(['a']);
    cluster.settle();
    const rounds: number[] = [];
    for (let tick = 1; tick <= 44; tick += 1) {
      const { heartbeat = 0 } = traffic(cluster, () => cluster.tick());
      if (heartbeat > 0) rounds.push(tick);
    }
    expect(rounds.map((tick, at) => tick - (rounds[at - 1] ?? tick))).toEqual([0, 16, 16]);
    expect(rounds[0]).toBeLessThanOrEqual(8);
    cluster.heal();
    cluster.tick(40);
    expect(cluster.node('n3').raft.commit).toBe(cluster.node('n1').raft.lastIndex);
  });

  test('a leader that a majority does not answer steps down, although their nodes are heard (R10)', () => {
    const cluster = settled();
    cluster.cut(['n1'], ['n2', 'n3']);
    cluster.node('n1').propose(['a']);
    cluster.tick(60);
    expect(cluster.node('n1').raft.role).toBe('follower');
  });

  test('a follower that woke while its leader was there rests on when the node of the leader vouches for it', () => {
    const cluster = settled();
    const follower = cluster.node('n2');
    follower.turn((raft) => raft.peerSilent('n1', 15));
    expect(follower.raft.isResting).toBe(false);
    follower.turn((raft) => raft.vouchedFor());
    for (let ticks = 0; ticks < 100; ticks += 1) follower.tick();
    expect(follower.raft).toMatchObject({ role: 'follower', leader: 'n1', isResting: true });
  });

  test('a leader that leads no more and seeks votes gets that of a follower which rests under it', () => {
    const cluster = settled();
    const leader = cluster.node('n1');
    cluster.node('n3').crash();
    leader.turn((raft) => raft.stepDown());
    expect(cluster.node('n2').raft).toMatchObject({ leader: 'n1', isResting: true });
    cluster.elect('n1');
    expect(cluster.node('n2').raft).toMatchObject({ leader: 'n1', term: 2 });
  });

  test('with leases, which rest on rounds, a group that works sends them all', () => {
    const cluster = new Cluster({ ids: ['n1', 'n2', 'n3'], raft: { restTicks: 1_000, promiseMs: 190 } }).start();
    cluster.elect('n1');
    cluster.tick(20);
    const counts = traffic(cluster, () => cluster.tick(40));
    expect(counts).toEqual({ heartbeat: 20, 'heartbeat-reply': 20 });
    expect(rests(cluster)).toEqual([false, false, false]);
  });
});

describe('what ends the rest', () => {
  test('a proposal wakes the leader and is committed at once', () => {
    const cluster = resting();
    const leader = cluster.node('n1');
    leader.propose(['a']);
    cluster.settle();
    expect(rests(cluster)).toEqual([false, true, true]);
    expect(leader.raft.commit).toBe(leader.raft.lastIndex);
    cluster.tick(REST_TICKS + 10);
    expect(rests(cluster)).toEqual([true, true, true]);
  });

  test('a round begun on demand is answered, and wakes the leader', () => {
    const traced: string[] = [];
    const cluster = resting(traced);
    const leader = cluster.node('n1');
    const round = leader.turn((raft) => raft.startRound());
    cluster.settle();
    expect(leader.raft.isResting).toBe(false);
    expect(traced.filter((text) => text.includes(`heartbeat-reply term=1 round=${round}`))).toHaveLength(2);
    expect(cluster.node('n2').turn((raft) => raft.startRound())).toBeUndefined();
  });

  test('followers whose link to the leader closes elect another', () => {
    const cluster = resting();
    cluster.node('n1').crash();
    for (const id of ['n2', 'n3']) cluster.node(id).turn((raft) => raft.peerDown('n1'));
    cluster.tick(12);
    expect(cluster.leader()?.raft.term).toBe(2);
  });

  test('followers of a node that falls silent count its silence and elect another in time', () => {
    const cluster = resting();
    cluster.cut(['n1'], ['n2', 'n3']);
    for (const id of ['n2', 'n3']) cluster.node(id).turn((raft) => raft.peerSilent('n1', 10));
    cluster.tick(40);
    expect(['n2', 'n3']).toContain(cluster.leader()?.id);
  });

  test('a leader whose followers fall silent goes through its quorum check and steps down (R10)', () => {
    const cluster = resting();
    const leader = cluster.node('n1');
    cluster.cut(['n1'], ['n2', 'n3']);
    for (const peer of ['n2', 'n3']) leader.turn((raft) => raft.peerSilent(peer, 10));
    for (let ticks = 0; ticks < 29; ticks += 1) leader.tick();
    expect(leader.raft.role).toBe('leader');
    leader.tick();
    expect(leader.raft.role).toBe('follower');
  });

  test('silence of a node that is not the leader does not wake a follower', () => {
    const cluster = resting();
    cluster.node('n2').turn((raft) => raft.peerSilent('n3', 10));
    expect(cluster.node('n2').raft.isResting).toBe(true);
  });

  test('a follower that wakes for no reason is brought back by the leader, without a new term', () => {
    const cluster = resting();
    cluster.node('n2').turn((raft) => raft.wake());
    cluster.tick(60);
    expect(cluster.leader()).toMatchObject({ id: 'n1' });
    expect(cluster.leader()?.raft.term).toBe(1);
    expect(rests(cluster)).toEqual([true, true, true]);
  });

  test('a resting follower sticks to its leader, and a resting leader that hears a candidate wakes (R9)', () => {
    const cluster = resting();
    // n3 hears neither n1 nor n1's node any more, but is heard by all.
    cluster.cutOneWay('n1', 'n3');
    cluster.node('n3').turn((raft) => raft.peerSilent('n1', 10));
    cluster.tick(200);
    expect(cluster.leader()?.id).toBe('n1');
    expect(cluster.node('n2').raft).toMatchObject({ leader: 'n1', term: 1 });
    expect(cluster.node('n1').raft.isResting).toBe(false);
  });

  test('a replica that loses its right to vote does not rest on', () => {
    const cluster = resting();
    const leader = cluster.node('n1');
    leader.turn((raft) => raft.setMayVote(false));
    expect(leader.raft).toMatchObject({ role: 'follower', isResting: false });
  });

  test('a replica that is told once more of the right it has rests on: a full node says so at every look', () => {
    const cluster = resting();
    for (const node of cluster.nodes.values()) node.turn((raft) => raft.setMayVote(true));
    expect(rests(cluster)).toEqual([true, true, true]);
  });
});

describe('a process that stood still (R24)', () => {
  test('a leader that was away for an election timeout takes itself for deposed', () => {
    const cluster = resting();
    const leader = cluster.node('n1');
    leader.turn((raft) => raft.stalled(40));
    expect(leader.raft).toMatchObject({ role: 'follower', leader: undefined });
  });

  test('a shorter stall counts as silence of the others', () => {
    const cluster = resting();
    const leader = cluster.node('n1');
    cluster.cut(['n1'], ['n2', 'n3']);
    leader.turn((raft) => raft.stalled(30));
    expect(leader.raft).toMatchObject({ role: 'leader', isResting: false });
    for (let ticks = 0; ticks < 10; ticks += 1) leader.tick();
    expect(leader.raft.role).toBe('follower');
  });

  test('a follower does not count the time it could not read what its leader sent', () => {
    const cluster = new Cluster({ ids: ['n1', 'n2', 'n3'] }).start();
    cluster.elect('n1');
    const follower = cluster.node('n2');
    follower.turn((raft) => raft.stalled(1_000));
    follower.tick();
    expect(follower.raft).toMatchObject({ role: 'follower', leader: 'n1' });
  });

  test('a group of one has nobody who could have deposed it', () => {
    const cluster = new Cluster({ ids: ['n1'] }).start();
    const alone = cluster.elect('n1');
    alone.turn((raft) => raft.stalled(1_000));
    expect(alone.raft.role).toBe('leader');
  });
});

test('rounds of all groups of a node fall in the same tick', () => {
  let phase = 3;
  const solo = new Solo({ raft: { heartbeatPhase: () => phase } }).lead();
  phase = 0;
  solo.take();
  solo.tick();
  expect(solo.sent('heartbeat').length).toBeGreaterThan(0);
});
