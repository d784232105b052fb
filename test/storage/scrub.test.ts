/** Damage that nobody reads is found by the scrub, at its pace, whatever happens to the segments meanwhile (W24). */
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Log, type LogEvent, MemoryDisk, NodeDisk } from '../../storage/index.ts';
import { nextEntries, openLog, readAll } from '../support/storage-fixture.ts';

/** Several sealed segments, and something in the active one. */
async function fill(log: Log, segments = 4): Promise<void> {
  for (let i = 0; i < segments; i++) {
    log.append(nextEntries(log, [{ payloadBytes: 5_000 }, { payloadBytes: 7_000 }, { payloadBytes: 300, records: 2 }]));
    await log.roll();
  }
  log.append(nextEntries(log, [{ payloadBytes: 100 }]));
  await log.flush();
}

const AT_ONCE = async (): Promise<void> => undefined;

describe('a scrub', () => {
  test('of real files finds a flipped bit that nobody read, names it, and reads every byte once', async () => {
    const path = mkdtempSync(join(tmpdir(), 'logdrive-scrub-'));
    try {
      const events: LogEvent[] = [];
      const { directory, log } = await openLog(new NodeDisk(), { path, observe: (event) => void events.push(event) });
      await fill(log);
      const sealed = log.segments().filter(({ isSealed }) => isSealed);
      let read = 0;
      const count = async (bytes: number): Promise<void> => {
        read += bytes;
      };
      expect(await log.scrub(count)).toBe(0);
      const fileBytes = sealed.reduce((sum, { bytes }) => sum + bytes, 0);
      // Every byte, and a footer's page or so beside it.
      expect(read).toBeGreaterThanOrEqual(fileBytes);
      expect(read).toBeLessThan(fileBytes * 1.5);
      const victim = join(path, 'logs/0000000001/0000000000000002.segment');
      flip(victim, 12_000);
      const before = events.length;
      expect(await log.scrub(AT_ONCE)).toBe(1);
      expect(events.slice(before)).toEqual([{ kind: 'damage', file: victim, position: expect.any(Number), index: 5 }]);
      expect(log.damage).toMatchObject([{ file: victim, firstIndex: 5, lastIndex: 5, where: 'sealed' }]);
      // Known now: no news at the next pass.
      expect(await log.scrub(AT_ONCE)).toBe(0);
      await directory.close();
    } finally {
      rmSync(path, { recursive: true });
    }
  });

  test('writes a damaged header and a damaged footer anew, and says so', async () => {
    const path = mkdtempSync(join(tmpdir(), 'logdrive-scrub-'));
    try {
      const events: LogEvent[] = [];
      const { directory, log } = await openLog(new NodeDisk(), { path, observe: (event) => void events.push(event) });
      await fill(log);
      const file = (id: number): string => join(path, `logs/0000000001/000000000000000${id}.segment`);
      const sound = [readFileSync(file(1)), readFileSync(file(3))];
      flip(file(1), 30);
      flip(file(3), sound[1]!.length - 20);
      const before = events.length;
      expect(await log.scrub(AT_ONCE)).toBe(0);
      expect(events.slice(before)).toEqual([
        { kind: 'mended', file: file(1) },
        { kind: 'mended', file: file(3) },
      ]);
      expect([readFileSync(file(1)), readFileSync(file(3))]).toEqual(sound);
      await directory.close();
    } finally {
      rmSync(path, { recursive: true });
    }
  });

  test('goes on where segments are trimmed, and where new ones are sealed, under it', async () => {
    const { log } = await openLog(new MemoryDisk(), {});
    await fill(log, 6);
    const { lastIndex } = log.segments()[2]!;
    const point = { index: lastIndex, term: log.termAt(lastIndex)!, nextOffset: 6, appendTimeMs: 9 };
    const chain = await log.chainBefore(lastIndex + 1);
    await log.saveSnapshot({ ...point, chain, state: new Uint8Array(8) });
    let pieces = 0;
    const found = await log.scrub(async () => {
      pieces++;
      if (pieces === 3) expect(await log.trimPrefix(lastIndex + 1)).toBe(lastIndex + 1);
      if (pieces === 5) await fill(log, 2);
    });
    expect(found).toBe(0);
    expect(log.damage).toEqual([]);
    expect(await readAll(log)).toHaveLength(log.lastIndex - log.firstIndex + 1);
  });

  test('ends when its log is closed', async () => {
    const { log } = await openLog(new MemoryDisk(), {});
    await fill(log);
    const scrubbing = log.scrub(() => log.close());
    await expect(scrubbing).rejects.toMatchObject({ code: 'CLOSED' });
  });
});

function flip(path: string, position: number): void {
  const fd = openSync(path, 'r+');
  const byte = new Uint8Array(1);
  readSync(fd, byte, 0, 1, position);
  byte[0]! ^= 0x20;
  writeSync(fd, byte, 0, 1, position);
  closeSync(fd);
}
