/** Processes that end or stand still, and nodes that cannot hear each other. */
import { held, type SurvivalRow } from './cell.ts';

const FAULTS_OF_NODES = 'test/cluster/faults.test.ts';
const STRUCK_NODES = 'test/broker/struck-nodes.test.ts';

const killed = held(
  STRUCK_NODES,
  '%i of three nodes killed: nothing acknowledged is lost, only a majority acknowledges',
);
const paused = held(
  STRUCK_NODES,
  '%i of three nodes paused: nothing acknowledged is lost, only a majority acknowledges',
);
const withoutPower = [
  ...held(STRUCK_NODES, '%i of three nodes lose power: nothing acknowledged is lost, only a majority acknowledges'),
  // Of one log: what it promised is there after a stop at any call, so any number of nodes may stop.
  ...held('test/storage/crash.test.ts', 'at every disk call, and again during that recovery, keep every promise'),
];
const cutOff = held(
  STRUCK_NODES,
  '%i of three nodes cut off: nothing acknowledged is lost, only a majority acknowledges',
);
const onBreakingLinks = held(
  STRUCK_NODES,
  '%i of three nodes on links that break and come back: nothing is lost, appends go on',
);

export const PROCESSES: readonly SurvivalRow[] = [
  {
    fault: 'SIGKILL, at random and while it rolls, takes a snapshot, compacts, recovers or transfers',
    cells: {
      'one of three': {
        kept: 'kept; another leads',
        tests: [
          ...held(
            FAULTS_OF_NODES,
            'a killed leader is followed by another one; nothing acknowledged is lost, doubled or reordered',
            'a killed follower is not missed and catches up',
          ),
          ...killed,
        ],
        lab: [
          'SIGKILL of the leader',
          'SIGKILL of a follower',
          'SIGKILL again and again while a node recovers',
          'SIGKILL while a log is compacted',
          'SIGKILL of a node while it rolls a segment',
          'SIGKILL of a node while it writes a snapshot',
          'SIGKILL while leadership is transferred',
        ],
        sim: ['kill', 'crash-at-call', 'crash-loop'],
      },
      'a majority': {
        kept: 'kept; no appends meanwhile',
        tests: [
          ...held(
            FAULTS_OF_NODES,
            'without a majority nothing is acknowledged, and the node says so; with it, everything goes on',
          ),
          ...killed,
        ],
      },
      all: {
        kept: 'kept',
        tests: [
          ...held(
            FAULTS_OF_NODES,
            'when all three are killed at once, what was acknowledged is there after the restart, and writing goes on',
          ),
          ...killed,
        ],
        lab: ['SIGKILL of all nodes at once'],
        sim: ['blackout'],
      },
    },
  },
  {
    fault: 'SIGSTOP',
    cells: {
      'one of three': {
        kept: 'kept; another leads',
        tests: [
          ...held(FAULTS_OF_NODES, 'a leader that sleeps for two seconds is replaced, and steps down when it wakes'),
          ...held(
            'test/cluster/paused-leader.test.ts',
            'answers no linearizable read with what was true before its pause',
          ),
          ...paused,
        ],
        lab: ['SIGSTOP of the leader', 'SIGSTOP of a follower'],
        sim: ['pause', 'stall'],
      },
      'a majority': { kept: 'kept; no appends meanwhile', tests: paused },
      all: { kept: 'kept; no appends meanwhile', tests: paused },
    },
  },
  {
    fault: 'power cut (ext4, xfs)',
    cells: {
      'one of three': {
        kept: 'kept; another leads',
        tests: withoutPower,
        lab: ['power cut of one node', 'power cut, and another while the node recovers'],
        sim: ['power', 'crash-at-call', 'crash-at-change', 'kill-then-power'],
      },
      'a majority': { kept: 'kept; no appends meanwhile', tests: withoutPower, lab: ['power cut of a majority'] },
      all: { kept: 'kept', tests: withoutPower, lab: ['power cut of all nodes at once'], sim: ['blackout'] },
    },
  },
  {
    fault: 'node cut off, one way or both, or from one other',
    cells: {
      'one of three': {
        kept: 'kept; another leads',
        tests: [
          ...held('test/raft/partial-mesh.test.ts', 'has a stable leader that commits, whoever led before: %s'),
          ...cutOff,
        ],
        lab: ['partition', 'packet filter'].flatMap((by) => [
          `${by}: leader cut off`,
          `${by}: leader that is not heard`,
          `${by}: leader that does not hear`,
          `${by}: follower cut off`,
          `${by}: one link cut`,
        ]),
        sim: ['cut', 'one-way', 'isolate', 'leader-cut-off', 'bridge', 'partial-mesh', 'flap'],
      },
      'a majority': { kept: 'kept; no appends meanwhile', tests: cutOff },
      all: { kept: 'kept; no appends meanwhile', tests: cutOff },
    },
  },
  {
    fault: 'links that are slow, lose packets, or break and come back',
    cells: {
      'one of three': { kept: 'kept', tests: onBreakingLinks, sim: ['hold-up', 'reset'] },
      'a majority': { kept: 'kept', tests: onBreakingLinks },
      all: {
        kept: 'kept',
        tests: onBreakingLinks,
        lab: [
          'partition: slow links',
          'partition: connections broken in the middle of frames',
          'packet filter: a fifth of all packets lost',
        ],
        sim: ['delay', 'loss'],
      },
    },
  },
];
