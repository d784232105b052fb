/**
 * Rot at rest, by chance: any file of a log that lies still, in any part, and a start of its replica afterwards. It
 * ends with the log as it was, or with the word that the log is lost; it never waits for what peers have already
 * supplied.
 */
import { describe, expect, test } from 'vitest';
import { supplyEntry } from '../../src/partition/entry-supply.ts';
import { Mender } from '../../src/partition/mender.ts';
import { replay } from '../../src/partition/replay.ts';
import { PartitionState } from '../../src/partition/state.ts';
import { type Log, type LogEntry, StorageError } from '../../storage/index.ts';
import { Prng } from '../raft/support/prng.ts';
import { ModelDisk, type ModelDiskOptions } from '../support/model-disk.ts';
import { spoil } from '../support/spoil.ts';
import { describeEntries, readAll } from '../support/storage-fixture.ts';
import { type EntryFields, entriesAfter, follow } from './support/entries.ts';
import { openLog } from './support/open-log.ts';

const SEEDS = Number(process.env.ROT_SEEDS ?? 60);
const FROM = Number(process.env.ROT_FROM ?? 1);
/** A start that asks more often for an entry that a peer has would ask for ever. */
const WAITS_MAX = 20;

/** One flush after the other, with leaders that come and go. */
async function write(log: Log, random: Prng): Promise<void> {
  let last: LogEntry | undefined;
  let term = 1;
  for (let flush = 0; flush < 12; flush += 1) {
    const rows: EntryFields[] = [];
    if (random.chance(0.3)) {
      term += 1;
      rows.push({ kind: 'no-op', term });
    }
    for (let count = 1 + random.below(5); count > 0; count -= 1) {
      rows.push({ term, values: ['x'.repeat(random.below(random.pick([20, 900, 6_000])))] });
    }
    await log.saveHardState({ term, votedFor: undefined });
    const made = entriesAfter(follow(last), ...rows);
    log.append(made);
    await log.flush();
    last = made.at(-1)!;
    if (random.chance(0.7)) log.setCommitHint(last.header.index - random.below(3));
  }
}

/** In one or two files of the log; which. */
function rot(disk: ModelDisk, random: Prng): string[] {
  const files = disk.files().filter((path) => path.includes('/logs/') && disk.peek(path).length > 0);
  return Array.from({ length: 1 + random.below(2) }, () => {
    const path = random.pick(files);
    disk.damage(path, (bytes) => spoil(bytes, random));
    return path;
  });
}

function stoppingAt(call: number): ModelDiskOptions {
  return { onCall: ({ number }) => (number === call ? 'stop' : undefined) };
}

/** Opens the rotten log and replays it beside a peer whose log is sound. @returns What became of it. */
async function start(disk: ModelDisk, peer: Log): Promise<'lost' | readonly string[]> {
  let waits = 0;
  const troubles: string[] = [];
  let opened: Awaited<ReturnType<typeof openLog>>;
  try {
    opened = await openLog({ disk });
  } catch (error) {
    if (error instanceof StorageError && error.code === 'CORRUPT') return 'lost';
    throw error;
  }
  const { log } = opened;
  try {
    const mender = new Mender({
      log,
      groupId: 1,
      world: {
        fetchEntry: async (_groupId, wanted) => {
          const found = await supplyEntry(peer, wanted, peer.lastIndex);
          if (typeof found === 'object') return found;
          return { entry: undefined, unheard: [], isTrimmed: found === 'trimmed' };
        },
        metrics: { add: () => undefined, set: () => undefined, observe: () => undefined },
      },
      events: { onTrouble: (what, error) => troubles.push(`${what}: ${String(error)}`), onLostEntry: () => undefined },
      mayCut: () => true,
    });
    const timers = {
      after: (_ms: number, fn: () => void) => {
        waits += 1;
        setImmediate(fn);
        return { cancel: () => undefined };
      },
      every: () => ({ cancel: () => undefined }),
      soon: () => undefined,
    };
    const parts = { log, mender, timers, state: new PartitionState(undefined), isStopping: () => waits > WAITS_MAX };
    await replay(parts);
    await mender.mendAll();
    expect(log.damage).toEqual([]);
    return describeEntries(await readAll(log));
  } catch (error) {
    if (waits > WAITS_MAX) throw new Error(`it waits for ever: ${troubles.join('; ')}`, { cause: error });
    throw error;
  } finally {
    await opened.close();
  }
}

describe('a replica whose files rotted while it was down', () => {
  test(`starts with its log or without one, and never waits in vain: ${SEEDS} seeds`, {
    timeout: 120_000,
  }, async () => {
    let whole = 0;
    for (let seed = FROM; seed < FROM + SEEDS; seed += 1) {
      const random = new Prng(seed);
      const made = new ModelDisk();
      const first = await openLog({ disk: made });
      await write(first.log, random);
      if (random.chance(0.5)) await first.close();
      const peer = await openLog({ disk: made.afterCrash(0) });
      const expected = describeEntries(await readAll(peer.log));
      let rotten = made.afterCrash(seed);
      const hurt: string[] = [];
      try {
        // Once more, perhaps in the middle of being mended, as long as there is a log.
        for (let round = 0; round < 3; round += 1) {
          hurt.push(...rot(rotten, random));
          const stopAt = random.chance(0.4) ? random.below(60) : undefined;
          const disk = rotten.afterCrash(seed, stopAt === undefined ? {} : stoppingAt(stopAt));
          const found = await Promise.race([start(disk, peer.log), disk.stopped]);
          rotten = disk.afterCrash(seed + round);
          if (found === undefined) continue;
          if (found === 'lost') break;
          // An end that no later flush proves may be torn off.
          expect(expected.slice(0, found.length)).toEqual(found);
          whole += 1;
        }
      } catch (error) {
        throw new Error(`seed ${seed}, rot in ${hurt.join(' and ')}`, { cause: error });
      } finally {
        await peer.close();
      }
    }
    expect(whole).toBeGreaterThan(SEEDS / 3);
  });
});
