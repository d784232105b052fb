/**
 * `logdrive wal inspect`: what a data directory says of itself: whose it is, and of each log its hard state, manifest,
 * segments, snapshots and sparse indexes. Reads only; `wal verify` is what checks every byte.
 */
import {
  type DirectoryReport,
  inspectMarks,
  type LogReport,
  NodeDisk,
  type SegmentReport,
} from '../../storage/index.ts';
import type { Command } from '../command.ts';
import { type Column, groupDigits, renderDocument, renderTable } from '../output.ts';
import { LOG_FLAG, logsOf, look } from '../wal-directory.ts';

interface SegmentFacts {
  readonly segment: number;
  readonly state: 'sealed' | 'active';
  /** Of the first entry; the active segment's end is found by `wal ls`, which reads it. */
  readonly firstIndex: number;
  readonly lastIndex: number | undefined;
  readonly bytes: number;
  /** Of its sparse index on disk; undefined when there is none, as in the active segment. */
  readonly marks: number | undefined;
}

const COLUMNS: readonly Column<SegmentFacts>[] = [
  { title: 'SEGMENT', text: (row) => String(row.segment), align: 'right' },
  { title: 'STATE', text: (row) => row.state },
  {
    title: 'INDEXES',
    text: (row) => `${groupDigits(row.firstIndex)}..${row.lastIndex === undefined ? '' : groupDigits(row.lastIndex)}`,
    align: 'right',
  },
  { title: 'BYTES', text: (row) => groupDigits(row.bytes), align: 'right' },
  { title: 'MARKS', text: (row) => (row.marks === undefined ? '-' : String(row.marks)), align: 'right' },
];

interface LogFacts extends Omit<LogReport, 'segments' | 'manifest'> {
  readonly generation: number | undefined;
  readonly nextSegmentId: number | undefined;
  readonly commitHint: number | undefined;
  readonly segments: readonly SegmentFacts[];
}

export const walInspect: Command = {
  usage: 'inspect <data-dir>',
  flags: { log: LOG_FLAG },
  run: async (invocation) => {
    const report = await look(invocation, invocation.words('data-dir'));
    const logs: LogFacts[] = [];
    for (const log of logsOf(invocation, report)) logs.push(await factsOf(log));
    const document = { path: report.path, identity: report.identity, problems: report.problems, logs };
    const text = (): string => [describeIdentity(report), ...logs.map(describeLog)].join('\n');
    invocation.terminal.out.writeText(renderDocument(invocation.output, document, text));
  },
};

async function factsOf(log: LogReport): Promise<LogFacts> {
  const { manifest, segments, ...rest } = log;
  const { generation, nextSegmentId, commitHint } = manifest ?? {};
  const facts: SegmentFacts[] = [];
  for (const segment of segments) facts.push(await segmentFacts(segment));
  return { ...rest, generation, nextSegmentId, commitHint, segments: facts };
}

async function segmentFacts(segment: SegmentReport): Promise<SegmentFacts> {
  const marks = await inspectMarks(new NodeDisk(), segment);
  return {
    segment: segment.segmentId,
    state: segment.isSealed ? 'sealed' : 'active',
    firstIndex: segment.before.index + 1,
    lastIndex: segment.end?.last.index,
    bytes: segment.fileBytes,
    marks: marks?.length,
  };
}

function describeIdentity({ path, identity, problems }: DirectoryReport): string {
  const whose =
    identity === undefined
      ? 'no identity'
      : `node ${identity.nodeId}, disk ${identity.diskUuid}, cluster ${identity.clusterId ?? '(not yet of one)'}`;
  return [`${path}: ${whose}`, ...problems.map(({ file, what }) => `  ${file}: ${what}`), ''].join('\n');
}

function describeLog(log: LogFacts): string {
  const { hardState } = log;
  const voted = hardState?.votedFor === undefined ? 'no vote' : `voted for ${hardState.votedFor}`;
  const lines = [
    `log ${log.groupId}: ${hardState === undefined ? 'no hard state' : `term ${hardState.term}, ${voted}`}`,
    log.generation === undefined
      ? '  no manifest'
      : `  manifest ${log.generation}: next segment ${log.nextSegmentId}, committed at least up to ${log.commitHint}`,
    ...log.snapshots.map(({ index, content, bytes }) => {
      const state = content === undefined ? 'fails its check' : `term ${content.term}, ${groupDigits(bytes)} bytes`;
      return `  snapshot at ${groupDigits(index)}: ${state}`;
    }),
    ...log.problems.map(({ file, what }) => `  ${file}: ${what}`),
  ];
  return `${lines.join('\n')}\n${renderTable(COLUMNS, log.segments)}`;
}
