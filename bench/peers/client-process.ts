/** The bench's end of a client process: calls it by name and waits, with a limit, and ends it with all it started. */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import type { Cleanup } from '../cleanup.ts';
import { repositoryRoot } from '../machine.ts';
import { sampleGroup } from '../process-use.ts';
import type { AnswerMessage, CallMessage, ClientCalls } from './client-main.ts';
import type { NamedSample } from './peer.ts';

const LOG_CHARS_KEPT = 4_000;

interface Waiter {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

export class ClientProcess {
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #closed: Promise<void>;
  readonly #waiters = new Map<number, Waiter>();
  #calls = 0;
  #log = '';

  constructor(cleanup: Cleanup, name: string) {
    this.#name = name;
    let end: () => Promise<void> = () => Promise.resolve();
    cleanup.defer(`client ${name}`, () => end());
    this.#child = fork(join(repositoryRoot(), 'dist/bench/peers/client-main.js'), {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      detached: true,
      // 64 KiB buffers and BigInts of some libraries survive this channel as JSON does not.
      serialization: 'advanced',
    });
    end = () => this.kill();
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#log = (this.#log + chunk.toString()).slice(-LOG_CHARS_KEPT);
      });
    }
    this.#child.on('message', (message: AnswerMessage) => this.#answered(message));
    this.#closed = new Promise((resolve) => {
      this.#child.on('exit', (code, signal) => {
        this.#failAll(
          `the client process of ${name} ended: ${signal ?? `code ${code}`}. It wrote: ${this.#log.trim()}`,
        );
        resolve();
      });
    });
  }

  /** @throws what the call threw, or that it took longer than `timeoutMs`. */
  async call<C extends keyof ClientCalls>(
    call: C,
    args: Parameters<ClientCalls[C]>[0],
    timeoutMs = 120_000,
  ): Promise<Awaited<ReturnType<ClientCalls[C]>>> {
    const id = this.#calls++;
    let timer: NodeJS.Timeout | undefined;
    try {
      const answer = await new Promise<unknown>((resolve, reject) => {
        this.#waiters.set(id, { resolve: resolve as (value: unknown) => void, reject });
        timer = setTimeout(() => {
          reject(new Error(`${this.#name}: ${call} took longer than ${timeoutMs} ms. It wrote: ${this.#log.trim()}`));
        }, timeoutMs);
        const message: CallMessage = { id, call, args: args as never };
        this.#child.send(message, (error) => error && reject(error));
      });
      return answer as Awaited<ReturnType<ClientCalls[C]>>;
    } finally {
      clearTimeout(timer);
      this.#waiters.delete(id);
    }
  }

  /** With what it started; its name tells the library. */
  async look(): Promise<NamedSample> {
    return { name: `client ${this.#name}`, sample: await sampleGroup(this.#child.pid!) };
  }

  async kill(): Promise<void> {
    const { pid, exitCode, signalCode } = this.#child;
    if (pid !== undefined && exitCode === null && signalCode === null) {
      try {
        process.kill(-pid, 'SIGKILL');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
      await this.#closed;
    }
  }

  #answered(message: AnswerMessage): void {
    const waiter = this.#waiters.get(message.id);
    if ('error' in message) waiter?.reject(new Error(`${this.#name}: ${message.error}`));
    else waiter?.resolve(message.answer);
  }

  #failAll(reason: string): void {
    for (const { reject } of this.#waiters.values()) reject(new Error(reason));
  }
}
