/**
 * Where a node of the lab keeps its files: a directory, or a file system of its own in an image file, which can lose
 * power. The cut is the file system's own shutdown call (XFS_IOC_GOINGDOWN without a log flush, which ext4 has too):
 * from that moment nothing reaches the image, and what was not flushed is gone after the next mount.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, open, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const MiB = 1024 * 1024;
/** Written and never flushed before each cut: if it survives, the cut was none. */
const CANARY_BYTES = 256 * 1024;
const IMAGE_BYTES = 400 * MiB;

export type DiskKind = 'directory' | 'ext4' | 'xfs';

export interface LabDisk {
  readonly kind: DiskKind;
  /** For --data-dir; made by the node. */
  readonly dataDir: string;
  close(): Promise<void>;
}

/** Why images cannot be used here; undefined when they can. */
export function whyNoImages(): string | undefined {
  if (process.platform !== 'linux') return 'power cuts need Linux';
  if (process.getuid?.() !== 0) return 'power cuts need root, to mount file systems';
  for (const tool of ['mkfs.ext4', 'mkfs.xfs', 'xfs_io']) {
    const isThere = ['/sbin', '/usr/sbin', '/bin', '/usr/bin'].some((dir) => existsSync(join(dir, tool)));
    if (!isThere) return `power cuts need ${tool} (Debian: e2fsprogs, xfsprogs)`;
  }
  return undefined;
}

export function plainDisk(dir: string): LabDisk {
  return { kind: 'directory', dataDir: join(dir, 'data'), close: async () => undefined };
}

export class ImageDisk implements LabDisk {
  readonly kind: 'ext4' | 'xfs';
  readonly mountPoint: string;
  readonly dataDir: string;
  readonly #image: string;
  #isMounted = false;

  private constructor(kind: 'ext4' | 'xfs', dir: string) {
    this.kind = kind;
    this.#image = join(dir, 'image');
    this.mountPoint = join(dir, 'mount');
    this.dataDir = join(this.mountPoint, 'data');
  }

  static async create(kind: 'ext4' | 'xfs', dir: string): Promise<ImageDisk> {
    const disk = new ImageDisk(kind, dir);
    await mkdir(disk.mountPoint, { recursive: true });
    await writeFile(disk.#image, '');
    await truncate(disk.#image, IMAGE_BYTES);
    await run(`mkfs.${kind}`, ['-q', disk.#image]);
    await disk.mount();
    return disk;
  }

  async mount(): Promise<void> {
    await run('mount', ['-o', 'loop', this.#image, this.mountPoint]);
    this.#isMounted = true;
  }

  /**
   * Cuts the power. Nothing may run that uses it: a write in flight when the journal is shut down can be reported as
   * done by the kernel, and a process that lives on for a millisecond would acknowledge it. Where power fails, nobody
   * does.
   */
  async cut(): Promise<void> {
    await run('xfs_io', ['-x', '-F', '-c', 'shutdown', this.mountPoint]);
  }

  /** Written, not flushed: what a cut has to take. */
  async plantCanary(): Promise<void> {
    const file = await open(this.#canary, 'w');
    await file.write(Buffer.alloc(CANARY_BYTES, 0x6c));
    await file.close();
  }

  /** After the next mount. @returns how much of the canary is gone. */
  async lostBytes(): Promise<number> {
    const size = await stat(this.#canary).then(
      (found) => found.size,
      () => 0,
    );
    await rm(this.#canary, { force: true });
    return CANARY_BYTES - size;
  }

  /** Fails while a process has files open there. */
  async unmount(): Promise<void> {
    await run('umount', [this.mountPoint]);
    this.#isMounted = false;
  }

  async close(): Promise<void> {
    if (this.#isMounted) await this.unmount();
  }

  get #canary(): string {
    return join(this.mountPoint, 'canary');
  }
}
