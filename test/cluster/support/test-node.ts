/**
 * A real node for tests: `logdrive serve` in a process of its own, to be killed, paused, drained and started again.
 * Started under --supervised, so that it ends with the test run whatever happens to that.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { eventually, within } from '../../support/eventually.ts';
import { LOGDRIVE } from './command-line.ts';

export interface TestNodeOptions {
  readonly id: string;
  readonly dataDir: string;
  readonly clientPort: number;
  readonly peerPort: number;
  /** As in --peers; empty for a cluster of one. */
  readonly peers: string;
  readonly flags?: readonly string[];
  /** Variables beside those of the tests. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface NodeExit {
  readonly code: number | null;
  readonly signal: string | null;
}

export interface StartOptions {
  /** Another port than the usual one, which then stays closed. */
  readonly clientPort?: number;
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export class TestNode {
  readonly id: string;
  readonly dataDir: string;
  /** The usual one. */
  readonly clientPort: number;
  readonly peerPort: number;
  readonly #options: TestNodeOptions;
  #process: ChildProcess | undefined;
  #exit: Promise<NodeExit> = Promise.resolve({ code: 0, signal: null });
  #listensOn: number;
  /** Everything the node wrote, in all its lives. */
  log = '';

  constructor(options: TestNodeOptions) {
    this.#options = options;
    this.id = options.id;
    this.dataDir = options.dataDir;
    this.clientPort = options.clientPort;
    this.peerPort = options.peerPort;
    this.#listensOn = options.clientPort;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  get isRunning(): boolean {
    return this.#process !== undefined;
  }

  /** host:port for -s. */
  get address(): string {
    return `127.0.0.1:${this.#listensOn}`;
  }

  start(options: StartOptions = {}): void {
    if (this.#process !== undefined) throw new Error(`${this.id} runs already`);
    this.#listensOn = options.clientPort ?? this.clientPort;
    const { id, dataDir, peerPort, peers, flags = [] } = this.#options;
    const words = [
      ...[LOGDRIVE, 'serve', '--supervised', '--node-id', id, '--data-dir', dataDir],
      ...['--listen', this.address, '--peer-listen', `127.0.0.1:${peerPort}`],
      ...(peers === '' ? [] : ['--peers', peers]),
      ...['--bootstrap', ...flags, ...(options.flags ?? [])],
    ];
    const child = spawn(process.execPath, words, {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      cwd: '/',
      env: { ...process.env, ...this.#options.env, ...options.env },
    });
    this.#process = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.log += chunk.toString();
      });
    }
    this.#exit = once(child, 'close').then(([code, signal]) => {
      this.#process = undefined;
      return { code, signal };
    });
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(): Promise<void> {
    this.#process?.kill('SIGKILL');
    await this.#exit;
  }

  /** SIGTERM; resolves when it has drained and ended. */
  async drain(timeoutMs = 30_000): Promise<NodeExit> {
    this.#process?.kill('SIGTERM');
    return this.exited(timeoutMs);
  }

  /** Its end, however it comes. */
  async exited(timeoutMs = 15_000): Promise<NodeExit> {
    return within(this.#exit, { what: `the end of ${this.id}; its log: ${this.log.slice(-2_000)}`, timeoutMs });
  }

  signal(signal: NodeJS.Signals): void {
    this.#process?.kill(signal);
  }

  pause(): void {
    this.#process?.kill('SIGSTOP');
  }

  /** SIGSTOP; resolves when no thread of the process runs any more. */
  async freeze(): Promise<void> {
    const { pid } = this;
    if (pid === undefined) return;
    this.pause();
    const tasks = `/proc/${pid}/task`;
    await eventually(
      async () => {
        const states = await Promise.all(
          (await readdir(tasks)).map(async (task) => readFile(`${tasks}/${task}/stat`, 'utf8')),
        );
        // The state follows the name, which may hold anything but ends with the last parenthesis. A thread in the
        // kernel (D) goes no further than its call.
        return states.every((stat) => /^\) [TtDZ]/.test(stat.slice(stat.lastIndexOf(')'))));
      },
      { what: `${this.id} to stand still`, pollMs: 1 },
    );
  }

  resume(): void {
    this.#process?.kill('SIGCONT');
  }

  /** /readyz: this node is up, and so is a majority. */
  async ready(timeoutMs = 20_000): Promise<void> {
    const what = `${this.id} to be ready`;
    try {
      await eventually(
        async () => {
          if (!this.isRunning) throw new Error('it has ended');
          return (await fetch(`http://${this.address}/readyz`)).status === 200;
        },
        { what, timeoutMs },
      );
    } catch (error) {
      throw new Error(`${(error as Error).message}; its log: ${this.log.slice(-4_000)}`, { cause: error });
    }
  }

  /** Asks this very node over HTTP. */
  async get(path: string): Promise<unknown> {
    const answer = await fetch(`http://${this.address}${path}`);
    if (!answer.ok) throw new Error(`${this.id} answered ${path} with ${answer.status}: ${await answer.text()}`);
    return answer.json();
  }

  /** Whether anybody accepts connections at the usual client port. */
  async isUsualPortOpen(): Promise<boolean> {
    const socket = createConnection({ host: '127.0.0.1', port: this.clientPort });
    try {
      await once(socket, 'connect');
      return true;
    } catch {
      return false;
    } finally {
      socket.destroy();
    }
  }

  path(...names: readonly string[]): string {
    return join(this.dataDir, ...names);
  }
}
