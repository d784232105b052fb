/**
 * One node under test: the built `logdrive serve` in a process of its own. It is started with a channel as its lifeline
 * (--supervised), so that it ends with the bench even when that is killed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from './machine.ts';
import { type ProcessSample, sampleProcess } from './process-use.ts';
import { type Scrape, scrape } from './scrape.ts';

/** As `logdrive dev` gives its nodes. */
const ENVIRONMENT = { UV_THREADPOOL_SIZE: '12', MALLOC_ARENA_MAX: '1' };
const LOG_CHARS_KEPT = 4_000;
const DRAIN_MS_MAX = 20_000;

export interface BenchNodeOptions {
  readonly id: string;
  readonly dataDir: string;
  readonly clientPort: number;
  readonly peerPort: number;
  /** As for --peers; empty for a cluster of one. */
  readonly peers: string;
  readonly flags?: readonly string[];
  readonly profileDir?: string | undefined;
}

/** The built command line. @throws when it was not built. */
export function builtEntry(): string {
  const entry = join(repositoryRoot(), 'dist/bin/logdrive.cjs');
  if (!existsSync(entry)) throw new Error(`${entry} is missing: npm run build makes it`);
  return entry;
}

export class BenchNode {
  readonly id: string;
  /** host:port for clients. */
  readonly address: string;
  readonly #options: BenchNodeOptions;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  /** It said over its channel that it serves and sees a majority. */
  #saidReady: Promise<void> = Promise.resolve();
  #lives = 0;
  /** The bench cleans up: nothing may be started any more. */
  #isOver = false;
  /** The end of what it wrote, for the error when it does not start. */
  #log = '';

  constructor(options: BenchNodeOptions) {
    this.#options = options;
    this.id = options.id;
    this.address = `127.0.0.1:${options.clientPort}`;
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`${this.id} is not running`);
    return pid;
  }

  start(): void {
    if (this.#isOver) throw new Error(`too late to start ${this.id}: the bench is cleaning up`);
    const { id, dataDir, peerPort, peers, flags = [], profileDir } = this.#options;
    this.#lives++;
    const profileFlags =
      profileDir === undefined
        ? []
        : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`, `--cpu-prof-name=${id}-${this.#lives}.cpuprofile`];
    const words = [
      // As `logdrive dev` starts its nodes.
      ...[
        '--max-semi-space-size=4',
        ...profileFlags,
        builtEntry(),
        'serve',
        '--supervised',
        '--node-id',
        id,
        '--data-dir',
        dataDir,
      ],
      ...['--listen', this.address, '--peer-listen', `127.0.0.1:${peerPort}`],
      ...(peers === '' ? [] : ['--peers', peers]),
      ...['--bootstrap', '--log-level', 'warn', '--log-pretty', 'no', ...flags],
    ];
    const child = spawn(process.execPath, words, {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // A group of its own: Ctrl-C reaches the bench alone, which then ends the node in its own way.
      detached: true,
      env: { ...ENVIRONMENT, ...process.env },
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#log = (this.#log + chunk.toString()).slice(-LOG_CHARS_KEPT);
      });
    }
    // Not asked for at its port: there, another process could answer.
    this.#saidReady = new Promise((resolve) => {
      child.on('message', (message: { readonly kind: string }) => {
        if (message.kind === 'ready') resolve();
      });
    });
    this.#ended = new Promise((resolve) => {
      child.on('close', (code, signal) => {
        this.#child = undefined;
        this.#log += `\n(${id} ended with ${signal ?? `code ${code}`})`;
        resolve();
      });
      child.on('error', (error) => {
        this.#log += `\n${error.message}`;
      });
    });
  }

  /** Resolves when it serves and sees a majority. @throws with what it wrote when it ended or took too long. */
  async ready(timeoutMs = 20_000): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve(`it was not ready within ${timeoutMs} ms`), timeoutMs);
    });
    const ended = this.#ended.then(() => 'it ended');
    const trouble = await Promise.race([this.#saidReady, late, ended]);
    clearTimeout(timer);
    if (trouble === undefined) return;
    throw new Error(`${this.id} could not be started on ${this.address}: ${trouble}. It wrote: ${this.#log.trim()}`);
  }

  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await this.#ended;
  }

  /** For good: whoever has just killed it for a measurement cannot start it again. */
  async end(): Promise<void> {
    this.#isOver = true;
    // A profile is only written by a process that ends in order.
    await (this.#options.profileDir === undefined ? this.kill() : this.#stop());
  }

  /** SIGTERM, and SIGKILL when the drain takes too long. */
  async #stop(): Promise<void> {
    this.#child?.kill('SIGTERM');
    const timer = setTimeout(() => this.#child?.kill('SIGKILL'), DRAIN_MS_MAX);
    await this.#ended;
    clearTimeout(timer);
  }

  sample(): Promise<ProcessSample> {
    return sampleProcess(this.pid);
  }

  scrape(): Promise<Scrape> {
    return scrape(this.address);
  }

  /** Asks this node over HTTP. */
  async get(path: string): Promise<unknown> {
    const answer = await fetch(`http://${this.address}${path}`);
    if (!answer.ok) throw new Error(`${this.id} answered ${path} with ${answer.status}: ${await answer.text()}`);
    return answer.json();
  }
}
