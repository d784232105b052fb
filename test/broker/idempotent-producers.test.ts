/** Producers that number their batches: each is in the log once, whatever is sent again (P7). */
import { afterEach, describe, expect, test } from 'vitest';
import { append, failure, leaderOf, PRODUCER, started, THREE, valuesOn } from './support/clients.ts';
import { crashAll } from './support/endings.ts';

afterEach(crashAll);

describe('idempotent producers', () => {
  const tuple = (sequence: number, epoch = 0) => ({ id: PRODUCER, epoch, sequence });

  test('a batch sent twice is appended once and answered with its first offset, also after a change of leader', async () => {
    const cluster = await started(THREE);
    await cluster.createTopic('t');
    const first = await cluster.wait(append(cluster, 't', ['a', 'b'], { producer: tuple(0) }));
    const again = await cluster.wait(append(cluster, 't', ['a', 'b'], { producer: tuple(0) }));
    expect(again).toMatchObject({ baseOffset: first.baseOffset, isDuplicate: true });
    const leader = (await leaderOf(cluster, 't'))!;
    await cluster.crash(leader);
    const survivor = THREE.find((id) => id !== leader)!;
    const third = await cluster.wait(append(cluster, 't', ['a', 'b'], { on: survivor, producer: tuple(0) }));
    expect(third).toMatchObject({ baseOffset: 0, isDuplicate: true });
    expect(await valuesOn(cluster, survivor, 't')).toEqual(['0:a', '1:b']);
  });

  test('two copies of a batch in one turn become one entry', async () => {
    const cluster = await started(['n1']);
    await cluster.createTopic('t');
    const both = [
      append(cluster, 't', ['a'], { producer: tuple(0) }),
      append(cluster, 't', ['a'], { producer: tuple(0) }),
    ];
    const answers = await cluster.wait(Promise.all(both));
    expect(answers.map(({ baseOffset, isDuplicate }) => [baseOffset, isDuplicate])).toEqual([
      [0, false],
      [0, true],
    ]);
  });

  test('gaps are refused with what was expected, old epochs are fenced, a higher epoch begins at 0', async () => {
    const cluster = await started(['n1']);
    await cluster.createTopic('t');
    await cluster.wait(append(cluster, 't', ['a'], { producer: tuple(0) }));
    const gap = await cluster.wait(failure(append(cluster, 't', ['c'], { producer: tuple(2) })));
    expect([gap.code, gap.details.expected]).toEqual(['SEQUENCE_GAP', 1]);
    const late = await cluster.wait(failure(append(cluster, 't', ['c'], { producer: tuple(1, 1) })));
    expect([late.code, late.details.expected]).toEqual(['SEQUENCE_GAP', 0]);
    await cluster.wait(append(cluster, 't', ['b'], { producer: tuple(0, 1) }));
    const fenced = await cluster.wait(failure(append(cluster, 't', ['x'], { producer: tuple(1, 0) })));
    expect([fenced.code, fenced.outcome, fenced.details.epoch]).toEqual(['PRODUCER_FENCED', 'unknown', 1]);
    expect(await valuesOn(cluster, 'n1', 't')).toEqual(['0:a', '1:b']);
  });

  test('a duplicate older than the window is acknowledged without an offset', async () => {
    const cluster = await started(['n1']);
    await cluster.createTopic('t');
    for (let sequence = 0; sequence < 8; sequence += 1)
      await cluster.wait(append(cluster, 't', ['x'], { producer: tuple(sequence) }));
    const old = await cluster.wait(append(cluster, 't', ['x'], { producer: tuple(0) }));
    expect(old).toMatchObject({ isDuplicate: true, baseOffset: undefined });
    expect((await valuesOn(cluster, 'n1', 't')).length).toBe(8);
  });

  test('an entry that was cut from the log with its leader can be sent again', async () => {
    const cluster = await started(THREE);
    await cluster.createTopic('t');
    const old = (await leaderOf(cluster, 't'))!;
    const others = THREE.filter((id) => id !== old);
    for (const id of others) {
      cluster.cut.add(`${id}>${old}`);
      cluster.cut.add(`${old}>${id}`);
    }
    const lost = append(cluster, 't', ['lost'], { on: old, producer: tuple(0), timeoutMs: 5_000 });
    await cluster.until(
      () =>
        others.some(
          (id) =>
            cluster
              .broker(id)
              .cluster()
              .nodes.find((node) => node.id === id)!.partitionsLed > 0,
        ),
      'a new leader among the others',
    );
    const won = await cluster.wait(
      append(cluster, 't', ['won'], { on: others[0]!, producer: { id: 'cd'.repeat(16), epoch: 0, sequence: 0 } }),
    );
    expect(won.baseOffset).toBe(0);
    cluster.cut.clear();
    // The cut-off node finds the new leader, drops its entry, and the same tuple is appended there, once.
    const answer = await cluster.wait(lost);
    expect(answer).toMatchObject({ baseOffset: 1, isDuplicate: false });
    await cluster.time.advance(200);
    for (const id of THREE) expect(await valuesOn(cluster, id, 't')).toEqual(['0:won', '1:lost']);
  });
});
