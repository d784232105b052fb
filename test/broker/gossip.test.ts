/** What nodes tell each other of who leads what: how much of it at a change, and all of it now and then. */
import { describe, expect, test } from 'vitest';
import { Gossip } from '../../src/broker/gossip.ts';
import { Leaders } from '../../src/broker/leaders.ts';
import { decodeCall, encodeCall, type StatusCall } from '../../src/broker/peer-calls.ts';
import type { PeerDescription, Peers } from '../../src/broker/peers.ts';
import { SimTime, simEnv } from './support/sim-env.ts';

const GROUPS = 1_000;

/** Node a, which leads a thousand groups and has told b of all of them. */
async function told(): Promise<{ gossip: Gossip; leaders: Leaders; time: SimTime; calls: StatusCall[] }> {
  const time = new SimTime();
  const leaders = new Leaders();
  for (let groupId = 1; groupId <= GROUPS; groupId += 1) leaders.learn(groupId, { term: 1, leader: 'a' });
  const calls: StatusCall[] = [];
  const list = [{ id: 'b', isUp: true }] as unknown as readonly PeerDescription[];
  const call: Peers['call'] = async (_to, _method, body) => {
    calls.push(decodeCall<StatusCall>(Buffer.concat(body)).head);
    return Buffer.concat(encodeCall({ leads: [], mayLead: true, groups: [] }));
  };
  const env = simEnv(time, 1, []);
  const peers = { list, call } as unknown as Peers;
  const gossip = new Gossip({
    nodeId: 'a',
    env,
    peers,
    leaders,
    mayLead: () => true,
    added: () => [],
    onAdded: () => undefined,
    isDeleted: () => false,
  });
  await time.advance(10);
  gossip.tick();
  expect(calls.map(({ leads }) => leads.length)).toEqual([GROUPS]);
  calls.length = 0;
  return { gossip, leaders, time, calls };
}

describe('gossip', () => {
  test('tells of a new leadership alone, not of all others again', async () => {
    const { gossip, leaders, calls } = await told();
    leaders.learn(7, { term: 2, leader: 'a' });
    gossip.hasNews(7);
    gossip.tick();
    gossip.tick();
    expect(calls).toEqual([{ leads: [{ groupId: 7, term: 2 }], mayLead: true, groups: [], isNews: true }]);
  });

  test('does not tell of what was lost again before it could be told', async () => {
    const { gossip, leaders, calls } = await told();
    leaders.learn(7, { term: 2, leader: 'a' });
    gossip.hasNews(7);
    leaders.learn(7, { term: 3, leader: 'c' });
    gossip.tick();
    expect(calls).toMatchObject([{ leads: [] }]);
  });

  test('tells of everything now and then, in case some was lost', async () => {
    const { gossip, time, calls } = await told();
    await time.advance(5_000);
    gossip.tick();
    expect(calls.map(({ leads }) => leads.length)).toEqual([GROUPS]);
  });
});
