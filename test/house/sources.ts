/** The source files as the house tests see them: path, text, and what each imports, types included. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url));

export interface SourceFile {
  /** From the root of the repository, with slashes. */
  readonly path: string;
  readonly text: string;
  /** The text with comments blanked, so that a rule does not trip over prose. Line numbers stay true. */
  readonly code: string;
  /** Paths from the root for relative imports, else the name as written. */
  readonly imports: readonly string[];
}

export function readSources(folders: readonly string[]): SourceFile[] {
  return folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
      .filter((item) => item.isFile() && /\.c?ts$/.test(item.name))
      .map((item) => readSource(relative(ROOT, join(item.parentPath, item.name)))),
  );
}

export function readSource(path: string): SourceFile {
  const text = readFileSync(join(ROOT, path), 'utf8');
  const code = withoutComments(text);
  return { path, text, code, imports: importsOf(path, code) };
}

/** Strings and comments. Strings come first in the alternation, so that a // inside one does not begin a comment. */
const TOKEN = /'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;

const isComment = (token: string): boolean => /^\/[/*]/.test(token);

function withoutComments(text: string): string {
  return text.replace(TOKEN, (found) => (isComment(found) ? found.replace(/[^\n]/g, ' ') : found));
}

/** The lines of `text` without what stands in strings, and without the code that a mutant's comment quotes. */
export function linesWithoutStrings(text: string): string[] {
  const bare = text.replace(TOKEN, (found) => {
    if (!isComment(found)) return found.replace(/[^\n]+/g, '');
    return found.startsWith('// Mutant, ') ? '// Mutant' : found;
  });
  return bare.split('\n');
}

function importsOf(path: string, code: string): string[] {
  const pattern = /(?:(?<!\.)\bfrom\s|\bimport\s*\(|\bimport\s)\s*'([^']+)'/g;
  return [...code.matchAll(pattern)].map((match) => {
    const name = match[1]!;
    return name.startsWith('.') ? normalize(join(dirname(path), name)) : name;
  });
}
