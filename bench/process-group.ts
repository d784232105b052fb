/**
 * A program that is not ours, such as the server of a peer: started in a group of its own, ended by its pid with all it
 * started, its last words kept for the error when it does not come up. Unlike our nodes it has no lifeline, so its end
 * is deferred before it is started: an interruption in the middle of a set-up finds every process that is there.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Cleanup } from './cleanup.ts';
import { type ProcessSample, sampleGroup } from './process-use.ts';

const LOG_CHARS_KEPT = 4_000;
const POLL_MS = 20;

export interface ProcessGroupOptions {
  /** For messages, such as 'nats 2'. */
  readonly name: string;
  readonly program: string;
  readonly words: readonly string[];
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
}

export class ProcessGroup {
  readonly name: string;
  readonly #options: ProcessGroupOptions;
  #child: ChildProcess | undefined;
  #closed: Promise<void> = Promise.resolve();
  #log = '';
  #exitCode: number | null = null;
  /** Why it could not be started. */
  #failure: Error | undefined;
  /** The bench cleans up: nothing may be started any more. */
  #isOver = false;

  constructor(cleanup: Cleanup, options: ProcessGroupOptions) {
    this.name = options.name;
    this.#options = options;
    cleanup.defer(options.name, async () => {
      this.#isOver = true;
      await this.kill();
    });
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** With what it started. */
  sample(): Promise<ProcessSample> {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`${this.name} is not running`);
    return sampleGroup(pid);
  }

  /** The end of what it wrote. */
  get log(): string {
    return this.#log.trim();
  }

  start(): void {
    if (this.#isOver) throw new Error(`too late to start ${this.name}: the bench is cleaning up`);
    const { program, words, cwd, env } = this.#options;
    const child = spawn(program, words, {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd,
      env: { ...process.env, ...env },
      // A group of its own: it does not hear our Ctrl-C, and what it starts in turn is ended with it.
      detached: true,
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#log = (this.#log + chunk.toString()).slice(-LOG_CHARS_KEPT);
      });
    }
    this.#closed = new Promise((resolve) => {
      const end = (code: number | null, how: string): void => {
        this.#log += `\n(${this.name} ended: ${how})`;
        this.#child = undefined;
        this.#exitCode = code;
        resolve();
      };
      // Of a process group that was killed, all ends of its pipes are closed.
      child.on('close', (code, signal) => end(code, signal ?? `code ${code}`));
      child.on('error', (error) => {
        this.#failure = error;
        end(null, error.message);
      });
    });
  }

  /** Resolves when `isReady` says so. @throws with its last words when it ended or took too long. */
  async ready(isReady: () => Promise<boolean>, timeoutMs = 60_000): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      if (this.#child === undefined) throw new Error(`${this.name} ended before it was ready. It wrote: ${this.log}`);
      if (await isReady().catch(() => false)) return;
      if (performance.now() > deadlineMs) {
        throw new Error(`${this.name} was not ready within ${timeoutMs} ms. It wrote: ${this.log}`);
      }
      await delay(POLL_MS);
    }
  }

  /** For a program that ends by itself: starts it. @returns what it wrote. @throws when it fails or takes too long. */
  async output(timeoutMs = 60_000): Promise<string> {
    this.start();
    const timer = setTimeout(() => void this.kill(), timeoutMs);
    await this.#closed;
    clearTimeout(timer);
    if (this.#exitCode !== 0) throw new Error(`${this.name} failed. It wrote: ${this.log}`, { cause: this.#failure });
    return this.log;
  }

  /** SIGKILL to it and to what it started; resolves when it is gone. */
  async kill(): Promise<void> {
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch (error) {
      // Gone already.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
    await this.#closed;
  }
}

/** Whether somebody accepts connections there. */
export async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
