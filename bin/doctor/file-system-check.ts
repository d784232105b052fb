/** Which file system the data directory lies on, and whether it can keep a promise. */
import { type Finding, failure, ok, warning } from './finding.ts';

export interface FileSystemReadings {
  /** statfs(2) f_type. */
  readonly magic: number;
  /** Of the mount, from /proc/self/mountinfo; undefined where there is none. */
  readonly mount: Mount | undefined;
}

export interface Mount {
  readonly point: string;
  readonly type: string;
  readonly device: string;
  /** Of the mount and of the file system, together. */
  readonly options: readonly string[];
}

type Nature = 'memory' | 'network' | 'layer' | 'fuse' | 'local';

/** linux/magic.h; what is not listed is taken for a local one. */
const MAGIC: Readonly<Record<number, readonly [string, Nature]>> = {
  16914836: ['tmpfs', 'memory'],
  2240043254: ['ramfs', 'memory'],
  26985: ['nfs', 'network'],
  4283649346: ['cifs', 'network'],
  4266872130: ['smb2', 'network'],
  20859: ['smb', 'network'],
  16914839: ['9p', 'network'],
  12805120: ['ceph', 'network'],
  1397113167: ['afs', 'network'],
  198183888: ['lustre', 'network'],
  1702057286: ['fuse', 'fuse'],
  2035054128: ['overlay', 'layer'],
  1635083891: ['aufs', 'layer'],
  61267: ['ext4', 'local'],
  1481003842: ['xfs', 'local'],
  2435016766: ['btrfs', 'local'],
  801189825: ['zfs', 'local'],
  4076150800: ['f2fs', 'local'],
};

/** Options under which a flush does not reach the medium. */
const UNSAFE = new Set(['nobarrier', 'barrier=0', 'sync=disabled', 'nosync', 'async_commit', 'eatmydata']);

export function checkFileSystem({ magic, mount }: FileSystemReadings): Finding {
  const check = 'file system';
  const [name, nature] = MAGIC[magic] ?? [mount?.type ?? `type 0x${magic.toString(16)}`, 'local'];
  const where = mount === undefined ? '' : `, ${mount.device} at ${mount.point}`;
  const found = `${name}${where}`;
  const unsafe = mount?.options.filter((option) => UNSAFE.has(option)) ?? [];
  if (unsafe.length > 0) {
    return failure(
      check,
      `${found}, mounted with ${unsafe.join(',')}`,
      'with that option a flush is no flush: remount',
    );
  }
  if (mount?.options.includes('ro')) return failure(check, `${found}, read-only`, 'a node must write here: remount');
  switch (nature) {
    case 'memory':
      return failure(check, found, 'memory is gone with the machine: nothing acknowledged would survive; use a disk');
    case 'network':
      return failure(
        check,
        found,
        'over a network neither flushes nor locks are what they are on a disk: use a local disk',
      );
    case 'layer':
      return warning(check, found, 'the writable layer of a container goes with the container: mount a volume');
    case 'fuse':
      return warning(check, found, 'what a flush does here is up to a program: ask its makers, or use a local disk');
    case 'local':
      return ok(check, found);
  }
}

/** The mount a path lies in, from the text of /proc/self/mountinfo. The last of the longest: later ones lie on top. */
export function mountOf(mountInfo: string, path: string): Mount | undefined {
  let best: Mount | undefined;
  for (const line of mountInfo.split('\n')) {
    const [front, back] = line.split(' - ');
    const fields = front?.split(' ') ?? [];
    const [type, device, superOptions] = back?.split(' ') ?? [];
    const [point, options] = [unescapeOctal(fields[4] ?? ''), fields[5]];
    if (point === '' || type === undefined || device === undefined || options === undefined) continue;
    const isAbove = point === '/' || path === point || path.startsWith(`${point}/`);
    if (!isAbove || (best !== undefined && best.point.length > point.length)) continue;
    best = { point, type, device, options: [...options.split(','), ...(superOptions?.split(',') ?? [])] };
  }
  return best;
}

/** Blanks in a path are written \040 there. */
function unescapeOctal(text: string): string {
  return text.replace(/\\(\d{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
