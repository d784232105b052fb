/**
 * `logdrive wal ls | dump`: segments and entries of a data directory, for an operator with a stopped node or with a
 * copy of its disk. Reads only: takes no lock, cuts nothing, mends nothing. Beside a running node the answer is of a
 * moment that may be gone, and that is said.
 */
import { inspectSegment, NodeDisk, type SegmentItem, type SegmentReport } from '../../storage/index.ts';
import type { Command, Invocation } from '../command.ts';
import { type Column, groupDigits, renderList } from '../output.ts';
import { parseCount } from '../values.ts';
import { LOG_FLAG, logsOf, look } from '../wal-directory.ts';

/** Numbers of a sealed segment are the manifest's; those of the active one are found by reading it. */
interface SegmentRow {
  readonly log: number;
  readonly segment: number;
  readonly state: 'sealed' | 'active';
  /** Inclusive; lastIndex is firstIndex - 1 in an empty segment. */
  readonly firstIndex: number;
  readonly lastIndex: number;
  /** Half-open: [firstOffset, nextOffset). */
  readonly firstOffset: number;
  readonly nextOffset: number;
  readonly bytes: number;
  readonly file: string;
}

const SEGMENT_COLUMNS: readonly Column<SegmentRow>[] = [
  { title: 'LOG', text: (row) => String(row.log), align: 'right' },
  { title: 'SEGMENT', text: (row) => String(row.segment), align: 'right' },
  { title: 'STATE', text: (row) => row.state },
  { title: 'INDEXES', text: (row) => `${groupDigits(row.firstIndex)}..${groupDigits(row.lastIndex)}`, align: 'right' },
  {
    title: 'OFFSETS',
    text: (row) => `[${groupDigits(row.firstOffset)}, ${groupDigits(row.nextOffset)})`,
    align: 'right',
  },
  { title: 'BYTES', text: (row) => groupDigits(row.bytes), align: 'right' },
  { title: 'FILE', text: (row) => row.file },
];

export const walList: Command = {
  usage: 'ls <data-dir>',
  flags: { log: LOG_FLAG },
  run: async (invocation) => {
    const report = await look(invocation, invocation.words('data-dir'));
    const rows: SegmentRow[] = [];
    for (const log of logsOf(invocation, report)) {
      for (const segment of log.segments) rows.push(await segmentRow(segment));
    }
    invocation.terminal.out.writeText(renderList(invocation.output, SEGMENT_COLUMNS, rows));
  },
};

async function segmentRow(segment: SegmentReport): Promise<SegmentRow> {
  const last = segment.end?.last ?? (await readToEnd(segment)).last;
  return {
    log: segment.groupId,
    segment: segment.segmentId,
    state: segment.isSealed ? 'sealed' : 'active',
    firstIndex: segment.before.index + 1,
    lastIndex: last.index,
    firstOffset: segment.before.nextOffset,
    nextOffset: last.nextOffset,
    bytes: segment.fileBytes,
    file: segment.path,
  };
}

type EndItem = Extract<SegmentItem, { kind: 'end' }>;

async function readToEnd(segment: SegmentReport): Promise<EndItem> {
  for await (const item of inspectSegment(new NodeDisk(), segment)) if (item.kind === 'end') return item;
  throw new Error(`${segment.path} was read without coming to its end`);
}

export const walDump: Command = {
  usage: 'dump <data-dir>',
  flags: {
    log: LOG_FLAG,
    'from-index': { kind: 'text', sentence: 'Entries from that log index on.', placeholder: 'N', defaultText: '1' },
    frames: { kind: 'switch', sentence: 'The flush frames too.' },
  },
  run: async (invocation) => {
    const report = await look(invocation, invocation.words('data-dir'));
    const fromIndex = parseCount('--from-index', invocation.text('from-index')!, 1);
    for (const log of logsOf(invocation, report)) {
      for (const segment of log.segments) {
        if (segment.end === undefined || segment.end.last.index >= fromIndex)
          await dump(invocation, segment, fromIndex);
      }
    }
  },
};

async function dump(invocation: Invocation, segment: SegmentReport, fromIndex: number): Promise<void> {
  const { out } = invocation.terminal;
  for await (const item of inspectSegment(new NodeDisk(), segment)) {
    if (item.kind === 'frame' && !invocation.isOn('frames')) continue;
    if (item.kind === 'entry' && item.header.index < fromIndex) continue;
    const row = dumpRow(segment, item);
    if (row === undefined) continue;
    out.writeText(invocation.output === 'table' ? `${dumpLine(row)}\n` : `${JSON.stringify(row)}\n`);
    if (out.isFull) await out.flushed();
  }
}

function dumpRow(segment: SegmentReport, item: SegmentItem): Record<string, unknown> | undefined {
  const { groupId: log, path: file } = segment;
  switch (item.kind) {
    case 'frame': {
      const { position, sequence, entryCount, bodyBytes, provenPosition, commitHint } = item.frame;
      return { frame: sequence, log, entries: entryCount, bodyBytes, provenPosition, commitHint, position, file };
    }
    case 'entry': {
      const { index, term, kind, baseOffset, recordCount, appendTimeMs, payloadBytes, producer } = item.header;
      const records = { records: recordCount, offset: recordCount === 0 ? null : baseOffset };
      return {
        index,
        log,
        term,
        kind,
        ...records,
        payloadBytes,
        appendTimeMs,
        producer,
        position: item.position,
        file,
      };
    }
    case 'fault': {
      const [firstIndex, lastIndex] = [item.before.index + 1, item.after.index];
      return { damage: 'proven bytes fail their checksum', log, firstIndex, lastIndex, position: item.position, file };
    }
    case 'end':
      return item.tornBytes === 0 ? undefined : { torn: item.tornBytes, log, position: item.position, file };
  }
}

/** name=value pairs: one line an item, to be searched with grep. */
function dumpLine(row: Record<string, unknown>): string {
  const text = (value: unknown): string => (typeof value === 'object' ? JSON.stringify(value) : String(value));
  return Object.entries(row)
    .filter(([, value]) => value !== undefined && value !== null)
    .map(([name, value]) => `${name}=${text(value)}`)
    .join(' ');
}
