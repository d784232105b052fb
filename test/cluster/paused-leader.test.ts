/**
 * A leader that stands still (SIGSTOP) while another one is elected and appends are acknowledged elsewhere. When it
 * goes on it does not know yet that it was deposed, and it answers what was asked of it meanwhile: never a linearizable
 * read with what was true before (P9, R7, R24).
 */
import { describe, expect, test } from 'vitest';
import { logdriveOk } from './support/command-line.ts';
import { TestCluster } from './support/test-cluster.ts';
import type { TestNode } from './support/test-node.ts';

const TOPIC = 'orders';
const ASKED_BEFORE = 5;
const ASKED_AFTER = 20;

/** How many records a linearizable read of that node shows; undefined when it refuses to say. */
async function recordsOn(node: TestNode): Promise<number | undefined> {
  const url = `http://${node.address}/v1/topics/${TOPIC}/records?offset=0&limit=100&level=linearizable`;
  const answer = await fetch(url);
  const body = (await answer.json()) as { records: readonly unknown[]; level: string };
  if (!answer.ok) return undefined;
  expect(body.level).toBe('linearizable');
  return body.records.length;
}

describe('a leader that was paused and deposed', () => {
  test('answers no linearizable read with what was true before its pause', async () => {
    await using cluster = await TestCluster.create();
    await logdriveOk(['topic', 'create', TOPIC, '-s', cluster.servers]);
    await logdriveOk(['produce', TOPIC, '-s', cluster.servers], { stdin: 'before\n' });
    const paused = await cluster.leaderOf(TOPIC);
    expect(await recordsOn(paused)).toBe(1);
    paused.signal('SIGSTOP');
    try {
      // The kernel takes these requests; the process reads them when it goes on, before or after its first tick.
      const asked = Array.from({ length: ASKED_BEFORE }, () => recordsOn(paused));
      const others = cluster.others(paused).map(({ address }) => address);
      await logdriveOk(['produce', TOPIC, '-s', others.join(',')], { stdin: 'meanwhile\n' });
      paused.signal('SIGCONT');
      for (let i = 0; i < ASKED_AFTER; i += 1) asked.push(recordsOn(paused));
      const found = await Promise.all(asked);
      expect(found.filter((count) => count !== undefined && count !== 2)).toEqual([]);
    } finally {
      paused.signal('SIGCONT');
    }
    const { stdout } = await logdriveOk(
      ['consume', TOPIC, '-s', paused.address, '-o', 'earliest', '-e', '--level', 'linearizable'],
      {},
    );
    expect(stdout.toString()).toBe('before\nmeanwhile\n');
  });
});
