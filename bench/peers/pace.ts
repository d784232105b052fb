/** How drivers spend a given time and say what they did in it. */
import type { Sender, Throughput } from './peer.ts';

/** Reading the clock costs as much as queueing a small record: it is read once in so many. */
const LOOKS_PER_READING = 64;

/** @returns what says whether there is time left, to be asked once a record. */
export function untilTimeIsUp(seconds: number, looksPerReading: number = LOOKS_PER_READING): () => boolean {
  const untilMs = performance.now() + seconds * 1_000;
  let looks = 0;
  let isTimeLeft = true;
  return () => {
    if (looks++ % looksPerReading === 0) isTimeLeft = performance.now() < untilMs;
    return isTimeLeft;
  };
}

/** @param work resolves to the number of records it moved. */
export async function timed(work: () => Promise<number>): Promise<Throughput> {
  const begunMs = performance.now();
  const records = await work();
  return { records, seconds: (performance.now() - begunMs) / 1_000 };
}

/** Runs `send` in so many lanes until the time is up. @returns how many records were acknowledged. */
export async function inLanes(
  lanes: number,
  seconds: number,
  send: (n: number) => Promise<number>,
): Promise<Throughput> {
  return timed(async () => {
    const isTimeLeft = untilTimeIsUp(seconds, 1);
    let begun = 0;
    let acked = 0;
    const lane = async (): Promise<void> => {
      while (isTimeLeft()) {
        const records = await send(begun++);
        // After the wait, not around it: other lanes count meanwhile.
        acked += records;
      }
    };
    await Promise.all(Array.from({ length: lanes }, lane));
    return acked;
  });
}

export async function closeAll(senders: readonly Sender[]): Promise<void> {
  await Promise.all(senders.map((sender) => sender.close().catch(() => undefined)));
}
