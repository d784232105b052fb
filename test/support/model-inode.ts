/**
 * A file of a model disk: what a process sees of it, what was flushed, what was written since, and what a crash may
 * leave of that.
 */
import { createHash } from 'node:crypto';
import { PAGE_BYTES } from '../../storage/disk.ts';

/** What becomes of something that may survive in several ways: one of 0 .. count - 1. */
export type Choose = (count: number) => number;

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

/** What files are filled with ahead of their data: pages of one byte, which all files share. */
const UNIFORM_PAGES: readonly Uint8Array[] = [0x00, 0xff].map((byte) => new Uint8Array(PAGE_BYTES).fill(byte));
const ZEROS = UNIFORM_PAGES[0]!;

function pageOf(whole: Uint8Array): Uint8Array {
  for (const page of UNIFORM_PAGES) if (whole[0] === page[0] && Buffer.compare(whole, page) === 0) return page;
  const page = newPage();
  page.set(whole);
  return page;
}

/**
 * Its two tables of pages may be shared with other files and with each other, and are copied before they are changed;
 * pages are never changed. So a copy, a flush and a survivor of a file that nothing was written to cost nothing.
 */
export class Inode {
  /** What a process sees. */
  #pages: Pages = new Map();
  #ownsPages = true;
  bytes = 0;
  /** What a crash cannot take away. */
  #durablePages: Pages = new Map();
  #ownsDurable = true;
  #durableBytes = 0;
  /** Versions written since the last flush, oldest first. */
  #unflushed: { readonly page: number; readonly content: Uint8Array }[] = [];
  #unflushedBytes: number[] = [];
  /** What is left of it by every crash, as long as nothing waits to be flushed. */
  #settled: Inode | undefined;
  /** One that is the same and is described for both. */
  #twin: Inode | undefined;
  #description: string | undefined;

  get pages(): ReadonlyMap<number, Uint8Array> {
    return this.#pages;
  }

  writePage(page: number, inPage: number, part: Uint8Array): void {
    const old = part.length < PAGE_BYTES ? this.#pages.get(page) : undefined;
    const content = part.length < PAGE_BYTES ? newPage() : pageOf(part);
    if (old !== undefined) content.set(old);
    if (part.length < PAGE_BYTES) content.set(part, inPage);
    this.#changePages().set(page, content);
    this.#unflushed.push({ page, content });
  }

  /** A write went on to there: the file is that long at least. */
  growTo(bytes: number): void {
    if (bytes <= this.bytes) return;
    this.bytes = bytes;
    this.#unflushedBytes.push(bytes);
    this.#changed();
  }

  resize(bytes: number): void {
    if (bytes < this.bytes) this.#cut(bytes);
    this.bytes = bytes;
    this.#unflushedBytes.push(bytes);
    this.#changed();
  }

  /** A page beyond the size is not there; the part of the last page beyond it reads as zeros once the file grows. */
  #cut(bytes: number): void {
    const keep = Math.ceil(bytes / PAGE_BYTES);
    const beyond = [...this.#pages.keys()].filter((page) => page >= keep);
    if (beyond.length > 0) {
      const pages = this.#changePages();
      for (const page of beyond) pages.delete(page);
    }
    const last = this.#pages.get(keep - 1);
    if (last === undefined || bytes % PAGE_BYTES === 0) return;
    const zeroed = last.slice();
    zeroed.fill(0, bytes % PAGE_BYTES);
    this.#changePages().set(keep - 1, zeroed);
    this.#unflushed.push({ page: keep - 1, content: zeroed });
  }

  /** Everything written so far is durable. */
  flush(): void {
    this.#durablePages = this.#pages;
    this.#ownsPages = false;
    this.#ownsDurable = false;
    this.#durableBytes = this.bytes;
    this.forgetUnflushed();
  }

  /** The pages [first, last] are durable, and a size that holds them. */
  flushPages(first: number, last: number, end: number): void {
    if (!this.#ownsDurable) this.#durablePages = new Map(this.#durablePages);
    this.#ownsDurable = true;
    for (let page = first; page <= last; page++) {
      const content = this.#pages.get(page);
      if (content !== undefined) this.#durablePages.set(page, content);
    }
    this.#durableBytes = Math.max(this.#durableBytes, end);
    this.#unflushed = this.#unflushed.filter(({ page }) => page < first || page > last);
    // Sizes of before that could not hold them are out of the question.
    this.#unflushedBytes = this.#unflushedBytes.filter((bytes) => bytes >= end);
    this.#changed();
  }

  forgetUnflushed(): void {
    this.#unflushed = [];
    this.#unflushedBytes = [];
    this.#changed();
  }

  /** Other content, durable at once. */
  replace(bytes: Uint8Array): void {
    const pages: Pages = new Map();
    for (let page = 0; page * PAGE_BYTES < bytes.length; page++) {
      const content = newPage();
      content.set(bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES));
      pages.set(page, content);
    }
    this.#pages = pages;
    this.bytes = bytes.length;
    this.flush();
  }

  /** As it is now. */
  copy(): Inode {
    const copy = new Inode();
    this.#ownsPages = false;
    this.#ownsDurable = false;
    copy.#pages = this.#pages;
    copy.#ownsPages = false;
    copy.bytes = this.bytes;
    copy.#durablePages = this.#durablePages;
    copy.#ownsDurable = false;
    copy.#durableBytes = this.#durableBytes;
    copy.#unflushed = [...this.#unflushed];
    copy.#unflushedBytes = [...this.#unflushedBytes];
    copy.#settled = this.#isSettled ? this.#settle() : undefined;
    return copy;
  }

  /** One of the states a crash may leave. */
  survivor(choose: Choose): Inode {
    const bytes = pick(choose, [this.#durableBytes, ...this.#unflushedBytes]);
    if (!this.#isSettled) return Inode.#left(this.#survivingPages(choose), true, bytes);
    const settled = this.#settle();
    const after = settled.copy();
    after.#twin = settled;
    return after;
  }

  get #isSettled(): boolean {
    return this.#unflushed.length === 0 && this.#unflushedBytes.length === 0;
  }

  #settle(): Inode {
    this.#ownsDurable = false;
    this.#settled ??= Inode.#left(this.#durablePages, false, this.#durableBytes);
    return this.#settled;
  }

  #survivingPages(choose: Choose): Pages {
    const versions = new Map<number, Uint8Array[]>();
    for (const { page, content } of this.#unflushed) {
      const written = versions.get(page);
      if (written === undefined) versions.set(page, [content]);
      else written.push(content);
    }
    const pages: Pages = new Map(this.#durablePages);
    for (const [page, written] of versions) {
      // Half the time a page is as if never written: otherwise pages with many versions would nearly always survive.
      if (choose(2) === 0) pages.set(page, pick(choose, written));
      else pages.set(page, this.#durablePages.get(page) ?? ZEROS);
    }
    return pages;
  }

  /** A file of that size with what is left of these pages, all of it durable. */
  static #left(pages: Pages, owns: boolean, bytes: number): Inode {
    const after = new Inode();
    after.#pages = pages;
    after.#ownsPages = owns;
    after.#cut(bytes);
    after.bytes = bytes;
    after.flush();
    return after;
  }

  /** Equal for equal sizes and contents of each page, and no others. */
  get description(): string {
    this.#description ??= this.#twin?.description ?? describePages(this.#pages, this.bytes);
    return this.#description;
  }

  #changePages(): Pages {
    if (!this.#ownsPages) this.#pages = new Map(this.#pages);
    this.#ownsPages = true;
    this.#changed();
    return this.#pages;
  }

  #changed(): void {
    this.#settled = undefined;
    this.#twin = undefined;
    this.#description = undefined;
  }
}

function describePages(pages: Pages, bytes: number): string {
  const parts = [...pages].sort(([a], [b]) => a - b).map(([page, content]) => `${page}:${digestOf(content)}`);
  return `${bytes}[${parts}]`;
}

function pick<T>(choose: Choose, choices: readonly T[]): T {
  return choices[choose(choices.length)]!;
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

export function readPages(inode: Inode, position: number, into: Uint8Array): number {
  const count = Math.max(0, Math.min(into.length, inode.bytes - position));
  for (let done = 0; done < count; ) {
    const inPage = (position + done) % PAGE_BYTES;
    const part = Math.min(PAGE_BYTES - inPage, count - done);
    const page = inode.pages.get(Math.floor((position + done) / PAGE_BYTES)) ?? ZEROS;
    into.set(part === PAGE_BYTES ? page : page.subarray(inPage, inPage + part), done);
    done += part;
  }
  return count;
}
