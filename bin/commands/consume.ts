/**
 * `logdrive consume`: the records of one partition to stdout, from where it is told, for as long as it is told. What is
 * written waits for whoever reads stdout, and through the credit of the subscription the node waits too.
 *
 * With one server given it reads from exactly that node; the client does not look for others then.
 */
import type { Client, LogRecord, Subscription } from '../../src/client/index.ts';
import { CLIENT_FLAGS, type Command, type Invocation } from '../command.ts';
import { EXIT_INTERRUPTED, ExitError, UsageError } from '../exit.ts';
import { withClient } from '../open-client.ts';
import { jsonFormat, parseRecordFormat, type RecordFormat, rawFormat } from '../record-format.ts';
import { parseCount, parseStartPlace } from '../values.ts';
