import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { describe, expect, test } from 'vitest';

/** The room as a browser would load it. */
async function bundle(): Promise<string> {
  const result = await build({
    entryPoints: [new URL('../../src/protocol/index.ts', import.meta.url).pathname],
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    write: false,
    logLevel: 'silent',
  });
  expect(result.warnings).toEqual([]);
  return result.outputFiles[0]!.text;
}

describe('the protocol in a browser', () => {
  test('bundles without a module of Node and without making code from text', async () => {
    const text = await bundle();
    expect(text).not.toMatch(/["']node:|\beval\b|new Function\b|\bFunction\(|\brequire\("/);
    const gzipBytes = gzipSync(text).length;
    // Protobuf code makes most of it. A jump means that something big came in by accident.
    expect(gzipBytes).toBeLessThan(36 * 1024);
  });

  test('works where there is no Buffer', async () => {
    const text = await bundle();
    const url = `data:text/javascript,${encodeURIComponent(text)}`;
    const hidden = globalThis.Buffer;
    try {
      Reflect.deleteProperty(globalThis, 'Buffer');
      const room = (await import(/* @vite-ignore */ url)) as typeof import('../../src/protocol/index.ts');
      const message = { kind: 'ping', nonce: 2 ** 53 - 1 } as const;
      const frame = room.decodeFrame(room.encodeFrame(0, message)[0]!);
      expect(frame).toEqual({ channel: 0, message, payload: new Uint8Array(0) });
    } finally {
      globalThis.Buffer = hidden;
    }
  });
});
