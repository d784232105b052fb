/**
 * Whether a test file has a test that runs, by its title as the source has it: '%i' and '$what' of a table included.
 */

/** `code`: without comments, so that what is commented out does not count. */
export function hasTest(code: string, title: string): boolean {
  for (const quote of ["'", '"', '`']) {
    for (let at = code.indexOf(quote + title + quote); at >= 0; at = code.indexOf(quote + title + quote, at + 1)) {
      const opening = code.slice(0, at).trimEnd();
      if (/\btest\($/.test(opening)) return true;
      // Behind the table of test.each, or a condition, in parentheses of its own.
      const word = [...opening.matchAll(/\b(?:test|describe)\b(?:\.\w+)?(?=\()/g)].at(-1)?.[0];
      if (opening.endsWith(')(') && (word === 'test.each' || word === 'test.skipIf')) return true;
    }
  }
  return false;
}
