/** The bench's end of a process that writes to many logs: starts it, gives it work, ends it. */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import type { Cleanup } from '../cleanup.ts';
import { repositoryRoot } from '../machine.ts';
import type { Done, Work, WriterOptions } from './small-appends.ts';

/** As nodes are started: threads for eight flushes, and some for reads. */
const ENVIRONMENT = { UV_THREADPOOL_SIZE: '12' };

export class Writer {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Resolves when its logs are open. */
  static async start(cleanup: Cleanup, options: WriterOptions): Promise<Writer> {
    let end = (): Promise<void> => Promise.resolve();
    // Before the start: when the bench is cleaning up already, this throws.
    cleanup.defer(`a writer of ${options.dir}`, () => end());
    const child = fork(join(repositoryRoot(), 'dist/bench/journal/writer-main.js'), [JSON.stringify(options)], {
      // A group of its own: Ctrl-C reaches the bench alone.
      detached: true,
      serialization: 'advanced',
      env: { ...ENVIRONMENT, ...process.env },
    });
    const writer = new Writer(child);
    end = () => writer.end();
    await writer.#next();
    return writer;
  }

  do(work: Work): Promise<Done> {
    this.#child.send(work);
    return this.#next() as Promise<Done>;
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await ended;
  }

  #next(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const onExit = (code: number | null, signal: string | null): void => {
        reject(new Error(`a writer ended: ${signal ?? `code ${code}`}`));
      };
      this.#child.once('exit', onExit);
      this.#child.once('message', (message) => {
        this.#child.off('exit', onExit);
        resolve(message);
      });
    });
  }
}
