/**
 * What a scenario is to the runner: a name, a sentence, numbers one may set, and a function that measures. A scenario
 * prints nothing and cleans nothing up by itself: it says lines and defers ends through its context.
 */
import type { Cleanup } from './cleanup.ts';
import type { Machine } from './machine.ts';
import type { Measurement } from './result.ts';

export interface OptionSpec {
  readonly default: number;
  readonly least: number;
  /** With unit and meaning. */
  readonly sentence: string;
}

export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

/** An option that is no number. It is not kept with the result: what it changed must show in the figures. */
export interface TextSpec {
  readonly default: string;
  readonly sentence: string;
  /** @throws when it cannot be meant. */
  check?(text: string): void;
}

export type OptionValues<S extends OptionSpecs> = { readonly [K in keyof S]: number };

export interface BenchContext {
  /** An empty directory on the disk under test; removed afterwards. */
  readonly dir: string;
  readonly machine: Machine;
  readonly cleanup: Cleanup;
  /** Node processes write their CPU profiles there. */
  readonly profileDir: string | undefined;
  /** One line about what goes on. */
  say(line: string): void;
}

export interface Scenario<S extends OptionSpecs = OptionSpecs> {
  readonly name: string;
  readonly sentence: string;
  readonly options: S;
  readonly texts?: Readonly<Record<string, TextSpec>>;
  run(context: BenchContext, options: OptionValues<S>, texts: Readonly<Record<string, string>>): Promise<Measurement>;
}

/** Ties the options a scenario declares to those its function receives. */
export function defineScenario<const S extends OptionSpecs>(scenario: Scenario<S>): Scenario {
  return scenario as unknown as Scenario;
}

/** Repeat 0 does not count: it runs in cold code. */
export function nameOfRepeat(repeat: number): string {
  return repeat === 0 ? 'warm-up' : `repeat ${repeat}`;
}

/** @throws RangeError that names the option. */
export function optionValues(
  specs: OptionSpecs,
  given: Readonly<Record<string, string | undefined>>,
): Record<string, number> {
  const values: Record<string, number> = {};
  for (const [name, { default: standard, least }] of Object.entries(specs)) {
    const text = given[name];
    const value = text === undefined ? standard : Number(text);
    if (text?.trim() === '' || !Number.isFinite(value) || value < least) {
      throw new RangeError(`--${name} wants a number of at least ${least}, not ${text}`);
    }
    values[name] = value;
  }
  return values;
}
