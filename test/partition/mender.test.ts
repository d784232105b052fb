import { describe, expect, test } from 'vitest';
import type { LostEntry } from '../../src/partition/lost-entries.ts';
import { Mender, type MenderParts } from '../../src/partition/mender.ts';
import { type Damage, type EntryId, type LogEntry, type RewritePlan, StorageError } from '../../storage/index.ts';
import { entries } from './support/entries.ts';

const FOUR = entries({}, {}, {}, {});

function region(firstIndex: number, lastIndex: number): Damage {
  return { file: '/log', position: 512, firstIndex, lastIndex, where: 'sealed' };
}

interface Bench {
  readonly mender: Mender;
  damage: Damage[];
  readonly asked: number[];
  readonly troubles: string[];
  repairs: number;
  /** Whether peers know what they supply committed. */
  isCommitted: boolean;
  /** Who could not be asked, as the answer to a question without an entry says. */
  unheard: string[];
  /** What such an answer says is committed. */
  committed: EntryId | undefined;
  /** What was told to be lost, one after the other. */
  readonly losses: (number | undefined)[];
  mayCut: boolean;
  readonly cuts: number[];
  /** Answers the oldest question that waits. */
  supply(entry: LogEntry | 'trimmed' | undefined): Promise<void>;
  /** As the log names it for each entry. */
  termAt: (index: number) => number;
  failRepair: Error | undefined;
  /** Whether the segment can be written anew. */
  isRewritable: boolean;
  /** The other entry of the segment that is asked for then, and what comes of it when it is supplied. */
  alsoDamaged: { readonly index: number; readonly outcome: Error } | undefined;
}

function bench(...damage: Damage[]): Bench {
  const waiting: ((entry: LogEntry | 'trimmed' | undefined) => void)[] = [];
  const made: Bench = {
    damage,
    asked: [],
    troubles: [],
    repairs: 0,
    isCommitted: true,
    unheard: ['n3'],
    committed: undefined,
    losses: [],
    mayCut: false,
    cuts: [],
    failRepair: undefined,
    isRewritable: false,
    alsoDamaged: undefined,
    termAt: () => 1,
    supply: async (entry) => {
      await turn();
      waiting.shift()!(entry);
      await turn();
    },
    mender: new Mender({
      groupId: 1,
      log: {
        get damage() {
          return made.damage;
        },
        commitHint: 1,
        termAt: (index: number) => made.termAt(index),
        truncateSuffix: (from: number) => {
          made.cuts.push(from);
          made.damage = made.damage.filter(({ lastIndex }) => lastIndex < from);
        },
        // What is tried when an entry does not fit its place.
        rewrite: async (_first: number, _last: number, plan: RewritePlan) => {
          const { alsoDamaged } = made;
          if (alsoDamaged !== undefined) {
            const entry = await plan.supply!(alsoDamaged.index);
            throw entry === undefined ? new StorageError('CORRUPT', 'damaged') : alsoDamaged.outcome;
          }
          if (!made.isRewritable) return undefined;
          made.damage = [];
          return { bytesBefore: 1, bytesAfter: 1 };
        },
        repair: async (entry: LogEntry) => {
          if (made.failRepair !== undefined) throw made.failRepair;
          const { index } = entry.header;
          // What is left of a region begins behind the entry that was put back.
          made.damage = made.damage.flatMap((one) => {
            if (index < one.firstIndex || index > one.lastIndex) return [one];
            return index === one.lastIndex ? [] : [{ ...one, firstIndex: index + 1 }];
          });
        },
      },
      world: {
        fetchEntry: (_groupId: number, { index }: { index: number }) => {
          made.asked.push(index);
          return new Promise((resolve) =>
            waiting.push((entry) =>
              resolve(
                typeof entry === 'object'
                  ? { entry, isCommitted: made.isCommitted }
                  : {
                      entry: undefined,
                      unheard: made.unheard,
                      isTrimmed: entry === 'trimmed',
                      committed: made.committed,
                    },
              ),
            ),
          );
        },
        metrics: {
          add: () => {
            made.repairs += 1;
          },
        },
      },
      mayCut: () => made.mayCut,
      events: {
        onTrouble: (what: string) => made.troubles.push(what),
        onLostEntry: (lost: LostEntry | undefined) => made.losses.push(lost?.index),
      },
    } as unknown as MenderParts),
  };
  return made;
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('mending', () => {
  test('puts entries of a region back in order, up to the one that is asked for', async () => {
    const made = bench(region(2, 4));
    const mended = made.mender.mend(3);
    await made.supply(FOUR[1]);
    await made.supply(FOUR[2]);
    expect(await mended).toBe(true);
    expect([made.asked, made.repairs, made.damage]).toEqual([[2, 3], 2, [region(4, 4)]]);
  });

  test('asks once, however many readers wait for the entry', async () => {
    const made = bench(region(2, 2));
    const all = Array.from({ length: 100 }, () => made.mender.mend(2));
    await made.supply(FOUR[1]);
    expect(await Promise.all(all)).toEqual(all.map(() => true));
    expect(made.asked).toEqual([2]);
  });

  test('of an entry that no peer has is reported once, and can be tried again', async () => {
    const made = bench(region(2, 2));
    for (let i = 0; i < 3; i += 1) {
      const mended = made.mender.mend(2);
      await made.supply(undefined);
      expect(await mended).toBe(false);
    }
    expect(made.troubles).toHaveLength(1);
    const mended = made.mender.mend(2);
    await made.supply(FOUR[1]);
    expect(await mended).toBe(true);
    // Damaged again later: that is news.
    made.damage = [region(2, 2)];
    const again = made.mender.mend(2);
    await made.supply(undefined);
    expect([await again, made.troubles.length]).toEqual([false, 2]);
  });

  test('of an entry that does not fit is refused', async () => {
    const made = bench(region(2, 2));
    made.failRepair = new StorageError('OUT_OF_RANGE', 'another chain');
    const mended = made.mender.mend(2);
    await made.supply(FOUR[1]);
    expect([await mended, made.repairs]).toEqual([false, 0]);
    expect(made.troubles[0]).toContain('did not fit');
  });

  test('that fails for another reason fails for those who asked, and the next one goes on', async () => {
    const made = bench(region(1, 1), region(3, 3));
    made.failRepair = new Error('a defect');
    const broken = made.mender.mend(1);
    const next = made.mender.mend(3);
    broken.catch(() => undefined);
    await made.supply(FOUR[0]);
    await expect(broken).rejects.toThrow('a defect');
    made.failRepair = undefined;
    await made.supply(FOUR[2]);
    expect(await next).toBe(true);
  });

  describe('of an entry in whose place a peer holds one of another term', () => {
    const other = entries({ term: 2 }, { term: 2 }, { term: 2 });

    test('cuts it away when that one is committed and nothing rests on the log yet', async () => {
      const made = bench(region(2, 3));
      made.mayCut = true;
      const mended = made.mender.mend(3);
      await made.supply(other[1]);
      expect([await mended, made.cuts, made.damage, made.repairs]).toEqual([true, [2], [], 0]);
    });

    test.each([
      ['that one is not committed', (made: Bench) => Object.assign(made, { isCommitted: false }), 2],
      ['a Raft core works on the log', (made: Bench) => Object.assign(made, { mayCut: false }), 2],
      ['it is known committed here', (made: Bench) => Object.assign(made, {}), 1],
    ])('cuts nothing when %s', async (_, change, index) => {
      const made = bench(region(index, index));
      made.mayCut = true;
      change(made);
      made.failRepair = new StorageError('OUT_OF_RANGE', 'another term');
      const mended = made.mender.mend(index);
      await made.supply(other[index - 1]);
      expect([await mended, made.cuts]).toEqual([false, []]);
    });
  });

  describe('of an entry that no peer has', () => {
    const committed = { index: 2, term: 2 };

    /** Entry 4 of a log of term 1. */
    function behind(): Bench {
      const made = bench(region(4, 4));
      return Object.assign(made, { mayCut: true, unheard: [], committed });
    }

    async function cutsOf(made: Bench): Promise<number[]> {
      const mended = made.mender.mend(4);
      await made.supply(undefined);
      expect(await mended).toBe(made.cuts.length > 0);
      return made.cuts;
    }

    test('cuts it away when another entry than the one here was committed before it', async () => {
      expect(await cutsOf(behind())).toEqual([4]);
    });

    test.each([
      ['the same one was', { termAt: () => 2 }],
      ['nobody says what was', { committed: undefined }],
      ['what was is not before it', { committed: { index: 4, term: 2 } }],
      ['what was is known committed here', { committed: { index: 1, term: 2 } }],
      [
        'its term is a guess here',
        { damage: [{ ...region(2, 3), where: 'tail' }, region(4, 4)], termAt: (at: number) => (at < 2 ? 1 : 3) },
      ],
      ['a Raft core works on the log', { mayCut: false }],
    ])('cuts nothing when %s', async (_, change) => {
      expect(await cutsOf(Object.assign(behind(), change))).toEqual([]);
    });
  });

  describe('of a tail whose terms are guesses', () => {
    /** Between an entry of term 1 and one of term 3: what the log says of entry 2 is only that. */
    function guessing(): Bench {
      const made = bench({ ...region(2, 3), where: 'tail' });
      made.termAt = (index) => (index < 2 ? 1 : 3);
      made.mayCut = true;
      return made;
    }
    const committed = entries({ term: 1 }, { term: 2 }, { term: 2 });

    test('cuts nothing away because of a guess: what is committed there may be what was acked', async () => {
      const made = guessing();
      const mended = made.mender.mend(2);
      await made.supply(committed[1]);
      expect([await mended, made.cuts, made.repairs]).toEqual([true, [], 1]);
    });

    test('cuts where the committed entry does not fit, or where the term is known and another one', async () => {
      const unfit = guessing();
      unfit.failRepair = new StorageError('OUT_OF_RANGE', 'too long');
      const mended = unfit.mender.mend(2);
      await unfit.supply(committed[1]);
      expect([await mended, unfit.cuts]).toEqual([true, [2]]);
      const last = guessing();
      const all = last.mender.mend(3);
      await last.supply(committed[1]);
      await last.supply(committed[2]);
      expect([await all, last.cuts, last.repairs]).toEqual([true, [3], 1]);
    });

    test('does not take a place that the medium does not give back for one of another entry', async () => {
      const made = guessing();
      made.failRepair = new StorageError('IO', 'a bad sector');
      const mended = made.mender.mend(2);
      await made.supply(committed[1]);
      expect([await mended, made.cuts]).toEqual([false, []]);
      made.isRewritable = true;
      const again = made.mender.mend(2);
      await made.supply(committed[1]);
      expect([await again, made.cuts, made.damage]).toEqual([true, [], []]);
    });

    test('does not take the size of a compacted entry for another one', async () => {
      const made = guessing();
      made.failRepair = new StorageError('OUT_OF_RANGE', 'too short');
      const mended = made.mender.mend(2);
      const { header } = committed[1]!;
      await made.supply({ ...committed[1]!, header: { ...header, compacted: {} as typeof header.compacted } });
      expect([await mended, made.cuts]).toEqual([false, []]);
    });
  });

  describe('of an entry that comes back only with all of its segment', () => {
    const elsewhere = new StorageError('OUT_OF_RANGE', 'the end is another one', { index: 4 });
    const atHint = new StorageError('OUT_OF_RANGE', 'the end is another one', { index: 1 });

    /** What is said of entry 2, when that of entry 4 in the same segment is such. */
    async function whyNot(supplied: LogEntry | undefined, change: Partial<Bench> = {}): Promise<string | undefined> {
      const made = bench(region(2, 2), region(4, 4));
      const failRepair = new StorageError('OUT_OF_RANGE', 'too short');
      Object.assign(made, { mayCut: true, failRepair, unheard: [], alsoDamaged: { index: 4, outcome: elsewhere } });
      Object.assign(made, change);
      const mended = made.mender.mend(2);
      const { header } = FOUR[1]!;
      await made.supply({ ...FOUR[1]!, header: { ...header, compacted: {} as typeof header.compacted } });
      await made.supply(supplied);
      expect([await mended, made.cuts]).toEqual([false, []]);
      return made.mender.whyBeyondRepair(2);
    }

    test('is in vain when others have committed something else in it', async () => {
      expect(await whyNot(FOUR[3])).toContain('something else');
      expect(await whyNot(undefined, { committed: { index: 3, term: 2 } })).toContain('something else');
    });

    test.each([
      ['what is supplied is not known committed', FOUR[3], { isCommitted: false }],
      [
        'one more of its entries has to come from others',
        FOUR[3],
        { alsoDamaged: { index: 4, outcome: new StorageError('CORRUPT', 'bad') } },
      ],
      ['it is known committed here', FOUR[3], { alsoDamaged: { index: 4, outcome: atHint } }],
      ['nobody has it yet', undefined, { committed: { index: 3, term: 1 } }],
      ['a Raft core works on the log', FOUR[3], { mayCut: false }],
    ])('is tried again when %s', async (_, supplied, change) => {
      expect(await whyNot(supplied, change)).toBe(undefined);
    });
  });

  test('of an entry that others have trimmed is in vain once all have been heard', async () => {
    const made = bench(region(2, 3));
    for (const [unheard, isInVain] of [
      [['n3'], false],
      [[], true],
    ] as const) {
      made.unheard = [...unheard];
      const mended = made.mender.mend(3);
      await made.supply('trimmed');
      expect([await mended, made.mender.whyBeyondRepair(3) !== undefined]).toEqual([false, isInVain]);
    }
    // It is no loss that stops the partition: the others go on behind it.
    expect([made.mender.isStopped, made.mender.whyBeyondRepair(4)]).toEqual([false, undefined]);
  });

  test('of everything goes on behind a region that cannot be helped', async () => {
    const made = bench(region(1, 1), region(3, 3));
    const all = made.mender.mendAll();
    await made.supply(undefined);
    await made.supply(FOUR[2]);
    await all;
    expect([made.asked, made.damage]).toEqual([[1, 3], [region(1, 1)]]);
  });
});

describe('an entry that no peer supplied', () => {
  test('stops the partition only when every other replica could be asked', async () => {
    const made = bench(region(2, 2));
    const ask = async (entry: LogEntry | undefined, unheard: string[]): Promise<void> => {
      made.unheard = unheard;
      const mended = made.mender.mend(2);
      await made.supply(entry);
      await mended;
    };
    await ask(undefined, ['n3']);
    expect([made.mender.isWaiting, made.mender.isStopped]).toEqual([true, false]);
    await ask(undefined, []);
    expect([made.mender.isWaiting, made.mender.isStopped]).toEqual([true, true]);
    await ask(FOUR[1], []);
    expect([made.mender.isWaiting, made.mender.isStopped]).toEqual([false, false]);
    expect(made.losses).toEqual([2, 2, undefined]);
  });

  test('that is lost everywhere is named before one that is waited for', async () => {
    const made = bench(region(1, 1), region(3, 3));
    const all = made.mender.mendAll();
    await made.supply(undefined);
    made.unheard = [];
    await made.supply(undefined);
    await all;
    expect(made.losses).toEqual([1, 3]);
  });

  test('is lost no more once it is cut off or trimmed', async () => {
    const made = bench(region(2, 2));
    made.unheard = [];
    const mended = made.mender.mend(2);
    await made.supply(undefined);
    await mended;
    made.damage = [];
    await made.mender.mendAll();
    expect([made.mender.isStopped, made.losses]).toEqual([false, [2, undefined]]);
  });
});
