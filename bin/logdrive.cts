#!/usr/bin/env node
/**
 * The executable. Sizes libuv's thread pool before the first thread is used, which loading an ES module already does:
 * with the default of four, flushes of four logs would leave no thread for a read. Then hands over to logdrive.js.
 */
process.env.UV_THREADPOOL_SIZE ??= '12';
void import('./logdrive.ts');
