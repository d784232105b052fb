/**
 * Mistakes that no seed can show: they lie below what is simulated (docs/simulation.md), or another rule keeps them
 * from doing harm, on every leader of ours. Each names the test that fails with it.
 */
import type { TestedMutant } from '../mutant.ts';

const FOLLOWER = 'src/raft/follower.ts';
const LEASE = 'src/partition/lease.ts';
const REJOINING = 'src/partition/rejoining.ts';
const NODE_DISK = 'storage/node-disk.ts';

export const TESTED_MUTANTS: readonly TestedMutant[] = [
  {
    id: 'short-write-ignored',
    sentence: 'A write that the system cut short counts as whole.',
    rule: 'W5',
    test: 'test/storage/node-disk.test.ts',
    edits: [
      {
        file: NODE_DISK,
        from: 'left = written === wanted ? left.slice(part.length) : afterBytes(left, written);',
        to: 'left = afterBytes(left.slice(part.length), 0);',
      },
      {
        file: NODE_DISK,
        from: 'assert(at === position + totalBytes(chunks),',
        to: 'assert(at >= position,',
      },
    ],
  },
  {
    // The first append that a leader of ours gets accepted reaches past the place where the logs part: nothing is left
    // beyond it that could be committed by mistake. Other leaders may send less.
    id: 'commit-beyond-match',
    sentence: "A follower takes the leader's commit index for its whole log, beyond what the message matched.",
    rule: 'R6',
    test: 'test/raft/paper.test.ts',
    edits: [
      {
        file: FOLLOWER,
        from: 'commitTo(state, Math.min(message.commit, lastNew));',
        to: 'commitTo(state, Math.min(message.commit, log.lastIndex));',
      },
    ],
  },
  {
    // A lease is counted by a clock that goes on while its process does not, here as on most machines: it has run out
    // by itself before anybody else is elected. Where the clock stands still in a pause too, this rule is all there is.
    id: 'lease-kept-in-pause',
    sentence: 'The lease outlives a pause.',
    rule: 'R8, R24',
    test: 'test/partition/lease.test.ts',
    edits: [
      {
        file: LEASE,
        from: 'if (isStalled || membership !== this.#membership) this.drop();',
        to: 'if (membership !== this.#membership) this.drop();',
      },
    ],
  },
  {
    // What it makes of them is a message of an old term, which the core drops.
    id: 'snapshot-chunk-of-old-term',
    sentence: 'Chunks and offers of a state are taken from anybody, of any term.',
    rule: 'R15',
    test: 'test/partition/snapshot-receiver.test.ts',
    edits: [
      {
        file: 'src/partition/snapshot-receiver.ts',
        from: 'return raft.term === term && raft.leader === from && !raft.isLeaderGone;',
        to: 'return term >= 0 && from.length > 0 && raft.id.length > 0;',
      },
    ],
  },
  {
    // The core asked again refuses nearly all of it: what is left is a leader that is deposed, cut and elected again
    // within one read of its disk.
    id: 'stale-bytes-sent',
    sentence: 'Entries read before a cut are sent to a follower without a second look.',
    rule: 'R22',
    test: 'test/partition/replicator.test.ts',
    edits: [{ file: 'src/partition/replicator.ts', from: '      isCurrent(message.entries, entries) &&\n', to: '' }],
  },
  {
    id: 'overlap-not-compared',
    sentence: 'Of entries that overlap with its log a follower compares no chain.',
    rule: 'R27',
    test: 'test/partition/partition.test.ts',
    edits: [
      {
        file: 'src/partition/inbox.ts',
        from: 'if (this.#isOther(header, header.chain, from)) return true;',
        to: '',
      },
    ],
  },
  {
    id: 'given-up-unasked',
    sentence: 'A log that cannot be mended is set aside before the others have committed without it.',
    rule: 'R19',
    test: 'test/partition/given-up.test.ts',
    edits: [
      {
        file: REJOINING,
        from: 'this.#useless = reason;',
        to: "this.#useless = reason; this.#parts.events.onGivenUp(new StorageError('CORRUPT', reason));",
      },
    ],
  },
  {
    id: 'given-up-in-a-pair',
    sentence: 'A log that cannot be mended is given up where nobody could take its replica back.',
    rule: 'R19',
    test: 'test/partition/given-up.test.ts',
    edits: [
      {
        file: REJOINING,
        from: 'if (hopeless !== undefined && canDoWithout(raft.membership, nodeId))',
        to: 'if (hopeless !== undefined)',
      },
    ],
  },
  {
    id: 'lost-catalog-believed',
    sentence: 'A node goes by a catalog that was begun anew and knows less than the one before.',
    rule: 'W21',
    test: 'test/broker/given-up.test.ts',
    edits: [
      {
        file: 'src/broker/host.ts',
        from: 'if (groupId === CATALOG_GROUP) this.#seat.lost(partition.appliedIndex);',
        to: '',
      },
    ],
  },
  {
    // It takes a copy made from two replicas, one far behind in compacting: passes follow each other too closely.
    id: 'tombstone-forgotten-alone',
    sentence: 'A tombstone goes when its time is over, whatever other replicas still hold of its key.',
    rule: 'P4',
    test: 'test/partition/compactor.test.ts',
    edits: [
      {
        file: 'src/partition/compactor.ts',
        from: 'if (isOld && offset < pass.compactedByAll) return false;',
        to: 'if (isOld) return false;',
      },
    ],
  },
  {
    // Memory has to give up what it holds between two messages to a replica that is new: traffic of hours, here.
    id: 'compacted-sent-from-memory',
    sentence: 'What was compacted is sent to followers from memory as well, where old records are whole still.',
    rule: 'P4',
    test: 'test/partition/compactor.test.ts',
    edits: [{ file: 'src/partition/compactor.ts', from: '    this.#cache.dropUpTo(clean.index);\n', to: '' }],
  },
  {
    // Too seldom for a seed: the damage has to lie in what the others have compacted and this replica has not sealed.
    id: 'active-never-rewritten',
    sentence: 'A damaged entry in the active segment, of which peers have another form by now, is never mended.',
    rule: 'R19',
    test: 'test/storage/rewrite.test.ts',
    edits: [
      { file: 'storage/rewrite.ts', from: 'if (mends && first > segments.active.before.index)', to: 'if (first < 0)' },
    ],
  },
];
