/**
 * Two producers that share one id, inside of nodes: each fences the other and goes on all the same, sends more batches
 * than are remembered without waiting for any, and sends each again while the first attempt is still on its way.
 */
import type { ProducerTuple } from '../../../src/protocol/index.ts';
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
import { keysOf } from './records.ts';

interface Sent {
  readonly producer: ProducerTuple;
  readonly values: readonly string[];
}

/** Of those sent last, so many are sent again by chance. */
const REPEATED_MAX = 12;
const BURST_MAX = 9;

export function twin(inside: Inside, topic: InsideTopic, paceMs: number): void {
  const { random } = inside;
  const id = topic.group.toString(16).padStart(32, '7');
  let [epoch, sequence] = [0, 0];
  /** Where the one that was fenced had come to. */
  let old: ProducerTuple | undefined;
  let mustBegin = false;
  let made = 0;
  const sent: Sent[] = [];
  const make = (producer: ProducerTuple): Sent => {
    const values = Array.from({ length: 1 + random.below(2) }, () => `${id.at(-1)}w.${made++}`);
    const one = { producer, values };
    sent.push(one);
    if (sent.length > REPEATED_MAX) sent.shift();
    return one;
  };
  const send = (place: Place, { producer, values }: Sent): void => {
    const who = { client: `twin.${topic.name}`, partition: topic.name, producer };
    const asked = { kind: 'append', ...who, values, ...keysOf(topic, values) } as const;
    const request = {
      client: { inflightBytes: 0 },
      topic: { name: topic.name },
      partition: 0,
      producer,
      redirect: false,
    };
    const timeoutMs = random.pick([100, 300, 2_000]);
    const answer = async () => {
      const batch = batchOf(topic, values, random.pick([0, 50, 300]));
      const { baseOffset, appendTimeMs, term } = await place.broker.append({ ...request, batch, timeoutMs });
      tally(inside, 'twin append');
      return { kind: 'acked', offset: baseOffset ?? null, time: appendTimeMs, term } as const;
    };
    call(inside, place, asked, answer, () => {
      // Behind what was refused everything is: it begins anew.
      if (producer.epoch === epoch) mustBegin = true;
    });
  };
  keepOn(inside, () => {
    const places = placesOf(inside, topic);
    if (places.length === 0) return paceMs;
    const place =
      (random.chance(0.5) ? random.pick([...leadersAmong(places), undefined]) : undefined) ?? random.pick(places);
    if (mustBegin || random.chance(0.05)) {
      mustBegin = false;
      old = { id, epoch, sequence };
      epoch += 1;
      sequence = 0;
    }
    within(place, () => {
      if (old !== undefined && random.chance(0.15)) {
        const one = make(old);
        old = { ...old, sequence: old.sequence + one.values.length };
        send(place, one);
      } else if (sent.length > 0 && random.chance(0.4)) send(place, random.pick(sent));
      else {
        const burst = Array.from({ length: 1 + random.below(BURST_MAX) }, () => {
          const one = make({ id, epoch, sequence });
          sequence += one.values.length;
          return one;
        });
        for (const one of burst) send(place, one);
        if (random.chance(0.4)) send(place, burst[0]!);
      }
    });
    return random.below(2 * paceMs);
  });
}
