/**
 * The input of the main job: the Debian package index as one JSON record a package, keyed by package name. Where there
 * is no apt-cache, an index of the same shape and size is generated, the same at every run.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { Prng } from '../../raft/support/prng.ts';

export interface PackageRecord {
  readonly key: string;
  /** JSON text, one line. */
  readonly value: string;
}

export interface PackageIndex {
  readonly source: 'apt-cache dumpavail' | 'generated';
  readonly records: readonly PackageRecord[];
}

/** The whole index of this machine, or a generated one of `generatedCount` packages. */
export async function packageIndex(generatedCount: number): Promise<PackageIndex> {
  const records = await readAvailable();
  return records.length > 0
    ? { source: 'apt-cache dumpavail', records }
    : { source: 'generated', records: generatedIndex(generatedCount) };
}

async function readAvailable(): Promise<PackageRecord[]> {
  const child = spawn('apt-cache', ['dumpavail'], { stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    await once(child, 'spawn');
  } catch {
    return [];
  }
  return parseStanzas(createInterface({ input: child.stdout, crlfDelay: Number.POSITIVE_INFINITY }));
}

/** Stanzas end at an empty line; a line that begins with a blank continues the field before it. */
export async function parseStanzas(lines: AsyncIterable<string> | Iterable<string>): Promise<PackageRecord[]> {
  const records: PackageRecord[] = [];
  let fields: Record<string, string> = {};
  let last = '';
  const close = (): void => {
    if (fields.Package !== undefined) records.push({ key: fields.Package, value: JSON.stringify(fields) });
    fields = {};
  };
  for await (const line of lines) {
    if (line === '') close();
    else if (/^\s/.test(line)) fields[last] += `\n${line}`;
    else {
      const colon = line.indexOf(':');
      last = line.slice(0, colon);
      fields[last] = line.slice(colon + 1).trim();
    }
  }
  close();
  return records;
}

const SECTIONS = ['admin', 'devel', 'games', 'libs', 'net', 'python', 'science', 'utils', 'web'];

/** About 800 bytes a package, as in the real index; text beyond ASCII and a few long fields included. */
export function generatedIndex(count: number): PackageRecord[] {
  const random = new Prng(1);
  const next = (end: number): number => random.below(end);
  const hex = (digits: number): string => Array.from({ length: digits }, () => next(16).toString(16)).join('');
  return Array.from({ length: count }, (_, at) => {
    const section = SECTIONS[next(SECTIONS.length)]!;
    const name = `${section}-${at.toString(36)}`;
    const depends = Array.from({ length: next(20) }, () => `lib${hex(6)} (>= ${next(9)}.${next(99)})`).join(', ');
    const description = `Package ${at} of the section ${section}, na\u00efve \u2713 "quoted" \\ back\tslashed. `;
    const fields = {
      Package: name,
      Version: `${next(9)}.${next(99)}-${next(9)}`,
      'Installed-Size': String(next(1e6)),
      Architecture: 'amd64',
      ...(depends !== '' && { Depends: depends }),
      Description: description.repeat(1 + next(at % 500 === 0 ? 500 : 4)),
      Section: section,
      Filename: `pool/main/${name[0]}/${name}/${name}_amd64.deb`,
      MD5sum: hex(32),
      SHA256: hex(64),
    };
    return { key: name, value: JSON.stringify(fields) };
  });
}
