/**
 * The words of the table "What survives what": for one fault, what is kept when it strikes so many nodes, and who says
 * so.
 */

export const STRUCK = ['one of three', 'a majority', 'all'] as const;
/** How many nodes at once. */
export type Struck = (typeof STRUCK)[number];

/** A test by its file and title, as both are written in the source. */
export interface HeldBy {
  readonly file: string;
  readonly title: string;
}

export interface Cell {
  readonly kept: string;
  /** Tests that strike exactly so many nodes with this fault; or why there are none. */
  readonly tests: readonly HeldBy[] | { readonly none: string };
  /** Faults of the lab that strike this way, by name. */
  readonly lab?: readonly string[];
  /** Faults of the simulator that strike this way, by name. */
  readonly sim?: readonly string[];
}

export interface SurvivalRow {
  readonly fault: string;
  readonly cells: Readonly<Record<Struck, Cell>>;
}

export function held(file: string, ...titles: readonly string[]): HeldBy[] {
  return titles.map((title) => ({ file, title }));
}
