/**
 * A disk that says a flush is done when it is not, and then loses power: what the node acknowledged is gone. The
 * library that lies is loaded into the process in front of the C library and leaves out every flush.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TOPIC_LOG, writtenBytes } from '../files.ts';
import type { Fault } from './fault.ts';
import { cut, powered } from './power.ts';

const ACKS_ON_LIES = 400;
const COMPILERS = ['/usr/bin/cc', '/usr/bin/gcc', '/usr/bin/clang'];

const SOURCE = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
int fsync(int fd) { return fcntl(fd, F_GETFD) < 0 ? -1 : 0; }
int fdatasync(int fd) { return fcntl(fd, F_GETFD) < 0 ? -1 : 0; }
static int lie(const char *name, const char *path, int flags, int mode) {
  int (*open_it)(const char *, int, ...) = dlsym(RTLD_NEXT, name);
  return open_it(path, flags & ~(O_SYNC | O_DSYNC), mode);
}
#define LIE(NAME) int NAME(const char *path, int flags, ...) { \\
  va_list rest; va_start(rest, flags); int mode = va_arg(rest, int); va_end(rest); \\
  return lie(#NAME, path, flags, mode); }
LIE(open)
LIE(open64)
`;

/** Why flushes cannot be left out here; undefined when they can. */
export function whyNoLies(): string | undefined {
  return COMPILERS.some((place) => existsSync(place)) ? undefined : 'lying disks need a C compiler (Debian: gcc)';
}

let library: string | undefined;

/** Compiled once a run. */
function lyingLibrary(): string {
  if (library !== undefined) return library;
  const dir = mkdtempSync(join(tmpdir(), 'logdrive-lies-'));
  writeFileSync(join(dir, 'lies.c'), SOURCE);
  library = join(dir, 'lies.so');
  const compiler = COMPILERS.find((place) => existsSync(place))!;
  execFileSync(compiler, ['-shared', '-fPIC', '-O1', '-o', library, join(dir, 'lies.c'), '-ldl']);
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  return library;
}

export const LYING_DISKS: readonly Fault[] = [
  {
    name: 'lying disk of a follower, then a power cut',
    ...{ group: 'lying disk', needsImages: true, events: 1 },
    run: async (lab) => {
      const victim = powered(await lab.pick('follower'));
      const { node, disk } = victim;
      await node.kill();
      node.start({ env: { LD_PRELOAD: lyingLibrary() } });
      await node.ready();
      await lab.moreAcks(ACKS_ON_LIES);
      await node.freeze();
      const before = await writtenBytes(disk.dataDir, TOPIC_LOG);
      await cut([victim]);
      const lost = before - (await writtenBytes(disk.dataDir, TOPIC_LOG));
      return { tookEffect: lost > 0, detail: `${node.id} lost ${lost} bytes of its log that it had called flushed` };
    },
  },
];
