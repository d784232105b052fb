/** Hunts a mutant with the one test file that is there to notice it: it must fail with the change, and pass without. */
import { relative } from 'node:path';
import { startVitest } from 'vitest/node';
import { type Mutant, patch, type TestedMutant } from './mutant.ts';

export async function isKilledByTest(root: string, mutant: TestedMutant): Promise<boolean> {
  if (!(await passes(root, mutant.test, undefined))) throw new Error(`${mutant.test} fails without ${mutant.id}, too`);
  return !(await passes(root, mutant.test, mutant));
}

async function passes(root: string, test: string, mutant: Mutant | undefined): Promise<boolean> {
  const files = new Set(mutant?.edits.map(({ file }) => file));
  const patching = {
    name: 'mutant',
    enforce: 'pre' as const,
    transform(code: string, id: string): string | undefined {
      const file = relative(root, id.split('?')[0]!);
      return files.has(file) ? patch(code, file, mutant) : undefined;
    },
  };
  const vitest = await startVitest(
    'test',
    [],
    { root, config: false, include: [test], watch: false, reporters: [{}], testTimeout: 120_000 },
    { plugins: [patching] },
  );
  const modules = vitest.state.getTestModules();
  const isPassed = modules.length === 1 && modules.every((module) => module.ok());
  await vitest.close();
  return isPassed;
}
