/**
 * The disk of one machine, seen by the process that runs on it now. Below lies the model disk (test/support), which
 * forgets what was not flushed; here is how long calls take, and what else goes wrong with them: errors, lies, writes
 * that end in the middle, calls that never return. Answers come to the process as events, so a paused process does not
 * see them and a dead one never does.
 */
import { type File, type OpenMode, StorageError } from '../../../storage/index.ts';
import type { ModelDisk } from '../../support/model-disk.ts';
import { WrappedDisk, WrappedFile } from '../../support/wrapped-disk.ts';
import type { SimProcess } from './process.ts';

export type DurableCall = 'write' | 'flush' | 'sync';

/**
 * What becomes of a call that makes something durable. 'short': some of its bytes are written, then it fails; 'EIO':
 * all of them, to the cache; 'dropped': none, as where the system gives up on the pages it could not write (W4).
 */
export type DurableFate = 'done' | 'torn' | 'EIO' | 'dropped' | 'short' | 'lie' | 'never';

export interface DiskWeather {
  /** How long the next durable call takes, ms. */
  durableMs(): number;
  /** How long the next read takes, ms; 0: no time at all. */
  readMs(): number;
  fateOf(call: DurableCall, path: string): DurableFate;
  failsRead(path: string): boolean;
}

export class MachineDisk extends WrappedDisk {
  readonly #process: SimProcess;
  readonly #weather: DiskWeather;

  constructor(disk: ModelDisk, process: SimProcess, weather: DiskWeather) {
    super(disk);
    this.#process = process;
    this.#weather = weather;
  }

  override async open(path: string, mode: OpenMode): Promise<File> {
    return new MachineFile(await super.open(path, mode), path, this);
  }

  override async syncDirectory(path: string): Promise<void> {
    const fate = this.#weather.fateOf('sync', path);
    await this.takesMs(this.#weather.durableMs(), path, fate);
    if (fate !== 'lie') await super.syncDirectory(path);
  }

  read(file: File, path: string, position: number, into: Uint8Array): Promise<number> {
    const ms = this.#weather.readMs();
    if (ms > 0) return this.#after(ms).then(() => this.#readNow(file, path, position, into));
    return this.#readNow(file, path, position, into);
  }

  #readNow(file: File, path: string, position: number, into: Uint8Array): Promise<number> {
    return this.#weather.failsRead(path) ? Promise.reject(ioError('read', path)) : file.read(position, into);
  }

  async writeDurable(file: File, path: string, position: number, chunks: readonly Uint8Array[]): Promise<void> {
    const fate = this.#weather.fateOf('write', path);
    if (fate === 'torn' || fate === 'EIO' || fate === 'lie') await file.write(position, chunks);
    if (fate === 'short') {
      const bytes = Buffer.concat(chunks);
      await file.write(position, [bytes.subarray(0, bytes.length >> 1)]);
    }
    await this.takesMs(this.#weather.durableMs(), path, fate);
    if (fate !== 'lie') await file.writeDurable(position, chunks);
  }

  async flush(file: File, path: string): Promise<void> {
    const fate = this.#weather.fateOf('flush', path);
    await this.takesMs(this.#weather.durableMs(), path, fate);
    if (fate !== 'lie') await file.flush();
  }

  async takesMs(ms: number, path: string, fate: DurableFate): Promise<void> {
    if (fate === 'never') await new Promise<never>(() => undefined);
    await this.#after(ms);
    if (fate === 'EIO' || fate === 'dropped' || fate === 'short') throw ioError('write', path);
  }

  #after(ms: number): Promise<void> {
    return new Promise((resolve) => this.#process.in(ms, 'disk', resolve));
  }
}

class MachineFile extends WrappedFile {
  readonly #path: string;
  readonly #disk: MachineDisk;

  constructor(file: File, path: string, disk: MachineDisk) {
    super(file);
    this.#path = path;
    this.#disk = disk;
  }

  override read(position: number, into: Uint8Array): Promise<number> {
    return this.#disk.read(this.below, this.#path, position, into);
  }

  override writeDurable(position: number, chunks: readonly Uint8Array[]): Promise<void> {
    return this.#disk.writeDurable(this.below, this.#path, position, chunks);
  }

  override flush(): Promise<void> {
    return this.#disk.flush(this.below, this.#path);
  }
}

function ioError(action: string, file: string): StorageError {
  const cause = Object.assign(new Error('EIO'), { code: 'EIO' });
  return new StorageError('IO', `${action} failed: EIO`, { file, cause });
}
