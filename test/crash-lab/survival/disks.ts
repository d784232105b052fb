/** Disks that take no writes, fail them, or take long over them. */
import { held, type SurvivalRow } from './cell.ts';

const FULL_DISK = 'test/broker/full-disk.test.ts';
const SLOW_DISK = 'test/broker/slow-disk.test.ts';
const FAILING_DISK = 'test/cluster/failing-disk.test.ts';

const outOfRoom = held(
  FULL_DISK,
  'on %s: appends are refused, reads go on, and appends do by themselves when there is room',
);
const readOnly = held(FULL_DISK, 'on %s: appends are refused, reads go on, and all of it ends by itself');
const failingFlushes = held(
  'test/broker/struck-nodes.test.ts',
  '%i of three nodes whose flushes fail: they end, nothing acknowledged is lost',
);
const hanging = held(SLOW_DISK, 'on %s: nothing is acknowledged');

export const DISKS: readonly SurvivalRow[] = [
  {
    fault: 'full disk',
    cells: {
      'one of three': {
        kept: 'kept; another leads',
        tests: held(
          FULL_DISK,
          'on the leader moves its leaderships to nodes with room, and appends go on there',
          'on a follower does not stop the group, and it catches up afterwards',
          'in %s on the leader: appends go on, nothing is lost, and it comes back',
        ),
        lab: ['full disk under the leader'],
        sim: ['full-disk'],
      },
      'a majority': {
        kept: 'kept; no appends meanwhile (NO_LEADER, STORAGE_FULL or TIMEOUT), reads go on',
        tests: [
          ...held(FULL_DISK, 'on a majority acknowledges nothing, whoever leads, serves reads, and ends by itself'),
          ...outOfRoom,
        ],
      },
      all: {
        kept: 'kept; STORAGE_FULL meanwhile, reads go on',
        tests: [
          ...held(FULL_DISK, 'on every node refuses appends and nothing else, and ends by itself'),
          ...outOfRoom,
          ...held(
            'test/cluster/startup.test.ts',
            'a full disk refuses appends by name, serves reads, and goes on when there is space (needs root)',
          ),
        ],
        lab: ['full disk under every node'],
      },
    },
  },
  {
    fault: 'file system read-only for a while',
    cells: {
      'one of three': {
        kept: 'kept; another leads',
        tests: [
          ...held(FULL_DISK, 'on the leader: leaderships move, its reads go on, and it takes part again by itself'),
          ...held(
            FAILING_DISK,
            'ends no node: others lead, it reads on, and it goes on by itself when it can write again',
          ),
        ],
      },
      'a majority': { kept: 'kept; STORAGE_FULL or NO_LEADER meanwhile, reads go on', tests: readOnly },
      all: { kept: 'kept; STORAGE_FULL or NO_LEADER meanwhile, reads go on', tests: readOnly },
    },
  },
  {
    fault: 'a flush that fails',
    cells: {
      'one of three': {
        kept: 'kept; the process ends, another leads',
        tests: [
          ...held(FAILING_DISK, 'ends the node with exit code 1 and a last word that names file and reason'),
          ...failingFlushes,
        ],
        lab: ['EIO on a flush of the leader', 'EIO on a flush of the follower'],
        sim: ['write-EIO'],
      },
      'a majority': { kept: 'kept; the processes end, no appends until they are back', tests: failingFlushes },
      all: { kept: 'kept; the processes end, no appends until they are back', tests: failingFlushes },
    },
  },
  {
    fault: 'a flush that hangs or takes long',
    cells: {
      'one of three': {
        kept: 'kept; another leads',
        tests: held(
          SLOW_DISK,
          'flushes of %i ms on the leader move it to a fast node within 10 s',
          'a slow follower has no visible effect',
          'takes leadership from its node within two election timeouts, by name',
        ),
        sim: ['slow-disk', 'stuck-disk'],
      },
      'a majority': {
        kept: 'no false acks; slow',
        tests: [
          ...held(
            SLOW_DISK,
            'two of three that take longer than an election timeout: ' +
              'a vote that is late is waited for, and appends go on',
          ),
          ...hanging,
        ],
      },
      all: {
        kept: 'no false acks; slow',
        tests: [
          ...held(SLOW_DISK, 'on every node costs time: nothing is acked early, and nobody leads in vain'),
          ...hanging,
        ],
      },
    },
  },
];
