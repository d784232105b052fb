/**
 * Trims as no broker would ask for them: two that cross each other, the lower one behind; and one past the end of the
 * log, put straight into a partition (of topics whose records nobody counts on).
 */
import { call, type Inside, keepOn, leadersAmong, type Place, placesOf, tally, within } from './inside.ts';

/** Left in the log, so that readers find something. */
const LEFT_MIN = 20;

export function trimRawly(inside: Inside, paceMs: number): void {
  const { random } = inside;
  keepOn(inside, () => {
    if (random.chance(0.5)) trimPastTail(inside);
    else {
      const topic = random.pick(inside.topics);
      const place = leadersAmong(placesOf(inside, topic))[0];
      if (place !== undefined) cross(inside, topic.name, place);
    }
    return random.below(2 * paceMs);
  });
}

function cross(inside: Inside, name: string, place: Place): void {
  const { earliest, tail } = place.partition;
  const room = tail - earliest - LEFT_MIN;
  if (room < 2) return;
  const high = earliest + 2 + inside.random.below(room - 1);
  const low = earliest + 1 + inside.random.below(high - earliest - 1);
  within(place, () => {
    for (const before of [high, low]) {
      call(inside, place, { kind: 'trim', client: 'raw-trims', partition: name, before }, async () => {
        await place.broker.trim(name, 0, before);
        tally(inside, 'trims crossed');
        return { kind: 'done' };
      });
    }
  });
}

function trimPastTail(inside: Inside): void {
  const known = inside.topics.map(({ group }) => group);
  const places = [...inside.world.cluster.running()].flatMap((node) =>
    [...node.partitions.values()]
      .filter(
        ({ groupId, role, isClosed }) => role === 'leader' && !isClosed && groupId !== 0 && !known.includes(groupId),
      )
      .map((partition) => ({ node, broker: node.broker, partition })),
  );
  if (places.length === 0) return;
  const place = inside.random.pick(places);
  const past = 1 + inside.random.below(1_000);
  within(place, () => {
    if (place.partition.isClosed) return;
    tally(inside, 'trim put past the tail');
    void place.partition.proposeTrim(place.partition.tail + past);
  });
}
