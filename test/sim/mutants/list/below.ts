/**
 * Mistakes that no seed can show, because they lie below what is simulated (docs/simulation.md): the simulated disk takes
 * the place of the real one, and shows its errors as the real one reports them. Each names the test that fails with it.
 */
import type { TestedMutant } from '../mutant.ts';

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
];
