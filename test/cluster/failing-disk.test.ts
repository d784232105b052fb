/**
 * Nodes whose disk fails under them: their last word, their exit code, and that nobody misses an acknowledged record
 * (W4, F35, F39).
 */
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { logdriveOk } from './support/command-line.ts';
import { readAll } from './support/load.ts';
import { TestCluster } from './support/test-cluster.ts';

const PRELOAD = fileURLToPath(new URL('./support/fail-writes.mjs', import.meta.url));
const TOPIC = 'orders';

describe('a write that fails for another reason than room', () => {
  test('ends the node with exit code 1 and a last word that names file and reason', async () => {
    await using cluster = await TestCluster.create({
      env: { NODE_OPTIONS: `--import=${PRELOAD}`, FAIL_WRITES_WITH: 'EIO' },
    });
    await logdriveOk(['topic', 'create', TOPIC, '-s', cluster.servers]);
    await logdriveOk(['produce', TOPIC, '-s', cluster.servers], { stdin: 'kept\n' });
    const leader = await cluster.leaderOf(TOPIC);
    const logFrom = leader.log.length;
    leader.signal('SIGUSR2');
    // The client finds the next leader by itself: what it is told is kept, is kept.
    await logdriveOk(['produce', TOPIC, '-s', cluster.servers], { stdin: 'kept too\n' });
    expect(await leader.exited()).toEqual({ code: 1, signal: null });
    const words = leader.log.slice(logFrom);
    expect(words).toContain('storage failed; the process ends, and recovery decides what is true');
    expect(words).toMatch(/EIO \(the medium failed\)/);
    expect(words).toContain(leader.dataDir);
    // Never tried again: one failure for each log that was writing at that moment, the catalog and the topic.
    expect(words.match(/failing a write/g)!.length).toBeLessThanOrEqual(2);
    leader.start();
    await leader.ready();
    const records = await readAll(await cluster.leaderOf(TOPIC), TOPIC, 'linearizable');
    expect(records).toHaveLength(2);
  });
});

describe('a file system that becomes read-only', () => {
  test('ends no node: others lead, it reads on, and it goes on by itself when it can write again', async () => {
    await using cluster = await TestCluster.create({
      env: { NODE_OPTIONS: `--import=${PRELOAD}`, FAIL_WRITES_WITH: 'EROFS' },
    });
    await logdriveOk(['topic', 'create', TOPIC, '-s', cluster.servers]);
    await logdriveOk(['produce', TOPIC, '-s', cluster.servers], { stdin: 'kept\n' });
    const struck = await cluster.leaderOf(TOPIC);
    struck.signal('SIGUSR2');
    await logdriveOk(['produce', TOPIC, '-s', cluster.servers], { stdin: 'kept too\n' });
    expect(struck.log).toMatch(/EROFS.*nothing can be written: it is tried again until that works/s);
    expect((await readAll(struck, TOPIC)).length).toBeGreaterThanOrEqual(1);
    struck.signal('SIGUSR2');
    await eventually(async () => (await readAll(struck, TOPIC)).length === 2, { what: 'both records on that node' });
    await struck.ready();
    expect(struck.log).not.toContain('storage failed');
  });
});
