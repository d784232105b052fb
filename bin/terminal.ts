/**
 * The two ways out of a command: data goes to stdout through a sink with backpressure, talk goes to stderr. Colour and
 * progress are for a terminal only; NO_COLOR (https://no-color.org) and --no-color switch colour off.
 */
import type { Writable } from 'node:stream';
import type { ByteSink } from './byte-sink.ts';

export interface TalkStream extends Writable {
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface TerminalOptions {
  readonly isColoured: boolean;
  readonly isQuiet: boolean;
  readonly isVerbose: boolean;
}

export class Terminal {
  readonly out: ByteSink;
  readonly #talk: TalkStream;
  readonly #options: TerminalOptions;
  /** True while the last line of the terminal is a progress line, to be written over. */
  #hasProgress = false;

  constructor(out: ByteSink, talk: TalkStream, options: TerminalOptions) {
    this.out = out;
    this.#talk = talk;
    this.#options = options;
    // Nobody listens to the talk any more: the work itself goes on.
    talk.on('error', () => undefined);
  }

  get showsProgress(): boolean {
    return this.#talk.isTTY === true && !this.#options.isQuiet;
  }

  get isVerbose(): boolean {
    return this.#options.isVerbose;
  }

  /** A line for people, on stderr; silenced by --quiet. */
  say(line: string): void {
    if (!this.#options.isQuiet) this.complain(line);
  }

  /** A line only --verbose asks for. */
  detail(line: string): void {
    if (this.#options.isVerbose) this.complain(line);
  }

  /** A line about something wrong: never silenced. */
  complain(line: string): void {
    this.clearProgress();
    this.#talk.write(`${line}\n`);
  }

  /** Replaces the progress line. */
  progress(line: string): void {
    if (!this.showsProgress) return;
    this.#talk.write(`\r\u001b[2K${line.slice(0, (this.#talk.columns ?? 80) - 1)}`);
    this.#hasProgress = true;
  }

  clearProgress(): void {
    if (this.#hasProgress) this.#talk.write('\r\u001b[2K');
    this.#hasProgress = false;
  }

  bold(text: string): string {
    return this.#options.isColoured && this.#talk.isTTY === true ? `\u001b[1m${text}\u001b[22m` : text;
  }
}
