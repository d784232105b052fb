/** Mistakes where log, Raft and clients meet: order of the drive loop, de-duplication, offsets, snapshots, reads. */
import type { Mutant } from '../mutant.ts';

const DRIVE = 'src/partition/drive.ts';
const QUEUE = 'src/partition/append-queue.ts';
const PRODUCERS = 'src/partition/producer-table.ts';
const READS = 'src/partition/reads.ts';
const SNAPSHOTS = 'src/partition/snapshots.ts';
const STATE = 'src/partition/state.ts';

export const PARTITION_MUTANTS: readonly Mutant[] = [
  {
    id: 'messages-before-hard-state',
    sentence: 'Messages that depend on term and vote leave while these are still being written.',
    rule: 'W14',
    edits: [
      {
        file: DRIVE,
        from: 'if (this.#hardStatesInFlight > 0 || this.#afterHardState.length === 0) return;',
        to: 'if (this.#afterHardState.length === 0) return;',
      },
    ],
  },
  {
    id: 'ack-on-append',
    sentence: 'A producer is answered when its entry is in the log, not when it is committed.',
    rule: 'P1',
    edits: [
      {
        file: DRIVE,
        from: 'this.#pend(entry).waiters = waiter === undefined ? undefined : [waiter];',
        to: 'this.#pend(entry);\n    waiter?.applied(entry.header, undefined);',
      },
    ],
  },
  {
    id: 'overlay-kept-after-cut',
    sentence: 'After a cut, de-duplication still remembers the batches that were cut.',
    rule: 'L6',
    edits: [{ file: DRIVE, from: '    state.producers.truncated(pending.headers());\n', to: '' }],
  },
  {
    id: 'overlay-not-filled',
    sentence:
      'De-duplication knows only what is applied: a batch that is in the log and not committed is appended again.',
    rule: 'P7',
    edits: [{ file: DRIVE, from: '    this.#parts.state.producers.appended(entry.header);\n', to: '' }],
  },
  {
    id: 'lost-called-refused',
    sentence: 'An append that waited when its leader was deposed is answered as surely not done.',
    rule: 'P8',
    edits: [
      {
        file: QUEUE,
        from: "lost: () => settle({ kind: 'unknown' }),",
        to: "lost: () => settle({ kind: 'not-leader' }),",
      },
    ],
  },
  {
    id: 'duplicate-of-pending-acked',
    sentence: 'A duplicate of a batch that is not committed yet is acknowledged at once.',
    rule: 'P1',
    edits: [
      {
        file: QUEUE,
        from: '    if (pending === undefined) {\n      const { baseOffset',
        to: '    {\n      const { baseOffset',
      },
    ],
  },
  {
    id: 'old-duplicate-of-pending-acked',
    sentence: 'A duplicate older than the window is acknowledged although it is not committed yet.',
    rule: 'P1',
    edits: [{ file: QUEUE, from: '    if (newest === undefined) {\n', to: '    {\n' }],
  },
  {
    id: 'offset-from-index',
    sentence: 'The offset of a new batch is counted from the log index.',
    rule: 'L4',
    edits: [
      {
        file: QUEUE,
        from: 'let { nextOffset, lastChain: chain } = log;',
        to: 'let nextOffset = log.lastIndex;\n    let chain = log.lastChain;',
      },
    ],
  },
  {
    id: 'append-time-from-clock',
    sentence: 'Append times are taken from the clock as it is, also when it goes back.',
    rule: 'F26',
    edits: [
      {
        file: QUEUE,
        from: 'const appendTimeMs = Math.max(clock.nowMs(), log.lastAppendTimeMs);',
        to: 'const appendTimeMs = clock.nowMs();',
      },
    ],
  },
  {
    id: 'dedupe-without-epoch',
    sentence: 'De-duplication ignores the epoch: a fenced producer appends on.',
    rule: 'P7',
    edits: [
      {
        file: PRODUCERS,
        from: "    if (producer.epoch < state.epoch) return { kind: 'fenced', epoch: state.epoch };\n",
        to: '',
      },
    ],
  },
  {
    id: 'dedupe-off',
    sentence: 'A repeated batch is appended again.',
    rule: 'P7',
    edits: [
      {
        file: PRODUCERS,
        from: "        return { kind: 'duplicate', batch };",
        to: "        return { kind: 'new' };",
      },
    ],
  },
  {
    id: 'sequence-gap-taken',
    sentence: 'A batch is appended although the one before it is missing.',
    rule: 'P7',
    edits: [
      {
        file: PRODUCERS,
        from: "if (producer.sequence === state.nextSequence) return { kind: 'new' };",
        to: "if (producer.sequence >= state.nextSequence) return { kind: 'new' };",
      },
    ],
  },
  {
    id: 'dedupe-not-in-snapshot',
    sentence: 'The de-duplication table is missing from snapshots.',
    rule: 'L6',
    edits: [
      {
        file: STATE,
        from: 'yield* producers.encode(writer);',
        to: 'yield* new ProducerTable().freeze().encode(writer);',
      },
    ],
  },
  {
    id: 'log-start-goes-back',
    sentence: 'A trim moves the log start to where it says, also back.',
    rule: 'L5',
    edits: [
      { file: STATE, from: 'this.#logStart = Math.max(this.#logStart, before);', to: 'this.#logStart = before;' },
    ],
  },
  {
    id: 'trim-past-tail',
    sentence: 'A trim moves the log start past the high watermark.',
    rule: 'L5',
    edits: [
      {
        file: STATE,
        from: 'const before = Math.min(control.before, this.#highWatermark);',
        to: 'const before = control.before;',
      },
    ],
  },
  {
    id: 'read-uncommitted-from-disk',
    sentence: 'Reads from disk are served up to the end of the log instead of the commit.',
    rule: 'L1',
    edits: [
      {
        file: READS,
        from: 'batchesOf(entries.filter(({ header }) => header.index <= this.appliedIndex))',
        to: 'batchesOf(entries)',
      },
    ],
  },
  {
    id: 'read-uncommitted-from-cache',
    sentence: 'Reads from the cache are served up to the end of the log instead of the commit.',
    rule: 'L1',
    edits: [
      {
        file: READS,
        from: 'cache.slice(cached, this.appliedIndex, bytesMax)',
        to: 'cache.slice(cached, this.#parts.log.lastIndex, bytesMax)',
      },
    ],
  },
  {
    id: 'read-below-log-start',
    sentence: 'A read below the log start is served from what is still stored, or as if nothing were there.',
    rule: 'L5',
    edits: [
      {
        file: READS,
        from: "    if (offset < this.earliest) return { kind: 'trimmed' };\n",
        to: "    if (offset < this.earliest) return { kind: 'at-tail' };\n",
      },
    ],
  },
  {
    id: 'trim-without-snapshot',
    sentence: 'Segments go before the state at their end was saved.',
    rule: 'W19',
    edits: [
      {
        file: SNAPSHOTS,
        from: '    await this.#save({ index: boundary.index, term: boundary.term }, undefined);\n',
        to: '',
      },
      {
        file: 'storage/log-base.ts',
        from: 'snapshots.indexes.findLast((index) => index < firstIndex && segments.endsAt(index));',
        to: 'firstIndex - 1;',
      },
    ],
  },
  {
    id: 'trim-active-range',
    sentence: 'The segment that holds the log start is trimmed with those below it.',
    rule: 'W20',
    edits: [
      {
        file: SNAPSHOTS,
        from: 'segment.nextOffset > state.logStart ||',
        to: 'segment.firstOffset > state.logStart ||',
      },
    ],
  },
  {
    id: 'snapshot-of-later-state',
    sentence: 'A snapshot holds the state of now under the index of then.',
    rule: 'R14',
    edits: [
      {
        file: SNAPSHOTS,
        from: 'const frozen = state.appliedIndex === last.index ? state.freeze() : undefined;',
        to: 'const frozen = state.freeze();',
      },
    ],
  },
  {
    id: 'apply-before-commit',
    sentence: 'Entries are applied, and shown, as soon as they are in the log.',
    rule: 'L1',
    edits: [
      {
        file: 'src/raft/ready.ts',
        from: '  if (outbox.commit === commit) return undefined;\n  outbox.commit = commit;\n  return commit;',
        to: '  if (outbox.commit === outbox.handed) return undefined;\n  outbox.commit = Math.max(commit, outbox.handed);\n  return outbox.commit;',
      },
    ],
  },
  {
    id: 'woken-at-append',
    sentence: 'Waiting readers are woken, and served, at the local append.',
    rule: 'L2',
    edits: [
      {
        file: 'src/partition/partition.ts',
        from: '    return this.#reads.tail;\n  }\n\n  /** Everything at once',
        to: '    return this.#log.nextOffset;\n  }\n\n  /** Everything at once',
      },
      { file: READS, from: 'if (offset > this.tail)', to: 'if (offset > this.#parts.log.nextOffset)' },
      { file: READS, from: 'if (offset === this.tail)', to: 'if (offset === this.#parts.log.nextOffset)' },
      {
        file: READS,
        from: 'cache.slice(cached, this.appliedIndex, bytesMax)',
        to: 'cache.slice(cached, this.#parts.log.lastIndex, bytesMax)',
      },
      {
        file: READS,
        from: 'entries.filter(({ header }) => header.index <= this.appliedIndex)',
        to: 'entries.filter(({ header }) => header.index > 0 || this.appliedIndex > 0)',
      },
    ],
  },
  {
    id: 'cursor-before-delivery',
    sentence: "A consumer's cursor moves to the tail before what lies below it has arrived.",
    rule: 'P4',
    edits: [
      {
        file: 'src/client/partition-reader.ts',
        from: 'this.#received = message.nextOffset;',
        to: 'this.#received = Math.max(message.nextOffset, message.tail);',
      },
    ],
  },
];
