/**
 * Build step: bundles the command line over what tsc put there, as dist/bin/logdrive.js and one chunk a command in
 * dist/bin/chunks. A node is three hundred small modules otherwise, its dependencies included, and finding and
 * compiling them took two thirds of the processor time from `npm start` to the first acknowledgement
 * (docs/performance.md).
 *
 * The library (dist/src, dist/storage) is not touched, and what a bundle cannot hold stays outside: native code.
 */
import { rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** Dependencies of CommonJS kind call require() for Node's own modules; an ES module has to make one. */
const REQUIRE =
  "import { createRequire as createRequireOfBundle } from 'node:module'; const require = createRequireOfBundle(import.meta.url);";

const root = fileURLToPath(new URL('../../', import.meta.url));
// Names of chunks carry a hash: those of builds before would pile up.
await rm(`${root}dist/bin/chunks`, { recursive: true, force: true });
await build({
  absWorkingDir: root,
  // The crash lab is a program of its own: it is made of test code, which the command line may not know.
  entryPoints: { logdrive: 'bin/logdrive.ts', 'crash-lab': 'test/crash-lab/main.ts' },
  outdir: 'dist/bin',
  chunkNames: 'chunks/[name]-[hash]',
  bundle: true,
  // Each command stays a module that is loaded when it is run.
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  external: ['@node-rs/crc32'],
  banner: { js: REQUIRE },
  sourcemap: true,
  // Licences of what is bundled stay with it.
  legalComments: 'eof',
  logLevel: 'warning',
});
