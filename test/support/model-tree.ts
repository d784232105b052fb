/**
 * The directories of a model disk: what a process sees of them, what was flushed, and what was changed since; and the
 * trees a crash may make of that and of the files in them (model-inode.ts). Who is asked for what survives is given
 * (`Choose`): one draw after the other, or every sequence of draws there is.
 */
import type { Choose, Inode } from './model-inode.ts';

/** A small seeded generator (mulberry32): tests need spread, not secrecy. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

/** Runs `work` with every sequence of choices there is, each once, in order. */
export function* everyChoice<T>(work: (choose: Choose) => T): Generator<T> {
  const path: { at: number; readonly count: number }[] = [];
  for (;;) {
    let depth = 0;
    yield work((count) => {
      if (depth === path.length) path.push({ at: 0, count });
      return path[depth++]!.at;
    });
    while (path.length > 0 && path.at(-1)!.at === path.at(-1)!.count - 1) path.pop();
    if (path.length === 0) return;
    path.at(-1)!.at++;
  }
}

export class Directory {
  entries: Map<string, Inode | Directory> = new Map();
  durable: Map<string, Inode | Directory> = new Map();
  /** Each is one atomic change: names and what they are to point at. */
  unflushed: (readonly [string, Inode | Directory | undefined])[][] = [];

  change(...changes: (readonly [string, Inode | Directory | undefined])[]): void {
    apply(this.entries, changes);
    this.unflushed.push(changes);
  }

  flush(): void {
    this.durable = new Map(this.entries);
    this.unflushed = [];
  }

  /** As it is now. A file under several names, or under an old one that may come back, stays one file. */
  copy(copies: Map<Inode | Directory, Inode | Directory> = new Map()): Directory {
    const made = new Directory();
    copies.set(this, made);
    const copyOf = (node: Inode | Directory): Inode | Directory => {
      const known = copies.get(node);
      if (known !== undefined) return known;
      const copy = node instanceof Directory ? node.copy(copies) : node.copy();
      copies.set(node, copy);
      return copy;
    };
    for (const [name, node] of this.entries) made.entries.set(name, copyOf(node));
    for (const [name, node] of this.durable) made.durable.set(name, copyOf(node));
    made.unflushed = this.unflushed.map((changes) =>
      changes.map(([name, node]) => [name, node === undefined ? undefined : copyOf(node)] as const),
    );
    return made;
  }

  survivor(choose: Choose, copies: Map<Inode, Inode> = new Map()): Directory {
    const names = new Map(this.durable);
    for (const changes of this.unflushed) if (choose(2) === 0) apply(names, changes);
    const after = new Directory();
    for (const [name, node] of names) {
      if (node instanceof Directory) {
        after.entries.set(name, node.survivor(choose, copies));
        continue;
      }
      // One file under two names, as after half a rename would be, stays one file.
      const copy = copies.get(node) ?? node.survivor(choose);
      copies.set(node, copy);
      after.entries.set(name, copy);
    }
    after.flush();
    return after;
  }
}

function apply(
  entries: Map<string, Inode | Directory>,
  changes: readonly (readonly [string, Inode | Directory | undefined])[],
): void {
  for (const [name, node] of changes) {
    if (node === undefined) entries.delete(name);
    else entries.set(name, node);
  }
}

/** Equal for equal trees, and no others: names, sizes, and the content of each page. */
export function describeTree(directory: Directory): string {
  const parts: string[] = [];
  for (const [name, node] of [...directory.entries].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (node instanceof Directory) {
      parts.push(`${name}/(${describeTree(node)})`);
      continue;
    }
    parts.push(`${name}=${node.description}`);
  }
  return parts.join();
}

export function randomChoice(seed: number): Choose {
  const random = seededRandom(seed);
  return (count) => Math.floor(random() * count);
}
