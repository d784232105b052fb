/**
 * Prints the one line that programs read: `N passed, N failed`, and `, N skipped` when there are any. It is the last
 * thing a test run says. What vitest reports beside tests counts as a failure too: a file that cannot be loaded, a hook
 * that throws, an error nobody caught; so the line never looks green when the exit code is not.
 */
import { writeSync } from 'node:fs';
import type { Reporter, TestModule, TestSuite } from 'vitest/node';

export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export function describeCounts(counts: TestCounts): string {
  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
  return `${counts.passed} passed, ${counts.failed} failed${skipped}`;
}

/** What a run added up to; `errors` are those that belong to no test. */
export function countTests(modules: readonly TestModule[], errors: readonly unknown[]): TestCounts {
  let [passed, failed, skipped] = [0, errors.length, 0];
  for (const module of modules) {
    failed += module.errors().length;
    for (const suite of module.children.allSuites()) failed += (suite as TestSuite).errors().length;
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      if (state === 'passed') passed++;
      else if (state === 'skipped') skipped++;
      // 'pending' after the end of a run: it never came to an end.
      else failed++;
    }
  }
  return { passed, failed, skipped };
}

export default class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const counts = countTests(modules, errors);
    const line = `${describeCounts(counts)}\n`;
    // At the exit of the process, so that it comes after every other reporter; synchronous, so that it comes at all.
    process.once('exit', () => writeSync(1, line));
  }
}
