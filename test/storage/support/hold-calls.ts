/** Calls of a disk that take as long as a test wants, so that something else can happen meanwhile. */
import type { Call, ModelDisk } from '../../support/model-disk.ts';

/** Keeps calls of a kind on paths that end so from beginning, until they are released. */
export function holdCalls(
  disk: ModelDisk,
  held: Call['kind'],
  suffix: string,
): { waiting: number; begun: string[]; release(): void } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const calls = { waiting: 0, begun: [] as string[], release: () => open() };
  const enter = disk.enter.bind(disk);
  disk.enter = async (kind, path, begin) => {
    if (kind === held && path.endsWith(suffix)) {
      calls.waiting++;
      await opened;
    }
    if (kind === held) calls.begun.push(path);
    return enter(kind, path, begin);
  };
  return calls;
}
