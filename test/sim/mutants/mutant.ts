/**
 * A mutant: production code with one mistake put in on purpose, of a kind that real systems shipped. It is no branch in
 * the code but a piece of text to be replaced, applied while the bundler reads the file, so that the checkout is never
 * touched and the list cannot rot unnoticed: each text must stand exactly once in its file (patches.test.ts).
 */
export interface Edit {
  /** From the root of the repository. */
  readonly file: string;
  /** Stands exactly once in the file. */
  readonly from: string;
  readonly to: string;
}

export interface Mutant {
  readonly id: string;
  /** What the mutated code does. */
  readonly sentence: string;
  /** The rule it breaks: W.., R.., L.., P.. */
  readonly rule: string;
  readonly edits: readonly Edit[];
}

/** One that the simulation cannot show. */
export interface TestedMutant extends Mutant {
  /** The test file that fails with it. */
  readonly test: string;
}

/** The text with every edit for `file` made. @throws Error when an edit does not fit. */
export function patch(text: string, file: string, mutant: Mutant | undefined): string {
  let patched = text;
  for (const edit of mutant?.edits ?? []) {
    if (edit.file !== file) continue;
    const parts = patched.split(edit.from);
    if (parts.length !== 2)
      throw new Error(`${mutant?.id}: the text to change stands ${parts.length - 1} times in ${file}, not once`);
    patched = parts.join(edit.to);
  }
  return patched;
}
