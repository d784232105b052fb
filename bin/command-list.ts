/**
 * All commands by name, with a sentence each. What a command is made of is loaded when it is chosen, and not before.
 */
import type { Command } from './command.ts';

export interface LazyCommand {
  readonly name: string;
  readonly usage: string;
  readonly sentence: string;
  readonly load?: () => Promise<Command>;
  readonly children?: readonly LazyCommand[];
}

export const COMMANDS: readonly LazyCommand[] = [
  {
    name: 'serve',
    usage: 'serve',
    sentence: 'Run one node.',
    load: async () => (await import('./commands/serve.ts')).serve,
  },
  {
    name: 'dev',
    usage: 'dev',
    sentence: 'Run a cluster on this machine, for development.',
    load: async () => (await import('./commands/dev.ts')).dev,
  },
  {
    name: 'topic',
    usage: 'topic <command>',
    sentence: 'Create, list, describe and delete topics.',
    children: [
      {
        name: 'create',
        usage: 'create <topic>',
        sentence: 'Create a topic.',
        load: async () => (await import('./commands/topic.ts')).topicCreate,
      },
      {
        name: 'ls',
        usage: 'ls',
        sentence: 'List the topics.',
        load: async () => (await import('./commands/topic.ts')).topicList,
      },
      {
        name: 'info',
        usage: 'info <topic>',
        sentence: 'Describe a topic and its partitions.',
        load: async () => (await import('./commands/topic.ts')).topicInfo,
      },
      {
        name: 'rm',
        usage: 'rm <topic>',
        sentence: 'Delete a topic and its records.',
        load: async () => (await import('./commands/topic.ts')).topicRemove,
      },
    ],
  },
  {
    name: 'produce',
    usage: 'produce <topic>',
    sentence: 'Append each line of stdin as one record.',
    load: async () => (await import('./commands/produce.ts')).produce,
  },
  {
    name: 'consume',
    usage: 'consume <topic>',
    sentence: 'Write the records of a topic to stdout.',
    load: async () => (await import('./commands/consume.ts')).consume,
  },
  {
    name: 'cluster',
    usage: 'cluster <command>',
    sentence: 'Look at the cluster, and change who belongs to it.',
    children: [
      {
        name: 'info',
        usage: 'info',
        sentence: 'List the nodes and what they lead.',
        load: async () => (await import('./commands/cluster.ts')).clusterInfo,
      },
      {
        name: 'add',
        usage: 'add <node>',
        sentence: 'Take a running node with an empty directory into the cluster.',
        load: async () => (await import('./commands/cluster.ts')).clusterAdd,
      },
      {
        name: 'remove',
        usage: 'remove <node>',
        sentence: 'Move the replicas of a node away and forget it.',
        load: async () => (await import('./commands/cluster.ts')).clusterRemove,
      },
      {
        name: 'replace',
        usage: 'replace <node> <by>',
        sentence: 'Have one node take the place of another.',
        load: async () => (await import('./commands/cluster.ts')).clusterReplace,
      },
      {
        name: 'drain',
        usage: 'drain <node>',
        sentence: 'Have a node lead nothing, or lead again.',
        load: async () => (await import('./commands/cluster.ts')).clusterDrain,
      },
      {
        name: 'transfer',
        usage: 'transfer <topic> <node>',
        sentence: 'Have a node lead a partition.',
        load: async () => (await import('./commands/cluster.ts')).clusterTransfer,
      },
    ],
  },
  {
    name: 'wal',
    usage: 'wal <command>',
    sentence: 'Look into the data directory of a stopped node.',
    children: [
      {
        name: 'ls',
        usage: 'ls <data-dir>',
        sentence: 'List the logs and their segments.',
        load: async () => (await import('./commands/wal.ts')).walList,
      },
      {
        name: 'dump',
        usage: 'dump <data-dir>',
        sentence: 'Write every entry of a log, one line each.',
        load: async () => (await import('./commands/wal.ts')).walDump,
      },
      {
        name: 'inspect',
        usage: 'inspect <data-dir>',
        sentence: 'Identity, hard state, manifest, segments and snapshots.',
        load: async () => (await import('./commands/wal-inspect.ts')).walInspect,
      },
      {
        name: 'verify',
        usage: 'verify <data-dir>',
        sentence: 'Check every byte of every file; exit 1 when something is damaged.',
        load: async () => (await import('./commands/wal-verify.ts')).walVerify,
      },
      {
        name: 'diff',
        usage: 'diff <data-dir-a> <data-dir-b>',
        sentence: 'Compare the logs of two nodes; exit 1 when replicas may not differ like that.',
        load: async () => (await import('./commands/wal-diff.ts')).walDiff,
      },
      {
        name: 'repair',
        usage: 'repair <data-dir>',
        sentence: 'Mend what needs no peer; --dry-run only says what.',
        load: async () => (await import('./commands/wal-repair.ts')).walRepair,
      },
    ],
  },
  {
    name: 'snapshot',
    usage: 'snapshot <command>',
    sentence: 'Save topics into a file, and make them anew from it.',
    children: [
      {
        name: 'save',
        usage: 'save <file>',
        sentence: 'Copy topics of a running cluster into a file.',
        load: async () => (await import('./commands/snapshot-save.ts')).snapshotSave,
      },
      {
        name: 'inspect',
        usage: 'inspect <file>',
        sentence: 'Check a backup and say what it holds.',
        load: async () => (await import('./commands/snapshot-inspect.ts')).snapshotInspect,
      },
      {
        name: 'restore',
        usage: 'restore <file>',
        sentence: 'Make the topics of a backup, with their offsets, and read them back.',
        load: async () => (await import('./commands/snapshot-restore.ts')).snapshotRestore,
      },
    ],
  },
  {
    name: 'crash-lab',
    usage: 'crash-lab',
    sentence: 'Kill, cut and corrupt real nodes on this machine, and judge what is left.',
    load: async () => (await import('./commands/crash-lab.ts')).crashLab,
  },
  {
    name: 'doctor',
    usage: 'doctor',
    sentence: 'Judge this machine as the home of a node.',
    load: async () => (await import('./commands/doctor.ts')).doctor,
  },
  {
    name: 'bench',
    usage: 'bench <command>',
    sentence: 'Measure what limits a node.',
    children: [
      {
        name: 'fsync',
        usage: 'fsync',
        sentence: 'Measure write + flush of the disk, for several sizes.',
        load: async () => (await import('./commands/bench-fsync.ts')).benchFsync,
      },
    ],
  },
  {
    name: 'version',
    usage: 'version',
    sentence: 'Print the version.',
    load: async () => (await import('./commands/version.ts')).version,
  },
];
