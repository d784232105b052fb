/**
 * A disk that changes nothing: reads go to the disk behind it, writes stay in memory and are told as steps. The very
 * code that mends a log can so be asked what it would do, before anything is touched.
 *
 * Not for logs that grow: what is written is kept whole, a patch a write. Of locks it takes none.
 */
import {
  type DirectoryItem,
  type Disk,
  type DiskLock,
  type File,
  joinPath,
  type OpenMode,
  parentPath,
  totalBytes,
} from './disk.ts';
import { StorageError } from './errors.ts';
import type { ByteCount } from './types.ts';

/** One change, in the order in which it would be made. Files that are written aside and renamed are one 'replace'. */
export type DiskStep =
  | { readonly kind: 'write'; readonly file: string; readonly position: ByteCount; readonly bytes: ByteCount }
  | { readonly kind: 'cut'; readonly file: string; readonly position: ByteCount; readonly bytes: ByteCount }
  | { readonly kind: 'replace'; readonly file: string; readonly bytes: ByteCount }
  | { readonly kind: 'create'; readonly file: string }
  | { readonly kind: 'remove'; readonly file: string };

interface Patch {
  readonly position: ByteCount;
  readonly bytes: Uint8Array;
}

/** A file as it would be: the first `baseBytes` of the real one (if there is any), with patches over them. */
class Overlay {
  readonly base: string | undefined;
  baseBytes: ByteCount;
  bytes: ByteCount;
  readonly patches: Patch[] = [];

  constructor(base: string | undefined, bytes: ByteCount) {
    this.base = base;
    this.baseBytes = bytes;
    this.bytes = bytes;
  }
}

export class DryRunDisk implements Disk {
  readonly #disk: Disk;
  readonly #overlays = new Map<string, Overlay>();
  readonly #removed = new Set<string>();
  readonly #steps: DiskStep[] = [];

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  get steps(): readonly DiskStep[] {
    return this.#steps;
  }

  async open(path: string, mode: OpenMode): Promise<File> {
    const found = await this.stat(path);
    if (mode === 'create') {
      if (found !== undefined) throw missing('EEXIST', path);
      this.#overlays.set(path, new Overlay(undefined, 0));
      this.#steps.push({ kind: 'create', file: path });
    } else if (found === undefined) {
      throw missing('ENOENT', path);
    }
    const overlay = this.#overlays.get(path);
    if (mode === 'read' && overlay === undefined) return this.#disk.open(path, 'read');
    const own = overlay ?? new Overlay(path, found!.bytes);
    this.#overlays.set(path, own);
    const base = own.base === undefined ? undefined : await this.#disk.open(own.base, 'read');
    return new DryRunFile(path, own, base, (step) => this.#steps.push(step));
  }

  async stat(path: string): Promise<{ kind: 'file' | 'directory'; bytes: number } | undefined> {
    if (this.#removed.has(path)) return undefined;
    const overlay = this.#overlays.get(path);
    return overlay === undefined ? this.#disk.stat(path) : { kind: 'file', bytes: overlay.bytes };
  }

  async list(path: string): Promise<DirectoryItem[]> {
    const items = (await this.#disk.list(path)).filter(({ name }) => !this.#removed.has(joinPath(path, name)));
    const known = new Set(items.map(({ name }) => name));
    for (const file of this.#overlays.keys()) {
      const name = file.slice(path.length + 1);
      if (parentPath(file) === path && !known.has(name)) items.push({ name, kind: 'file' });
    }
    return items.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async makeDirectory(path: string): Promise<void> {
    if ((await this.stat(path)) === undefined) throw missing('ENOENT', path);
  }

  async removeDirectory(path: string): Promise<void> {
    this.#removed.add(path);
    this.#steps.push({ kind: 'remove', file: path });
  }

  async remove(path: string): Promise<void> {
    this.#overlays.delete(path);
    this.#removed.add(path);
    this.#steps.push({ kind: 'remove', file: path });
  }

  async rename(from: string, to: string): Promise<void> {
    const moved = this.#overlays.get(from) ?? new Overlay(from, (await this.stat(from))?.bytes ?? 0);
    this.#overlays.delete(from);
    this.#removed.add(from);
    this.#removed.delete(to);
    this.#overlays.set(to, moved);
    // How the new content came to lie beside the old one is no news for whoever reads the steps.
    for (let at = this.#steps.length - 1; at >= 0; at--) if (this.#steps[at]!.file === from) this.#steps.splice(at, 1);
    this.#steps.push({ kind: 'replace', file: to, bytes: moved.bytes });
  }

  async syncDirectory(): Promise<void> {}

  space(path: string): Promise<{ freeBytes: number; totalBytes: number }> {
    return this.#disk.space(path);
  }

  async lock(): Promise<DiskLock> {
    return { release: async () => undefined };
  }
}

class DryRunFile implements File {
  readonly #path: string;
  readonly #overlay: Overlay;
  readonly #base: File | undefined;
  readonly #tell: (step: DiskStep) => void;

  constructor(path: string, overlay: Overlay, base: File | undefined, tell: (step: DiskStep) => void) {
    this.#path = path;
    this.#overlay = overlay;
    this.#base = base;
    this.#tell = tell;
  }

  async bytes(): Promise<number> {
    return this.#overlay.bytes;
  }

  async read(position: number, into: Uint8Array): Promise<number> {
    const { bytes, baseBytes, patches } = this.#overlay;
    const count = Math.max(0, Math.min(into.length, bytes - position));
    const target = into.subarray(0, count);
    target.fill(0);
    const fromBase = Math.max(0, Math.min(count, baseBytes - position));
    if (fromBase > 0) await this.#base?.read(position, target.subarray(0, fromBase));
    for (const patch of patches) {
      const start = Math.max(position, patch.position);
      const end = Math.min(position + count, patch.position + patch.bytes.length);
      if (start >= end) continue;
      target.set(patch.bytes.subarray(start - patch.position, end - patch.position), start - position);
    }
    return count;
  }

  async write(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    const bytes = Buffer.concat(chunks);
    this.#overlay.patches.push({ position, bytes });
    this.#overlay.bytes = Math.max(this.#overlay.bytes, position + bytes.length);
    this.#tell({ kind: 'write', file: this.#path, position, bytes: totalBytes(chunks) });
  }

  writeDurable(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    return this.write(position, chunks);
  }

  async setBytes(bytes: number): Promise<void> {
    const overlay = this.#overlay;
    if (bytes < overlay.bytes) {
      this.#tell({ kind: 'cut', file: this.#path, position: bytes, bytes: overlay.bytes - bytes });
      const kept = overlay.patches.map(({ position, bytes: patch }) => ({
        position,
        bytes: patch.subarray(0, Math.max(0, bytes - position)),
      }));
      overlay.patches.splice(0, Number.POSITIVE_INFINITY, ...kept);
      overlay.baseBytes = Math.min(overlay.baseBytes, bytes);
    }
    overlay.bytes = bytes;
  }

  async flush(): Promise<void> {}

  async close(): Promise<void> {
    await this.#base?.close();
  }
}

function missing(code: 'ENOENT' | 'EEXIST', file: string): StorageError {
  return new StorageError('IO', `open failed: ${code}`, { file, cause: Object.assign(new Error(code), { code }) });
}
