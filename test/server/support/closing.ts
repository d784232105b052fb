/** What a test opened is closed after it, the last first: `afterEach(closeAll)`. */
const closers: (() => Promise<void> | void)[] = [];

export function closeLater(close: () => Promise<void> | void): void {
  closers.push(close);
}

export async function closeAll(): Promise<void> {
  for (const close of closers.splice(0).reverse()) await close();
}
