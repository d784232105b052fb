/**
 * What lies in the data directory of a node of the lab, as faults need to know it: segments, what is written, what not.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspectDirectory, NodeDisk } from '../../storage/index.ts';

/** Numbers of the logs of the two topics, in the order in which the lab makes them; the catalog is 0. */
export const TOPIC_LOG = 1;
export const KEYS_LOG = 2;

/** Of that log, oldest first; the last one is the active one. */
export async function segmentsOf(dataDir: string, log: number): Promise<string[]> {
  const path = logPath(dataDir, log);
  const names = await readdir(path).catch(() => []);
  return names
    .filter((name) => name.endsWith('.segment'))
    .sort()
    .map((name) => join(path, name));
}

/** Bytes of all segments up to the last one that is not zero: files grow ahead of what is written. */
export async function writtenBytes(dataDir: string, log: number): Promise<number> {
  let sum = 0;
  for (const file of await segmentsOf(dataDir, log)) {
    sum += (await readFile(file)).findLastIndex((byte) => byte !== 0) + 1;
  }
  return sum;
}

/** Segment files that the manifest does not list: something is being written that does not count yet. */
export async function unlistedSegments(dataDir: string, log: number): Promise<string[]> {
  const { logs } = await inspectDirectory(new NodeDisk(), dataDir);
  const listed = new Set(logs.find(({ groupId }) => groupId === log)?.segments.map(({ path }) => path));
  return (await segmentsOf(dataDir, log)).filter((file) => !listed.has(file));
}

function logPath(dataDir: string, log: number): string {
  return join(dataDir, 'logs', String(log).padStart(10, '0'));
}
