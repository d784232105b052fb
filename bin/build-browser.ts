/**
 * Build step: bundles the client for browsers into dist/browser/client.js, one minified ES module that imports nothing,
 * with a source map. Refuses a bundle that a strict content policy would refuse (eval, new Function) or that still
 * imports something, and prints what it weighs. Runs after tsc, as dist/bin/build-browser.js; tests call the function.
 */
import { realpathSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build, type Plugin } from 'esbuild';

/** What no page with a strict content policy lets run. */
const FORBIDDEN = /\beval\s*\(|\bnew\s+Function\b|[^.\w]Function\s*\(/;

export interface BrowserBundle {
  readonly bytes: number;
  readonly gzipBytes: number;
}

/**
 * protobufjs brings a class for 64-bit integers along; schema.ts reads and writes them as numbers and never needs it.
 */
const withoutLong: Plugin = {
  name: 'without-long',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^long$/ }, () => ({ path: 'long', namespace: 'left-out' }));
    onLoad({ filter: /^long$/, namespace: 'left-out' }, () => ({ contents: 'module.exports = undefined;' }));
  },
};

/**
 * @param at root: the folder of package.json; outFile: where client.js goes. @throws Error for a bundle pages refuse.
 */
export async function buildBrowserClient(at: {
  readonly root: string;
  readonly outFile: string;
}): Promise<BrowserBundle> {
  const result = await build({
    absWorkingDir: at.root,
    entryPoints: ['src/client/browser.ts'],
    outfile: at.outFile,
    bundle: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    minify: true,
    sourcemap: true,
    legalComments: 'none',
    metafile: true,
    plugins: [withoutLong],
    logLevel: 'warning',
  });
  const output = Object.entries(result.metafile.outputs).find(([path]) => path.endsWith('.js'))?.[1];
  const imports = output?.imports.map(({ path }) => path) ?? [];
  if (imports.length > 0) throw new Error(`the browser client still imports ${imports.join(', ')}`);
  const code = await readFile(at.outFile, 'utf8');
  const forbidden = FORBIDDEN.exec(code);
  if (forbidden !== null) throw new Error(`the browser client contains "${forbidden[0]}" at ${forbidden.index}`);
  return { bytes: Buffer.byteLength(code), gzipBytes: gzipSync(code, { level: 9 }).length };
}

const kib = (bytes: number): string => `${(bytes / 1024).toFixed(1)} KiB`;

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const { bytes, gzipBytes } = await buildBrowserClient({ root, outFile: `${root}dist/browser/client.js` });
  process.stdout.write(`dist/browser/client.js ${kib(bytes)}, ${kib(gzipBytes)} gzipped\n`);
}
