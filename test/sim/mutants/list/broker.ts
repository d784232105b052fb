/** Mistakes towards clients: what is forwarded twice, what a failure is called, what is deleted. */
import type { Mutant } from '../mutant.ts';

const PRODUCE = 'src/broker/produce.ts';

export const BROKER_MUTANTS: readonly Mutant[] = [
  {
    id: 'forwarded-again-without-tuple',
    sentence: 'A plain append is forwarded again although the first one may have worked.',
    rule: 'P7',
    edits: [
      {
        file: PRODUCE,
        from: "const isSafe = error.outcome === 'none' || attempt.producer !== undefined;",
        to: 'const isSafe = true;',
      },
    ],
  },
  {
    id: 'timeout-called-refused',
    sentence: 'An append that ran out of time is answered as surely not done.',
    rule: 'P8',
    edits: [
      {
        file: PRODUCE,
        from: 'if (!attempt.isSent)\n',
        to: 'if (attempt.deadlineMs > 0)\n',
      },
    ],
  },
  {
    id: 'unknown-forgotten-on-retry',
    sentence: 'After a failed second attempt nobody remembers that the first one may have worked.',
    rule: 'P8',
    edits: [
      {
        file: PRODUCE,
        from: 'throw wasSent ? asUnknown(error) : error;',
        to: 'throw error;',
      },
      {
        file: PRODUCE,
        from: "if (error.outcome === 'none') attempt.isSent = wasSent;",
        to: "if (error.outcome === 'none') attempt.isSent = false;",
      },
    ],
  },
];
