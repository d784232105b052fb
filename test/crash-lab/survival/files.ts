/** Bytes, files and whole directories that change, vanish or come back older than they were. */
import { type Cell, held, type SurvivalRow } from './cell.ts';

const BAD_FILES = 'test/broker/bad-files.test.ts';
const BIRTH = 'test/broker/birth.test.ts';
const DAMAGE = 'test/broker/damage.test.ts';
const LOST_ACKS = 'test/broker/lost-acks.test.ts';
const LOST_ENTRY = 'test/broker/lost-entry.test.ts';
const LOST_LOG = 'test/broker/lost-log.test.ts';
const MEMBERS = 'test/broker/members.test.ts';

const FOUND_BY_LEADER = 'a follower on an old copy of its disk is found by the leader, named on both, and taken back';

const differentPlaces = held(DAMAGE, 'at different places on %s still heals');
const waits = held(LOST_LOG, 'lost by $lostBy the group waits, invents nothing, and what was lost lies untouched');

/** A disk that forgot flushes it had confirmed: one is outvoted; of more nothing is promised. */
function olderCopy(titles: readonly string[], lab: string, sim: string): SurvivalRow['cells'] {
  const lossy: Cell = { kept: 'may lose', tests: { none: 'nothing is promised' } };
  return {
    'one of three': {
      kept: 'kept; found by the leader',
      tests: held(LOST_ACKS, ...titles),
      lab: [lab],
      sim: [sim],
    },
    'a majority': lossy,
    all: lossy,
  };
}

export const FILES: readonly SurvivalRow[] = [
  {
    fault: 'bits, blocks or whole sealed segments changed, gone or swapped, at different entries',
    cells: {
      'one of three': {
        kept: 'kept; repaired from the others',
        tests: [
          ...held(
            'test/storage/damage.test.ts',
            'anywhere is refused, harmless, or damage that heals; never other data',
            'at any length loses nothing but a torn end, or is named',
          ),
          ...held(
            BAD_FILES,
            '$what',
            'on one node is named and fetched again, and its replica votes meanwhile',
            'two swapped segment files are damage of all their entries, and heal',
          ),
          ...held('test/cluster/damage.test.ts', '$name is repaired from the others; every record is served again'),
        ],
        lab: [
          ...['flipped bit', 'zeroed block', 'misdirected write', 'cut file', 'deleted file'].map(
            (harm) => `corruption: ${harm}, sealed segments of one node`,
          ),
          'corruption: two sealed segments swapped',
          'corruption: sealed segment with the bytes of another',
          'corruption: flipped bit, last segment of one node',
          'corruption: garbage behind the last segment',
        ],
        sim: [
          ...['bit-flip', 'active-rot', 'vote-rot', 'lost-write', 'misdirected-write', 'rot-at-rest'],
          'damaged-and-mute',
        ],
      },
      'a majority': { kept: 'kept; repaired from each other', tests: differentPlaces },
      all: {
        kept: 'kept; repaired from each other',
        tests: [
          ...differentPlaces,
          ...held(DAMAGE, 'at different places on every replica heals although none of them can lead at first'),
          ...held(BAD_FILES, 'on each node another one heals: the data is there, only not in one place'),
        ],
        lab: ['flipped bit', 'zeroed block'].map(
          (harm) => `corruption: ${harm}, different sealed segments of all nodes`,
        ),
      },
    },
  },
  {
    fault: 'the same entry bad',
    cells: {
      'one of three': {
        kept: 'repaired from the others',
        tests: [
          ...held(DAMAGE, 'of %s on one replica is mended from a peer when it is read, and the file is as it was'),
          ...held(
            'test/broker/scrub.test.ts',
            'finds a flipped bit that nobody reads, names topic, file, byte and index, and has it mended',
          ),
        ],
      },
      'a majority': {
        kept: 'repaired from the one that has it, waited for while that one is down; appends go on',
        tests: held(
          LOST_ENTRY,
          'as far as is known is waited for while a replica is down, which is named, and not called lost',
        ),
      },
      all: {
        kept: 'the partition stops by name, nothing is cut; one good copy put back heals it',
        tests: held(
          LOST_ENTRY,
          'in a sealed segment stops the partition when it is read, and one good file heals all',
          'in the end of the log stops it from the start on, with all ends where they were, until one is back',
        ),
      },
    },
  },
  {
    fault: 'log of a group gone or unusable',
    cells: {
      'one of three': {
        kept: 'kept; rejoins, and has no vote until then',
        tests: held(
          LOST_LOG,
          'is made anew from the others when $what, and takes part again',
          'helps to elect nobody: without a majority of the others there is no leader, and no end is invented',
          'acks nothing that counts: with one other node up, no append is acknowledged',
        ),
        sim: ['rot-at-rest'],
      },
      'a majority': { kept: 'the group waits, nothing is cut; other groups go on', tests: waits },
      all: { kept: 'the group waits, nothing is cut; other groups go on', tests: waits },
    },
  },
  {
    fault: 'whole disk wiped',
    cells: {
      'one of three': {
        kept: 'kept; `cluster replace`',
        tests: [
          ...held(
            'test/cluster/replacement.test.ts',
            'is replaced by an empty one under load, and nothing acknowledged is lost',
          ),
          ...held(
            MEMBERS,
            'is a stranger under its old id, founds nothing, and is replaced by a new one',
            'survives the crash of anybody at any step',
          ),
        ],
      },
      'a majority': {
        kept: 'the cluster ends; the wiped nodes found no new one, and what to do is said',
        tests: [
          ...held(BIRTH, 'form no new cluster: $survivor is left, started $order'),
          ...held(MEMBERS, 'and a majority of such nodes, started before the survivor, form no new cluster'),
        ],
      },
      all: {
        kept: 'everything is lost; what starts on empty disks is a new cluster with an id of its own',
        tests: held(
          BIRTH,
          'three nodes whose disks were emptied are a new cluster, which nobody can take for the old one',
        ),
      },
    },
  },
  {
    fault: 'a disk that goes back in time',
    cells: olderCopy(
      [FOUND_BY_LEADER, 'until it has rejoined, nothing is acknowledged on its word, and it elects nobody'],
      'old copy of a follower put back',
      'rollback',
    ),
  },
  {
    fault: 'a disk that lies about flushes, then a power cut',
    // What such a disk is after the cut: an older copy of itself.
    cells: olderCopy([FOUND_BY_LEADER], 'lying disk of a follower, then a power cut', 'lying-flush'),
  },
];
