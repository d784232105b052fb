/** The facts about this machine and this build without which a figure means nothing. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { arch, cpus, loadavg, platform, release, totalmem } from 'node:os';
import { dirname, join, resolve, sep } from 'node:path';
import { promisify } from 'node:util';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  /** Of the directory the nodes write to. */
  readonly fileSystem: string;
  readonly node: string;
  /** Short hash; with '+' when the tree had changes. 'unknown' outside a checkout. */
  readonly commit: string;
  /** Load average of the last minute before the run: above 0 means that others were at work. */
  readonly loadBefore: number;
}

/** The root of the repository, from the source as well as from dist. */
export function repositoryRoot(): string {
  for (let at = import.meta.dirname; ; at = dirname(at)) {
    if (existsSync(join(at, 'package.json'))) return at;
    if (at === dirname(at)) throw new Error(`no package.json above ${import.meta.dirname}`);
  }
}

export async function describeMachine(dataDir: string): Promise<Machine> {
  const processors = cpus();
  return {
    cpu: processors[0]?.model ?? 'unknown',
    cores: processors.length,
    memoryBytes: totalmem(),
    kernel: `${platform()} ${release()} ${arch()}`,
    fileSystem: fileSystemOf(dataDir),
    node: process.version,
    commit: await commitOf(repositoryRoot()),
    loadBefore: loadavg()[0] ?? 0,
  };
}

/** Type of the file system `dir` lies on, from the kernel's table of mounts; 'unknown' where there is none. */
export function fileSystemOf(dir: string, mountsFile = '/proc/self/mounts'): string {
  if (!existsSync(mountsFile)) return 'unknown';
  const path = resolve(dir);
  let best = { point: '', type: 'unknown' };
  for (const line of readFileSync(mountsFile, 'utf8').split('\n')) {
    const [, rawPoint = '', type = ''] = line.split(' ');
    const point = rawPoint.replaceAll('\\040', ' ');
    const holds = point === '/' || path === point || path.startsWith(point + sep);
    // The last of equals: a later mount covers an earlier one.
    if (type !== '' && holds && point.length >= best.point.length) best = { point, type };
  }
  return best.type;
}

/** File systems that keep nothing: a flush there is free, and its figures worthless. */
export function isVolatile(fileSystem: string): boolean {
  return ['tmpfs', 'ramfs'].includes(fileSystem);
}

const run = promisify(execFile);

async function commitOf(root: string): Promise<string> {
  try {
    const hash = (await run('git', ['-C', root, 'rev-parse', '--short', 'HEAD'])).stdout.trim();
    const changes = (await run('git', ['-C', root, 'status', '--porcelain', '-uno'])).stdout.trim();
    return changes === '' ? hash : `${hash}+`;
  } catch {
    // An installed package has no history; the version then says it.
    return 'unknown';
  }
}
