#!/usr/bin/env node
/**
 * The executable. Sets what must stand before the first ES module is loaded, then hands over to logdrive.js.
 *
 * Thread pool: loading a module already uses it; with the default of four threads, flushes of four logs would leave
 * none for a read.
 *
 * Garbage collector, for a node only: what it receives lies outside the JavaScript heap but counts against the heap's
 * limit, which is small because the heap is. With V8's defaults a third of a loaded node is spent marking that heap
 * (docs/performance.md); letting it grow further between two markings gives most of that back.
 */
const v8 = require('node:v8') as typeof import('node:v8');

process.env.UV_THREADPOOL_SIZE ??= '12';
if (process.argv[2] === 'serve') {
  v8.setFlagsFromString('--heap-growing-percent=200');
}
void import('./logdrive.ts');
