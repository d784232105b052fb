/** How many partitions of a node campaign at once. */
import { describe, expect, test } from 'vitest';
import { CampaignTurns } from '../../src/broker/campaign-turns.ts';
import { Solo } from '../raft/support/solo.ts';

describe('turns to campaign', () => {
  test('are given to a few partitions in each tick, and to the others in the next ones', () => {
    const turns = new CampaignTurns();
    const groups = Array.from(
      { length: 25 },
      (_, group) => new Solo({ raft: { mayCampaignNow: () => turns.take(group) } }),
    );
    const campaigning: number[] = [];
    for (let tick = 0; tick < 34; tick += 1) {
      turns.tick();
      for (const group of groups) group.tick();
      const count = groups.filter(({ raft }) => raft.role === 'pre-candidate').length;
      if (count > (campaigning.at(-1) ?? 0)) campaigning.push(count);
    }
    // All of them time out in the same tick.
    expect(campaigning).toEqual([10, 20, 25]);
  });

  test('are not waited for by who hears of its leader meanwhile', () => {
    const turns = new CampaignTurns();
    const group = new Solo({ raft: { mayCampaignNow: () => turns.take(1) } });
    group.tick(40);
    group.step({ kind: 'heartbeat', term: 1, commit: 0, round: 1 });
    turns.tick();
    group.tick(5);
    expect(group.raft).toMatchObject({ role: 'follower', leader: 'n2' });
  });

  test('come to everybody: hundreds that campaign in vain, again and again, do not keep one behind them from it', () => {
    const turns = new CampaignTurns();
    // Without a majority that is up. They are ticked in this order, the one that could win at the end.
    const groups = Array.from(
      { length: 400 },
      (_, group) => new Solo({ raft: { mayCampaignNow: () => turns.take(group) } }),
    );
    const last = groups.at(-1)!;
    for (let tick = 0; tick < 120; tick += 1) {
      turns.tick();
      for (const group of groups) group.tick();
      if (last.raft.role === 'pre-candidate') break;
    }
    expect(last.raft.role).toBe('pre-candidate');
  });
});
