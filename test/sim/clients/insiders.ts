/**
 * Clients inside of nodes that append without any producer, so that nothing repeats for them, with little patience;
 * that read where they are; and that look for a leader which was deposed and does not know it, and give it all they
 * have, while its successor trims what both have in common.
 */
import { decodeRecords } from '../../../src/protocol/index.ts';
import type { Answer } from '../oracle/index.ts';
import { failure } from './client-world.ts';
import {
  batchOf,
  call,
  type Inside,
  type InsideTopic,
  keepOn,
  leadersAmong,
  type Place,
  placesOf,
  tally,
  within,
} from './inside.ts';
import { keysOf, sightingOf } from './records.ts';

const PATIENCE_MS = [50, 150, 400, 2_000] as const;
const READ_BYTES = 2_000;
/** A deposed leader does not stay one for long. */
const LOOK_MS = 6;
/** A successor goes on trimming for so long after the deposed leader found out. */
const STRANDING_MS = 500;

export function live(inside: Inside, paceMs: number, hasLeases: boolean): void {
  const { random, world } = inside;
  const levels = hasLeases ? (['lease', 'lease', 'linearizable', 'any'] as const) : (['linearizable', 'any'] as const);
  let calls = 0;
  let dueMs = 0;
  const strandingUntilMs = new Map<InsideTopic, number>();
  const ask = (topic: InsideTopic, place: Place): void => {
    calls += 1;
    if (random.chance(0.4)) append(inside, topic, place, `i.${calls}`);
    else read(inside, topic, place, `i.${calls}`, random.pick(levels));
  };
  keepOn(inside, () => {
    const { nowMs } = world.cluster.scheduler;
    for (const topic of inside.topics) {
      const [leader, deposed] = leadersAmong(placesOf(inside, topic));
      if (deposed !== undefined) {
        strandingUntilMs.set(topic, nowMs + STRANDING_MS);
        tally(inside, 'asked while deposed');
        ask(topic, deposed);
      }
      const isStranding = nowMs < (strandingUntilMs.get(topic) ?? 0);
      if (leader !== undefined && isStranding && random.chance(0.05)) strand(inside, topic, leader);
    }
    if (nowMs < dueMs) return LOOK_MS;
    dueMs = nowMs + random.below(2 * paceMs);
    const topic = random.pick(inside.topics);
    const places = placesOf(inside, topic);
    const leader = random.chance(0.6) ? leadersAmong(places)[0] : undefined;
    if (places.length > 0) ask(topic, leader ?? random.pick(places));
    return LOOK_MS;
  });
}

function append(inside: Inside, topic: InsideTopic, place: Place, client: string): void {
  const { random } = inside;
  const { name } = topic;
  const timeoutMs = random.pick(PATIENCE_MS);
  const batch = batchOf(topic, [client], random.pick([0, 100, 800]));
  const handle = { inflightBytes: 0 };
  const request = {
    client: handle,
    topic: { name },
    partition: 0,
    batch,
    producer: undefined,
    redirect: false,
    timeoutMs,
  };
  within(place, () => {
    const asked = { kind: 'append', client, partition: name, values: [client], ...keysOf(topic, [client]) } as const;
    call(inside, place, asked, async () => {
      const { baseOffset, appendTimeMs, term } = await place.broker.append(request);
      tally(inside, 'plain append');
      return { kind: 'acked', offset: baseOffset ?? null, time: appendTimeMs, term };
    });
  });
}

function read(
  inside: Inside,
  { name }: InsideTopic,
  place: Place,
  client: string,
  level: 'any' | 'linearizable' | 'lease',
): void {
  const { random } = inside;
  const offset = Math.max(0, place.partition.tail - random.below(10));
  const start = { kind: 'offset', offset } as const;
  const request = { topic: { name }, partition: 0, start, bytesMax: READ_BYTES, waitMs: 0, level } as const;
  within(place, () => {
    call(inside, place, { kind: 'read', client, partition: name, from: offset, level }, async (): Promise<Answer> => {
      const { batches, fromOffset, nextOffset, earliest, tail, node } = await place.broker.read(request);
      const records = batches
        .flatMap((batch) => decodeRecords(batch))
        .filter((record) => record.offset >= fromOffset)
        .map(sightingOf);
      const from = records[0]?.offset ?? nextOffset;
      return { kind: 'records', from, next: nextOffset, earliest, tail, records, node };
    });
  });
}

/** What whoever is cut off has in common with the others goes from theirs: it comes back to a log that begins later. */
function strand(inside: Inside, { name }: InsideTopic, place: Place): void {
  const { broker, partition } = place;
  within(place, () => {
    broker.takeSnapshot(name, 0).then(
      () => {
        const before = partition.tail;
        const trim = { kind: 'trim', client: 'i.strand', partition: name, before } as const;
        call(inside, place, trim, async () => {
          await broker.trim(name, 0, before);
          tally(inside, 'stranded');
          return { kind: 'done' };
        });
      },
      (error: unknown) => void failure(error),
    );
  });
}
