/**
 * The order of test files: in each project those that take longest begin first, so that none of them is alone at the
 * end while a processor idles. By itself the runner goes by the size of files it has not run before, and what takes
 * longest is short to read.
 */
import { existsSync } from 'node:fs';
import { relative } from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Ten seconds and more, longest first. */
const LONGEST: readonly string[] = [
  'test/storage/crash-states.test.ts',
  'test/raft/random.test.ts',
  'test/storage/damage.test.ts',
  'test/contract/verbs.test.ts',
  'test/bench/interruption.test.ts',
  'test/bench/run.test.ts',
  'test/cluster/crash-lab.test.ts',
  'test/cluster/command-line.test.ts',
  'test/cluster/faults.test.ts',
  'test/cluster/backup.test.ts',
  'test/cluster/dev.test.ts',
  'test/cluster/damage.test.ts',
  'test/cluster/startup.test.ts',
  'test/cluster/main-job.test.ts',
];

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const missing = LONGEST.filter((path) => !existsSync(path));
    if (missing.length > 0) throw new Error(`no test file ${missing.join(', ')}: bring longest-first.ts up to date`);
    const placeOf = ({ moduleId }: TestSpecification): number => {
      const place = LONGEST.indexOf(relative(this.ctx.config.root, moduleId));
      return place === -1 ? LONGEST.length : place;
    };
    // Groups and projects stay in the order they are in, and so do files of which nothing is said.
    const sorted = await super.sort(files);
    const projects = [...new Set(sorted.map(({ project }) => project.name))];
    return projects.flatMap((name) =>
      sorted.filter(({ project }) => project.name === name).sort((a, b) => placeOf(a) - placeOf(b)),
    );
  }
}
