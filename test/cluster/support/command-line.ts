/** Runs the built `logdrive` as a user would: words, stdin, and what comes back on stdout and stderr. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { within } from '../../support/eventually.ts';

/** Beside this file when it is part of a bundle; else from the root of the repository, where the tests are started. */
export const LOGDRIVE: string = executable();

function executable(): string {
  const places = [fileURLToPath(new URL('./logdrive.cjs', import.meta.url)), resolve('dist/bin/logdrive.cjs')];
  const found = places.find((place) => existsSync(place));
  if (found === undefined) throw new Error(`${places.join(' or ')} is missing: npm run build makes it`);
  return found;
}

export interface Finished {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface RunOptions {
  readonly stdin?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly timeoutMs?: number;
}

/** One run of the command line, to be fed and watched while it goes on. */
export class Running {
  readonly process: ChildProcessWithoutNullStreams;
  readonly #stdout: Buffer[] = [];
  readonly #stderr: Buffer[] = [];
  readonly #finished: Promise<Finished>;
  readonly #words: readonly string[];

  constructor(words: readonly string[], options: RunOptions = {}) {
    this.#words = words;
    this.process = spawn(process.execPath, [LOGDRIVE, ...words], {
      stdio: 'pipe',
      cwd: options.cwd,
      env: { ...process.env, NO_COLOR: '1', ...options.env },
    });
    this.process.stdout.on('data', (chunk: Buffer) => this.#stdout.push(chunk));
    this.process.stderr.on('data', (chunk: Buffer) => this.#stderr.push(chunk));
    // A command that ends before it read everything is judged by its exit code, not by our failed write.
    this.process.stdin.on('error', () => undefined);
    this.#finished = new Promise((done, fail) => {
      this.process.on('error', fail);
      this.process.on('close', (code, signal) => done({ code, signal, stdout: this.stdout, stderr: this.stderr }));
    });
  }

  get stdout(): Buffer {
    return Buffer.concat(this.#stdout);
  }

  get stderr(): string {
    return Buffer.concat(this.#stderr).toString();
  }

  /** Resolves when the command has taken the bytes, up to what its pipe holds. */
  async feed(bytes: Uint8Array): Promise<void> {
    await new Promise((taken) => this.process.stdin.write(bytes, taken));
  }

  /** Its end, killed when that takes too long. */
  async finished(timeoutMs = 60_000): Promise<Finished> {
    try {
      return await within(this.#finished, { what: `the end of logdrive ${this.#words.join(' ')}`, timeoutMs });
    } catch (error) {
      this.process.kill('SIGKILL');
      throw new Error(`${(error as Error).message}; stderr: ${this.stderr}`, { cause: error });
    }
  }
}

export async function logdrive(words: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const running = new Running(words, options);
  running.process.stdin.end(options.stdin ?? '');
  return running.finished(options.timeoutMs);
}

/** As above, for a command that must succeed. */
export async function logdriveOk(words: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const finished = await logdrive(words, options);
  if (finished.code !== 0) {
    const end = finished.signal ?? `code ${finished.code}`;
    throw new Error(`logdrive ${words.join(' ')} ended with ${end}: ${finished.stderr}`);
  }
  return finished;
}
