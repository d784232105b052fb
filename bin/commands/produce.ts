/**
 * `logdrive produce`: each line of stdin is one record, byte for byte, split at \n alone. The producer of the SDK does
 * the rest: batches, retries, order, exactly one copy.
 *
 * A line over the limit is named on stderr with its number and left out; every other line, before and after it, is
 * appended in order; the exit code is 2 then. An interrupt ends the input: whole lines read until then are appended.
 */
import { fstatSync } from 'node:fs';
import { type Client, LogError } from '../../src/client/index.ts';
import { RECORD_BYTES_MAX } from '../../src/protocol/index.ts';
import { CLIENT_FLAGS, type Command, type Invocation } from '../command.ts';
import { EXIT_INTERRUPTED, EXIT_USAGE, ExitError, errorDocument } from '../exit.ts';
import { type LineCounts, LineRecords } from '../line-records.ts';
import { withClient } from '../open-client.ts';
import { formatBytes, formatRate, groupDigits, renderDocument } from '../output.ts';
import { parseCount, parseHeader, unescapeBytes } from '../values.ts';

const PROGRESS_PERIOD_MS = 200;
/** Oversized lines named one by one; the rest is only counted, so that a wrong file does not flood the terminal. */
const COMPLAINTS_MAX = 20;

export const produce: Command = {
  usage: 'produce <topic>',
  flags: {
    ...CLIENT_FLAGS,
    'key-separator': {
      kind: 'text',
      short: 'k',
      sentence: 'Splits the key off each line at its first occurrence; \\t and \\xHH are understood.',
      placeholder: 'SEP',
    },
    header: {
      kind: 'list',
      short: 'H',
      sentence: 'A header for every record; may be repeated.',
      placeholder: 'NAME=VALUE',
    },
    partition: { kind: 'text', short: 'p', sentence: 'Default: by key, else in turn.', placeholder: 'N' },
    create: { kind: 'switch', sentence: 'Create the topic when there is none.' },
  },
  examples: [['$0 produce orders --create -k : < orders.txt', 'lines such as 4711:{"item":1}']],
  run: (invocation) => withClient(invocation, (client) => runProduce(invocation, client)),
};
