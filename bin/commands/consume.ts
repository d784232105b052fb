/**
 * `logdrive consume`: the records of one partition to stdout, from where it is told, for as long as it is told. What is
 * written waits for whoever reads stdout, and through the credit of the subscription the node waits too.
 *
 * With one server given it reads from exactly that node; the client does not look for others then.
 */
import type { Client, ReadLevel, Subscription } from '../../src/client/index.ts';
import { CLIENT_FLAGS, type Command, type Invocation } from '../command.ts';
import { EXIT_INTERRUPTED, ExitError, UsageError } from '../exit.ts';
import { withClient } from '../open-client.ts';
import { jsonFormat, parseRecordFormat, type RecordFormat } from '../record-format.ts';
import { parseCount, parseReadLevels, parseStartPlace } from '../values.ts';

export const consume: Command = {
  usage: 'consume <topic>',
  flags: {
    ...CLIENT_FLAGS,
    offset: {
      kind: 'text',
      short: 'o',
      sentence: 'Where to start: earliest, latest, N, -N (the last N), @time (ISO date or ms since the epoch).',
      placeholder: 'START',
      defaultText: 'latest',
    },
    count: { kind: 'text', short: 'n', sentence: 'Stop after that many records.', placeholder: 'N' },
    'exit-at-tail': {
      kind: 'switch',
      short: 'e',
      sentence: 'Stop at the tail as it is now; else go on as records come.',
    },
    format: {
      kind: 'text',
      short: 'f',
      sentence: 'raw (value and line feed), or text with %o %k %s %t %p %T %h %S %K %% \\n \\t.',
      placeholder: 'FORMAT',
      defaultText: 'raw',
    },
    json: { kind: 'switch', sentence: 'One JSON document a line; also --output json or ndjson.' },
    level: {
      kind: 'text',
      sentence: 'How new what is read has to be: any, atLeast (with --token), linearizable, lease.',
      placeholder: 'LEVEL',
      defaultText: 'any',
    },
    token: {
      kind: 'text',
      sentence: 'With level atLeast, or by itself: what an append or a read gave, and is to be seen.',
      placeholder: 'TOKEN',
    },
    partition: { kind: 'text', short: 'p', sentence: 'Which partition.', placeholder: 'N', defaultText: '0' },
  },
  examples: [
    ['$0 consume orders -o earliest -e', 'everything there is'],
    ['$0 consume orders -o earliest -e --level linearizable', 'everything that was acknowledged before'],
    ["$0 consume orders -f '%o %k: %s\\n'", 'what comes from now on, with offset and key'],
  ],
  run: runConsume,
};

async function runConsume(invocation: Invocation): Promise<void> {
  const servers = invocation.text('server')!;
  const isOneServer = !servers.includes(',');
  // Parsed before anything is asked of a server: a typing error must not wait for a connection.
  const plan: Plan = {
    format: formatOf(invocation),
    from: parseStartPlace(invocation.text('offset')!),
    partition: parseCount('--partition', invocation.text('partition')!),
    countMax: invocation.text('count') === undefined ? undefined : parseCount('--count', invocation.text('count')!),
    isEnding: invocation.isOn('exit-at-tail'),
    ...parseReadLevels(
      invocation.given().level === undefined ? undefined : invocation.text('level'),
      invocation.text('token'),
    ),
  };
  const use = async (client: Client): Promise<void> => {
    if (invocation.terminal.isVerbose) await tellWhoServes(invocation, client, isOneServer);
    await consumeUntilInterrupt(invocation, client, plan);
  };
  await withClient(invocation, use, { discover: !isOneServer });
}

interface Plan {
  readonly format: RecordFormat;
  readonly from: ReturnType<typeof parseStartPlace>;
  readonly partition: number;
  readonly countMax: number | undefined;
  readonly isEnding: boolean;
  readonly level?: ReadLevel;
  readonly tokens?: readonly string[];
}

function formatOf(invocation: Invocation): RecordFormat {
  const wantsJson = invocation.isOn('json') || invocation.output !== 'table';
  if (wantsJson && invocation.given().format !== undefined)
    throw new UsageError('--format and JSON exclude each other');
  return wantsJson ? jsonFormat : parseRecordFormat(invocation.text('format')!);
}

/** One server, and no other is looked for: it is the one that serves. Else: whom the client connects to, as it does. */
async function tellWhoServes({ terminal }: Invocation, client: Client, isOneServer: boolean): Promise<void> {
  const events = client.events();
  const { nodeId } = await client.admin.cluster();
  terminal.detail(`logdrive: ${isOneServer ? 'served by' : 'connected to'} ${nodeId}`);
  const follow = async (): Promise<void> => {
    for await (const event of events) {
      if (event.kind === 'connected') terminal.detail(`logdrive: connected to ${event.node} (${event.url})`);
      if (event.kind === 'reconnecting') terminal.detail(`logdrive: lost ${event.node}: ${event.error.message}`);
    }
  };
  // Ends with the client.
  void follow();
}

async function consumeUntilInterrupt(invocation: Invocation, client: Client, plan: Plan): Promise<void> {
  if (plan.countMax === 0) return;
  const { from, partition, isEnding, level, tokens } = plan;
  const subscription = client.topic(invocation.words('topic')).subscribe({
    ...{ from, partitions: [partition] },
    ...(isEnding && { to: 'tail' as const }),
    ...(level !== undefined && { level }),
    ...(tokens !== undefined && { tokens }),
  });
  let isInterrupted = false;
  const onInterrupt = (): void => {
    isInterrupted = true;
    // Ends the loop below, plainly.
    void subscription.close();
  };
  process.once('SIGINT', onInterrupt);
  try {
    await writeRecords(invocation, subscription, plan);
  } finally {
    process.off('SIGINT', onInterrupt);
    await subscription.close();
    // What was received before a failure is shown before the failure is.
    await invocation.terminal.out.flushed();
  }
  if (isInterrupted) throw new ExitError(EXIT_INTERRUPTED);
}

async function writeRecords(invocation: Invocation, subscription: Subscription<Uint8Array>, plan: Plan): Promise<void> {
  const { out } = invocation.terminal;
  const write = (bytes: Uint8Array): void => out.write(bytes);
  let left = plan.countMax ?? Number.POSITIVE_INFINITY;
  for await (const batch of subscription.batches()) {
    for (const record of batch.records) {
      plan.format(record, write);
      if (--left === 0) return;
    }
    if (out.isFull) await out.flushed();
  }
}
