/**
 * The files and directories of a model disk: what a process sees of them, what was flushed, and what was written since;
 * and the trees a crash may make of that. Who is asked for what survives is given (`Choose`): one draw after the other,
 * or every sequence of draws there is.
 */
import { createHash } from 'node:crypto';
import { PAGE_BYTES } from '../../storage/disk.ts';

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

/** What becomes of something that may survive in several ways: one of 0 .. count - 1. */
export type Choose = (count: number) => number;

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

type Pages = Map<number, Uint8Array>;

const SLAB_BYTES = 64 * PAGE_BYTES;
let slab = new Uint8Array(0);
let slabUsed = 0;

/** A page of zeros. Cut from slabs: a simulation writes hundreds of thousands, and small allocations of this kind are
 *  what costs most in them. A slab goes when its last page does. */
function newPage(): Uint8Array {
  if (slabUsed === slab.length) {
    slab = new Uint8Array(SLAB_BYTES);
    slabUsed = 0;
  }
  slabUsed += PAGE_BYTES;
  return slab.subarray(slabUsed - PAGE_BYTES, slabUsed);
}

export class Inode {
  /** What a process sees. */
  pages: Pages = new Map();
  bytes = 0;
  /** What a crash cannot take away. */
  durablePages: Pages = new Map();
  durableBytes = 0;
  /** Versions written since the last flush, oldest first. */
  unflushed: { page: number; content: Uint8Array }[] = [];
  unflushedBytes: number[] = [];

  writePage(page: number, inPage: number, part: Uint8Array): void {
    const content = newPage();
    const old = this.pages.get(page);
    if (old !== undefined && part.length < PAGE_BYTES) content.set(old);
    content.set(part, inPage);
    this.pages.set(page, content);
    this.unflushed.push({ page, content });
  }

  resize(bytes: number): void {
    if (bytes < this.bytes) {
      const keep = Math.ceil(bytes / PAGE_BYTES);
      for (const page of [...this.pages.keys()]) if (page >= keep) this.pages.delete(page);
      const last = this.pages.get(keep - 1);
      if (last !== undefined && bytes % PAGE_BYTES !== 0) {
        const zeroed = last.slice();
        zeroed.fill(0, bytes % PAGE_BYTES);
        this.pages.set(keep - 1, zeroed);
        this.unflushed.push({ page: keep - 1, content: zeroed });
      }
    }
    this.bytes = bytes;
    this.unflushedBytes.push(bytes);
  }

  /** Everything written so far is durable. */
  flush(): void {
    this.durablePages = new Map(this.pages);
    this.durableBytes = this.bytes;
    this.forgetUnflushed();
  }

  /** The pages [first, last] are durable, and a size that holds them. */
  flushPages(first: number, last: number, end: number): void {
    for (let page = first; page <= last; page++) {
      const content = this.pages.get(page);
      if (content !== undefined) this.durablePages.set(page, content);
    }
    this.durableBytes = Math.max(this.durableBytes, end);
    this.unflushed = this.unflushed.filter(({ page }) => page < first || page > last);
    // Sizes of before that could not hold them are out of the question.
    this.unflushedBytes = this.unflushedBytes.filter((bytes) => bytes >= end);
  }

  forgetUnflushed(): void {
    this.unflushed = [];
    this.unflushedBytes = [];
  }

  /** As it is now; pages are never changed and so are shared. */
  copy(): Inode {
    const copy = new Inode();
    copy.pages = new Map(this.pages);
    copy.bytes = this.bytes;
    copy.durablePages = new Map(this.durablePages);
    copy.durableBytes = this.durableBytes;
    copy.unflushed = [...this.unflushed];
    copy.unflushedBytes = [...this.unflushedBytes];
    return copy;
  }

  /** One of the states a crash may leave. */
  survivor(choose: Choose): Inode {
    const after = new Inode();
    const bytes = pick(choose, [this.durableBytes, ...this.unflushedBytes]);
    const versions = new Map<number, Uint8Array[]>();
    for (const { page, content } of this.unflushed) {
      versions.set(page, [...(versions.get(page) ?? []), content]);
    }
    const pages: Pages = new Map(this.durablePages);
    for (const [page, written] of versions) {
      const durable = this.durablePages.get(page) ?? new Uint8Array(PAGE_BYTES);
      // Half the time a page is as if never written: otherwise pages with many versions would nearly always survive.
      if (choose(2) === 0) pages.set(page, pick(choose, written));
      else pages.set(page, durable);
    }
    // A page beyond the size is not there; the part of the last page beyond it reads as zeros once the file grows.
    after.pages = pages;
    after.bytes = Number.MAX_SAFE_INTEGER;
    after.resize(bytes);
    after.flush();
    return after;
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

function pick<T>(choose: Choose, choices: readonly T[]): T {
  return choices[choose(choices.length)]!;
}

/** Equal for equal trees, and no others: names, sizes, and the content of each page. */
export function describeTree(directory: Directory): string {
  const parts: string[] = [];
  for (const [name, node] of [...directory.entries].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (node instanceof Directory) {
      parts.push(`${name}/(${describeTree(node)})`);
      continue;
    }
    const pages = [...node.pages].sort(([a], [b]) => a - b).map(([page, content]) => `${page}:${digestOf(content)}`);
    parts.push(`${name}=${node.bytes}[${pages}]`);
  }
  return parts.join();
}

/** A page is written once and shared by all trees it survives in. */
const digests = new WeakMap<Uint8Array, string>();

function digestOf(page: Uint8Array): string {
  let digest = digests.get(page);
  if (digest === undefined) {
    digest = createHash('sha1').update(page).digest('base64');
    digests.set(page, digest);
  }
  return digest;
}

export function randomChoice(seed: number): Choose {
  const random = seededRandom(seed);
  return (count) => Math.floor(random() * count);
}

export function readPages(inode: Inode, position: number, into: Uint8Array): number {
  const count = Math.max(0, Math.min(into.length, inode.bytes - position));
  for (let done = 0; done < count; ) {
    const inPage = (position + done) % PAGE_BYTES;
    const part = Math.min(PAGE_BYTES - inPage, count - done);
    const page = inode.pages.get(Math.floor((position + done) / PAGE_BYTES));
    if (page === undefined) into.fill(0, done, done + part);
    else into.set(page.subarray(inPage, inPage + part), done);
    done += part;
  }
  return count;
}
