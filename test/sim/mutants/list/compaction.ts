/** Mistakes in compacting a log: what is taken out of it, and how rewritten segments take the place of the old ones. */
import type { Mutant } from '../mutant.ts';

const COMPACTOR = 'src/partition/compactor.ts';
const REWRITE = 'storage/rewrite.ts';
const SEGMENTS = 'storage/segments.ts';
const ACTIVE = 'storage/active-segment.ts';

export const COMPACTION_MUTANTS: readonly Mutant[] = [
  {
    id: 'latest-compacted-away',
    sentence: 'Compaction takes the latest record of a key out as well.',
    rule: 'P1',
    edits: [
      {
        file: COMPACTOR,
        from: 'if (latest !== undefined && latest > offset) return false;',
        to: 'if (latest !== undefined && latest >= offset) return false;',
      },
    ],
  },
  {
    id: 'superseded-by-uncommitted',
    sentence: 'A record is taken out because of a later one that is not committed.',
    rule: 'P1',
    edits: [
      {
        file: COMPACTOR,
        from: 'filter(({ isSealed, lastIndex }) => isSealed && lastIndex <= appliedIndex)',
        to: 'filter(({ lastIndex }) => lastIndex <= appliedIndex + 1_000)',
      },
    ],
  },
  {
    id: 'swap-before-flush',
    sentence: 'A rewritten segment takes the place of the old ones before its bytes are flushed.',
    rule: 'W1',
    edits: [
      {
        file: REWRITE,
        from: '    const made = await writing(createSegment(context, segmentId, old[0]!.before));\n',
        to: `    const made = await writing(createSegment(context, segmentId, old[0]!.before));
    made.file.writeDurable = (position, chunks) => made.file.write(position, chunks);
`,
      },
      { file: ACTIVE, from: '    await this.file.flush();\n    return end;\n', to: '    return end;\n' },
    ],
  },
  {
    id: 'old-removed-before-swap',
    sentence: 'The segments that were rewritten are removed before the new one is listed.',
    rule: 'W3',
    edits: [
      {
        file: SEGMENTS,
        from: '    kept.splice(first, old.length, this.#stored(made.summary, made.fileBytes));\n',
        to: `    kept.splice(first, old.length, this.#stored(made.summary, made.fileBytes));
    await this.#removeFiles(found);
`,
      },
      {
        file: SEGMENTS,
        from: '    onListed();\n    await this.#removeFiles(found);\n',
        to: '    onListed();\n',
      },
    ],
  },
];
