/** Processor time and memory of a process by its pid, as the Linux kernel tells them. */
import { readdir, readFile } from 'node:fs/promises';

export interface ProcessSample {
  readonly atMs: number;
  readonly cpuSeconds: number;
  readonly rssBytes: number;
  readonly rssBytesPeak: number;
}

/** Ticks of /proc: fixed at 100 a second on every Linux that Node runs on. */
const CLOCK_TICKS_PER_SECOND = 100;

export async function sampleProcess(pid: number): Promise<ProcessSample> {
  const [stat, status] = await Promise.all([
    readFile(`/proc/${pid}/stat`, 'utf8'),
    readFile(`/proc/${pid}/status`, 'utf8'),
  ]);
  return { atMs: performance.now(), cpuSeconds: cpuSecondsOf(stat), ...memoryOf(status) };
}

/** All processes of a group together, for servers that are scripts with what they start. Peaks are added up, too. */
export async function sampleGroup(groupId: number): Promise<ProcessSample> {
  const sum = { cpuSeconds: 0, rssBytes: 0, rssBytesPeak: 0 };
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (groupIdOf(await readFile(`/proc/${name}/stat`, 'utf8')) !== groupId) continue;
      const sample = await sampleProcess(Number(name));
      sum.cpuSeconds += sample.cpuSeconds;
      // A process that has ended but was not waited for has no memory.
      sum.rssBytes += sample.rssBytes || 0;
      sum.rssBytesPeak += sample.rssBytesPeak || 0;
    } catch (error) {
      // It ended between two looks; ESRCH comes of reading a file that was opened in time.
      if (!['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
  return { atMs: performance.now(), ...sum };
}

export function groupIdOf(stat: string): number {
  // pgrp is field 5 of the whole, the state is field 3.
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]);
}

/** The name of the process is the second field and may hold blanks and brackets: fields are counted after it. */
export function cpuSecondsOf(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // utime and stime are fields 14 and 15 of the whole, the state is field 3.
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_SECOND;
}

export function memoryOf(status: string): { rssBytes: number; rssBytesPeak: number } {
  const kib = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN);
  return { rssBytes: kib('VmRSS') * 1024, rssBytesPeak: kib('VmHWM') * 1024 };
}
