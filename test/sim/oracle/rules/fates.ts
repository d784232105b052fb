/** What was told about an append against what became of it: nothing acknowledged is lost, nothing refused is there. */
import type { Sighting } from '../history.ts';
import type { Rule } from '../rule.ts';
import { type Batch, type PartitionView, type Replica, toldEarliest, toldTail } from '../view.ts';

/** The records of an acknowledged batch that nobody was ever given, with the offsets they were promised. */
function* unread(view: PartitionView, batch: Batch): Iterable<{ value: string; offset: number }> {
  if (batch.ackedOffset === undefined) return;
  for (const [at, value] of batch.values.entries()) {
    const offset = batch.ackedOffset + at;
    // Another record at its place is the business of ack-of-another.
    if (!view.byValue.has(value) && !view.byOffset.has(offset) && !view.mayLack(offset)) yield { value, offset };
  }
}

export const LOST_WRITE: Rule = {
  name: 'lost-write',
  sentence: 'A record was acknowledged and nobody ever read it, though somebody read beyond it or the whole log.',
  source: 'P1; Kafka workload: lost-write',
  *find(view) {
    const isWhole = view.replicas.length > 0;
    const start = isWhole ? keptFrom(view) : trimmedTo(view);
    for (const batch of view.batches) {
      if (batch.ackedLine === undefined) continue;
      for (const { value, offset } of unread(view, batch)) {
        if (offset >= start && (isWhole || offset < view.seenEnd))
          yield `${value}, acknowledged at ${offset}, is nowhere`;
      }
      const isForgotten = batch.ackedOffset === undefined && batch.values.every((value) => !view.byValue.has(value));
      if (isForgotten && isWhole && start === 0 && view.compaction === undefined)
        yield `${batch.values[0]}, acknowledged as a duplicate, is nowhere`;
    }
  },
};

/** What lies below on every replica may have been trimmed before anybody read it. */
function keptFrom(view: PartitionView): number {
  return Math.min(...view.replicas.map(({ earliest }) => earliest));
}

/** The same without the replicas' word: the highest log start that anybody was told. */
function trimmedTo(view: PartitionView): number {
  let start = 0;
  for (const { answer } of view.answered) start = Math.max(start, toldEarliest(answer) ?? 0);
  return start;
}

export const LOST_ON_NODE: Rule = {
  name: 'lost-on-node',
  sentence: 'A replica has healed and lacks, at its beginning, middle or end, what another replica holds.',
  source: 'P2; checker of the NATS analysis, "middle" being the damning one',
  *find(view) {
    const tail = view.finalTail ?? 0;
    for (const { node, earliest, records, tail: own } of view.replicas) {
      const held = new Set(records.map(({ offset }) => offset));
      const missing: number[] = [];
      for (const offset of view.byOffset.keys())
        if (offset >= earliest && offset < tail && !held.has(offset) && !view.mayLack(offset)) missing.push(offset);
      if (missing.length === 0 && own === tail) continue;
      const lack = `${missing.length} in its ${where(records, missing)}: ${list(missing)}`;
      yield `${node} ends at ${own} of ${tail} and lacks ${lack}`;
    }
  },
};

function where(records: readonly Sighting[], missing: readonly number[]): 'prefix' | 'middle' | 'end' {
  const first = records[0]?.offset ?? 0;
  const last = records.at(-1)?.offset ?? -1;
  if (missing.some((offset) => offset > first && offset < last)) return 'middle';
  return missing.some((offset) => offset < first) ? 'prefix' : 'end';
}

function list(offsets: readonly number[]): string {
  return offsets.length <= 5 ? offsets.join(', ') : `${offsets.slice(0, 5).join(', ')}, ...`;
}

export const DELETION_FORGOTTEN: Rule = {
  name: 'deletion-forgotten',
  sentence: 'A replica has forgotten the deletion of a key, and holds what was deleted: its readers see the key again.',
  source: 'docs/guarantees.md, "Compacted topics"',
  *find(view) {
    if (view.compaction === undefined) return;
    for (const { node, earliest, records } of view.replicas) {
      const last = new Map<string, number>();
      for (const { value, offset } of records) {
        const key = view.keys.keyOf(value);
        if (key !== undefined) last.set(key, offset);
      }
      for (const [key, offset] of last) {
        const deletion = view.keys.deletionAfter(key, offset);
        if (deletion !== undefined && deletion >= earliest)
          yield `${node} holds ${key} as of ${offset}, and not its deletion at ${deletion}`;
      }
    }
  },
};

export const UNSEEN: Rule = {
  name: 'unseen',
  sentence: 'A reader that was given all the time it needs after healing has not been given what was acknowledged.',
  source: 'P4, P11; Kafka workload: unseen',
  *find(view) {
    for (const { client, line } of view.drained) {
      const promised = ackedEnd(view, line);
      const position = positionOf(view, client, line);
      if (position < promised) yield `${client} came to ${position} only; ${promised - 1} was acknowledged`;
    }
  },
};

/** One past the last record acknowledged before a line. */
function ackedEnd(view: PartitionView, line: number): number {
  let end = 0;
  for (const { ackedLine, ackedOffset, values } of view.batches)
    if (ackedLine !== undefined && ackedLine < line && ackedOffset !== undefined)
      end = Math.max(end, ackedOffset + values.length);
  return end;
}

function positionOf(view: PartitionView, client: string, line: number): number {
  let position = 0;
  for (const { call, answer, endedLine } of view.answered) {
    if (call.kind !== 'read' || call.client !== client || endedLine > line) continue;
    if (answer?.kind === 'records') position = answer.next;
    if (answer?.kind === 'trimmed') position = answer.earliest;
  }
  return position;
}

export const ABORTED_READ: Rule = {
  name: 'aborted-read',
  sentence: 'A record was read though every attempt to append it had the answer that it was surely not done.',
  source: 'P8; Kafka workload: G1a',
  *find(view) {
    for (const [value, { offset, who }] of view.byValue) {
      if (view.sent.get(value)?.batch.isSurelyNot) yield `${value}, surely not done, was given to ${who} at ${offset}`;
    }
  },
};

export const PHANTOM: Rule = {
  name: 'phantom',
  sentence: 'A record was read that nobody ever sent.',
  source: 'P2; our own',
  *find(view) {
    for (const [value, { offset, who }] of view.byValue) {
      if (!view.sent.has(value)) yield `${value} was given to ${who} at ${offset}; nobody sent it`;
    }
  },
};

export const FUTURE_READ: Rule = {
  name: 'future-read',
  sentence: 'A record was read before the first append of it that can have worked had begun.',
  source: 'P8; brute-force search',
  *find(view) {
    for (const [value, { offset, who, line }] of view.byValue) {
      const batch = view.sent.get(value)?.batch;
      if (batch !== undefined && !batch.isSurelyNot && line < batch.beganLine)
        yield `${value} was given to ${who} at ${offset} before it was sent`;
    }
  },
};

export const VANISHED_READ: Rule = {
  name: 'vanished-read',
  sentence:
    'A record was read, or counted in a tail, and the log ends before it: it was shown before it was committed.',
  source: 'P6',
  *find(view) {
    const tail = view.finalTail;
    if (tail === undefined) return;
    for (const [offset, { value, who }] of view.byOffset) {
      if (offset >= tail) yield `${value} was given to ${who} at ${offset}; the log ends at ${tail}`;
    }
    for (const { call, answer } of view.answered) {
      const told = toldTail(answer) ?? 0;
      if (told > tail) yield `${call.client} was told that the tail is ${told}; the log ends at ${tail}`;
    }
  },
};

export const WRONG_BYTES: Rule = {
  name: 'wrong-bytes',
  sentence: 'A record was served whose own checksum fails.',
  source: 'P10; our own',
  *find(view) {
    for (const { offset, value, who } of view.damaged) yield `${who} was given damaged bytes at ${offset}: ${value}`;
  },
};

export const REPLICA_DIVERGENCE: Rule = {
  name: 'replica-divergence',
  sentence: 'Two replicas hold different records, or different chain checksums, at one offset.',
  source: 'P2; R27',
  *find(view) {
    for (const { first, second } of view.conflicts) {
      if (first.isReplica && second.isReplica)
        yield `${first.who} holds ${first.value} at ${first.offset}, ${second.who} holds ${second.value}`;
    }
    yield* chainsThatDiffer(view.replicas);
  },
};

function* chainsThatDiffer(replicas: readonly Replica[]): Iterable<string> {
  const known = new Map<number, { node: string; sum: string }>();
  for (const { node, chain } of replicas) {
    for (const { offset, sum } of chain ?? []) {
      const other = known.get(offset);
      if (other === undefined) known.set(offset, { node, sum });
      else if (other.sum !== sum) yield `chains differ at ${offset}: ${other.sum} on ${other.node}, ${sum} on ${node}`;
    }
  }
}
