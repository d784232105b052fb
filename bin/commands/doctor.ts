/**
 * `logdrive doctor`: judges a machine as the home of a node, before a node lives there or beside one: disk, file
 * system, clock, processor, limits. Measures for a few seconds and writes one scratch file. Exit code 1 when a check
 * fails.
 */
import { resolve } from 'node:path';
import { NodeDisk } from '../../storage/index.ts';
import type { Command, Invocation } from '../command.ts';
import { checkClock } from '../doctor/clock-check.ts';
import { checkEventLoop } from '../doctor/event-loop-check.ts';
import { checkFileSystem } from '../doctor/file-system-check.ts';
import { type Finding, type Level, worstOf } from '../doctor/finding.ts';
import { checkFlush } from '../doctor/flush-check.ts';
import { checkMemory, checkOpenFiles, checkRuntime } from '../doctor/limits-check.ts';
import { type Readings, takeReadings } from '../doctor/readings.ts';
import { checkSpace } from '../doctor/space-check.ts';
import { type ProposedTimeouts, proposeTimeouts } from '../doctor/timeouts.ts';
import { EXIT_OTHER, ExitError, UsageError } from '../exit.ts';
import { renderDocument } from '../output.ts';
import { parseCount, parseDurationMs } from '../values.ts';

const DURATION_MS_MIN = 100;
const DURATION_MS_MAX = 60_000;

export const doctor: Command = {
  usage: 'doctor',
  flags: {
    'data-dir': { kind: 'text', sentence: 'The directory of the node.', placeholder: 'DIR', defaultText: '.' },
    duration: {
      kind: 'text',
      sentence: 'How long each of three things is watched.',
      placeholder: 'D',
      defaultText: '3s',
    },
    'election-ms-min': {
      kind: 'text',
      sentence: 'raft.electionMsMin of the node, against which stalls are judged.',
      placeholder: 'MS',
      defaultText: '200',
    },
  },
  examples: [['$0 doctor --data-dir /var/lib/logdrive', 'before the first node starts there']],
  run: examine,
};

export interface Diagnosis {
  readonly directory: string;
  readonly verdict: Level;
  readonly findings: readonly Finding[];
  readonly timeouts: ProposedTimeouts;
  readonly readings: Readings;
}

/** All checks on what was read. */
export function diagnose(directory: string, readings: Readings, electionMsMin: number): Diagnosis {
  const findings = [
    checkFileSystem(readings.fileSystem),
    checkFlush(readings.flush),
    checkSpace(readings.space),
    checkClock(readings.clock),
    checkEventLoop({ ...readings.eventLoop, electionMsMin }),
    checkOpenFiles(readings.openFiles),
    checkMemory(readings.memory),
    ...checkRuntime(readings.runtime),
  ];
  const { flush, eventLoop } = readings;
  const timeouts = proposeTimeouts({ flushMs: flush.durableWrite.p999Ms, stallMs: eventLoop.maxMs });
  return { directory, verdict: worstOf(findings), findings, timeouts, readings };
}

async function examine(invocation: Invocation): Promise<void> {
  const { terminal, output } = invocation;
  const directory = resolve(invocation.text('data-dir')!);
  const durationMs = parseDurationMs('--duration', invocation.text('duration')!);
  if (durationMs < DURATION_MS_MIN || durationMs > DURATION_MS_MAX) {
    throw new UsageError(`--duration wants ${DURATION_MS_MIN}ms to ${DURATION_MS_MAX / 1e3}s`);
  }
  const electionMsMin = parseCount('--election-ms-min', invocation.text('election-ms-min')!, 1);
  if ((await new NodeDisk().stat(directory))?.kind !== 'directory')
    throw new UsageError(`${directory} is no directory`);
  terminal.say(`Watching this machine and the disk of ${directory} for ${Math.ceil((3 * durationMs) / 1e3)} s.`);
  const diagnosis = diagnose(directory, await takeReadings(directory, durationMs), electionMsMin);
  terminal.out.writeText(renderDocument(output, diagnosis, () => describe(diagnosis)));
  if (diagnosis.verdict === 'failure') throw new ExitError(EXIT_OTHER);
}

function describe({ findings, timeouts }: Diagnosis): string {
  const lines = findings.flatMap(({ check, level, found, advice }) => {
    const line = `${level.padEnd(8)} ${check}: ${found}`;
    return advice === undefined ? [line] : [line, `         ${advice}`];
  });
  const { heartbeatMs, electionMsMin, electionMsMax, why } = timeouts;
  const election = `--raft-election-ms-min ${electionMsMin} --raft-election-ms-max ${electionMsMax}`;
  const flags = `--raft-heartbeat-ms ${heartbeatMs} ${election}`;
  return `${[...lines, `timeouts ${flags}`, `         ${why}`].join('\n')}\n`;
}
