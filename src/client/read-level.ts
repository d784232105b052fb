/** The level of a read as applications ask for it, and the tokens of level atLeast. */
import { LogError, parseReadLevel, parseReadToken, type ReadLevel, type ReadToken } from '../protocol/index.ts';

export type { ReadLevel };

export interface WantedLevel {
  readonly level: ReadLevel;
  readonly token: ReadToken | undefined;
}

/**
 * A token alone asks for atLeast.
 * @throws LogError UNSUPPORTED for an unknown level, INVALID for a token that is none or goes with another level.
 */
export function wantedLevel(level: ReadLevel | undefined, token: string | undefined, standard: ReadLevel): WantedLevel {
  const wanted = {
    level: level === undefined ? (token === undefined ? standard : 'atLeast') : parseReadLevel(level),
    token: token === undefined ? undefined : parseReadToken(token),
  };
  if ((wanted.level === 'atLeast') === (wanted.token !== undefined)) return wanted;
  throw new LogError('INVALID', `Level atLeast goes with a token, and a token with no other level, such as ${level}.`);
}

/**
 * As wantedLevel(), for a subscription to several partitions: each token speaks for its own, and partitions without one
 * are read at 'any'.
 */
export function wantedLevels(
  level: ReadLevel | undefined,
  tokens: readonly string[] | undefined,
): (partition: number) => WantedLevel {
  const byPartition = new Map(tokens?.map((text) => [parseReadToken(text).partition, text]));
  const isAtLeast = wantedLevel(level, tokens?.[0], 'any').level === 'atLeast';
  return (partition) => {
    const token = byPartition.get(partition);
    return wantedLevel(isAtLeast ? undefined : level, token, 'any');
  };
}
