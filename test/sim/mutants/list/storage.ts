/** Mistakes on the way to the disk: what is called durable, what a crash leaves, what recovery believes. */
import type { Mutant } from '../mutant.ts';

const ACTIVE = 'storage/active-segment.ts';
const COMMIT = 'storage/group-commit.ts';
const HARD_STATE = 'storage/hard-state.ts';
const READER = 'storage/segment-reader.ts';
const RECOVERY = 'storage/recovery.ts';
const SCAN = 'storage/segment-scan.ts';
const SEGMENTS = 'storage/segments.ts';
const SMALL = 'storage/small-file.ts';

export const STORAGE_MUTANTS: readonly Mutant[] = [
  {
    id: 'frame-not-flushed',
    sentence: 'Entries are written and called durable without a flush.',
    rule: 'W1',
    edits: [
      {
        file: ACTIVE,
        from: 'await this.file.writeDurable(position, [frame, ...chunks]);',
        to: 'await this.file.write(position, [frame, ...chunks]);',
      },
    ],
  },
  {
    id: 'ack-before-write',
    sentence: 'Entries are reported flushed before they are written.',
    rule: 'W1',
    edits: [
      {
        file: COMMIT,
        from: '    const bytes = await this.#segments.writeFrame(entries, this.#events.commitHint());\n    this.#afterFlush(entries, bytes);',
        to: '    const writing = this.#segments.writeFrame(entries, this.#events.commitHint());\n    this.#afterFlush(entries, 0);\n    await writing;',
      },
    ],
  },
  {
    id: 'cut-flush-counts',
    sentence: 'A flush counts in full although its entries were cut while it ran.',
    rule: 'W17',
    edits: [
      {
        file: COMMIT,
        from: 'const limit = this.#cutDuringFlush ?? Number.MAX_SAFE_INTEGER;',
        to: 'const limit = Number.MAX_SAFE_INTEGER;',
      },
    ],
  },
  {
    id: 'entries-before-term',
    sentence: 'Entries of a higher term are written before that term is durable.',
    rule: 'W14',
    edits: [{ file: COMMIT, from: '      if (pending === undefined) break;\n', to: '      break;\n' }],
  },
  {
    id: 'hard-state-not-flushed',
    sentence: 'Term and vote are written and called durable without a flush.',
    rule: 'W13',
    edits: [
      {
        file: HARD_STATE,
        from: 'for (const position of SLOTS) await this.#file.writeDurable(position, [block]);',
        to: 'for (const position of SLOTS) await this.#file.write(position, [block]);',
      },
    ],
  },
  {
    id: 'hard-state-without-vote',
    sentence: 'Recovery brings back the term and forgets the vote.',
    rule: 'R1',
    edits: [
      {
        file: HARD_STATE,
        from: 'votedFor: fields.u8() === 0 ? undefined : fields.text() } };',
        to: 'votedFor: undefined } };',
      },
    ],
  },
  {
    id: 'hard-state-in-one-slot',
    sentence:
      'Term and vote are written to one of the two slots only: when that write is torn, an older promise is back.',
    rule: 'W13',
    edits: [
      {
        file: HARD_STATE,
        from: 'for (const position of SLOTS) await',
        to: 'for (const position of SLOTS.slice(0, 1)) await',
      },
    ],
  },
  {
    id: 'vote-without-term',
    sentence: 'Vote and term are saved in two writes, the vote first.',
    rule: 'R1',
    edits: [
      {
        file: HARD_STATE,
        from: '    this.#sequence++;\n    this.#state = state;\n',
        to: `    const half = { term: this.#state.term, votedFor: state.votedFor };
    this.#sequence++;
    const first = encodeHardStateSlot({ sequence: this.#sequence, state: half }, this.#owner);
    for (const position of SLOTS) await this.#file.writeDurable(position, [first]);
    this.#sequence++;
    this.#state = state;
`,
      },
    ],
  },
  {
    id: 'replace-without-flush',
    sentence: 'A file takes its name before its bytes are flushed.',
    rule: 'W3',
    edits: [{ file: SMALL, from: '    await file.flush();\n', to: '' }],
  },
  {
    id: 'another-file-flushed',
    sentence: 'The file to be replaced is flushed instead of the one that takes its name.',
    rule: 'W3',
    edits: [
      {
        file: SMALL,
        from: '    await file.flush();\n',
        to: `    if ((await disk.stat(path)) !== undefined) {
      const other = await disk.open(path, 'write');
      await other.flush();
      await other.close();
    }
`,
      },
    ],
  },
  {
    id: 'flush-tried-again',
    sentence: 'A write that failed is followed by another flush, and by belief in it.',
    rule: 'W4',
    edits: [
      {
        file: ACTIVE,
        from: 'await this.file.writeDurable(position, [frame, ...chunks]);',
        to: 'await this.file.writeDurable(position, [frame, ...chunks]).catch(() => this.file.flush());',
      },
    ],
  },
  {
    id: 'write-error-ignored',
    sentence: 'A write that failed, or wrote less than it was given, counts as done.',
    rule: 'W5',
    edits: [
      {
        file: ACTIVE,
        from: 'await this.file.writeDurable(position, [frame, ...chunks]);',
        to: 'await this.file.writeDurable(position, [frame, ...chunks]).catch(() => undefined);',
      },
    ],
  },
  {
    id: 'no-directory-flush-after-rename',
    sentence: 'The directory is not flushed after a rename.',
    rule: 'W2',
    edits: [
      {
        file: SMALL,
        from: '  await disk.rename(aside, path);\n  await sync();',
        to: '  await disk.rename(aside, path);',
      },
    ],
  },
  {
    id: 'no-directory-flush-after-create',
    sentence: 'The directory is not flushed after a segment is created.',
    rule: 'W2',
    edits: [
      {
        file: SEGMENTS,
        from: '    await context.disk.syncDirectory(context.directory);\n',
        to: '',
      },
    ],
  },
  {
    id: 'damage-taken-for-end',
    sentence: 'A frame that fails its check is taken for the end of the log, whatever comes behind it.',
    rule: 'W9',
    edits: [
      {
        file: SCAN,
        from: 'const next = await this.#findFrame(this.#position + 1);',
        to: 'const next = undefined as FrameHeader | undefined;',
      },
    ],
  },
  {
    id: 'torn-end-kept',
    sentence: 'A torn end is not cut: new entries are written behind it.',
    rule: 'W11',
    edits: [
      {
        file: RECOVERY,
        from: 'if (scan.tornBytes > 0) await active.file.setBytes(scan.dataEnd);',
        to: '',
      },
      {
        file: RECOVERY,
        from: '    dataEnd: scan.dataEnd,\n    frames: scan.frames,\n    isProven',
        to: '    dataEnd: scan.dataEnd + scan.tornBytes,\n    frames: scan.frames,\n    isProven',
      },
      {
        file: RECOVERY,
        from: 'fileBytes: scan.tornBytes > 0 ? scan.dataEnd : active.fileBytes,',
        to: 'fileBytes: active.fileBytes,',
      },
    ],
  },
  {
    id: 'cut-to-commit-at-start',
    sentence: 'Recovery cuts the log back to the commit it remembers.',
    rule: 'W18',
    edits: [
      {
        file: 'src/partition/opening.ts',
        from: '    const state = new PartitionState(createMachine?.(), log.firstOffset);\n',
        to: '    if (log.lastIndex > log.commitHint) log.truncateSuffix(Math.max(log.commitHint, log.firstIndex - 1) + 1);\n    const state = new PartitionState(createMachine?.(), log.firstOffset);\n',
      },
    ],
  },
  {
    id: 'killed-writes-believed',
    sentence: 'What a killed process wrote and did not flush is taken for flushed at the next start.',
    rule: 'W4',
    edits: [
      {
        file: RECOVERY,
        from: '    if (!isJustMade) await active.file.flush();\n    for (const name of',
        to: '    for (const name of',
      },
    ],
  },
  {
    id: 'cut-undone-by-crash',
    sentence: 'A cut is only done in memory: after a crash the entries are back.',
    rule: 'W17',
    edits: [
      {
        file: COMMIT,
        from: '    if (active.last.index > point.index) {\n      const isSeam',
        to: '    if (active.last.index > point.index + 1_000_000) {\n      const isSeam',
      },
    ],
  },
  {
    id: 'payload-check-skipped',
    sentence: 'Payloads are believed without their checksum.',
    rule: 'W24',
    edits: [
      {
        file: 'storage/format.ts',
        from: 'export function isPayloadSound(header: EntryHeader, payload: Uint8Array): boolean {\n',
        to: 'export function isPayloadSound(header: EntryHeader, payload: Uint8Array): boolean {\n  if (header.index > 0 || payload.length > 0) return true;\n',
      },
    ],
  },
  {
    id: 'header-check-skipped',
    sentence: 'Headers of entries and frames are believed without their checksum.',
    rule: 'W6',
    edits: [
      {
        file: 'storage/format.ts',
        from: "  if (crc32c(bytes.subarray(at + 4, checkedEnd)) !== view.getUint32(at, true)) return 'corrupt';\n",
        to: '',
      },
      {
        file: 'storage/frame.ts',
        from: '  if (crc32c(bytes.subarray(at + 4, at + FRAME_HEADER_BYTES), expect.seed) !== view.getUint32(at, true))\n    return undefined;\n',
        to: '',
      },
    ],
  },
  {
    id: 'index-not-checked',
    sentence: 'A sound entry is taken wherever it lies: its checksum counts, its index and chain do not.',
    rule: 'W6',
    edits: [
      {
        file: READER,
        from: "    if (header.index !== index || header.groupId !== this.#groupId) throw this.#fault('another entry lies here', index);\n",
        to: '',
      },
      { file: READER, from: '    if (disorder !== undefined) throw this.#fault(disorder, index);\n', to: '' },
      { file: READER, from: 'if (chain !== undefined && !isChained', to: 'if (chain === null && !isChained' },
      {
        file: 'storage/frame.ts',
        from: 'if (segmentId !== expect.segmentId || position !== expect.position) return undefined;',
        to: 'if (segmentId !== expect.segmentId) return undefined;',
      },
    ],
  },
];
