/** A client for the life of one command, made from the flags every such command has. */
import { type Client, type ConnectOptions, connect } from '../src/client/index.ts';
import type { Invocation } from './command.ts';
import { parseDurationMs } from './values.ts';

/** Long enough for an election, short enough that a wrong address is told soon. */
const CONNECT_TIMEOUT_MS_MAX = 5_000;

/** Runs `use` with a client and closes that at the end, however it ends. */
export async function withClient(
  invocation: Invocation,
  use: (client: Client) => Promise<void>,
  options: Pick<ConnectOptions, 'discover'> = {},
): Promise<void> {
  const requestTimeoutMs = parseDurationMs('--timeout', invocation.text('timeout')!);
  const client = await connect(invocation.text('server')!, {
    clientId: 'logdrive-cli',
    requestTimeoutMs,
    connectTimeoutMs: Math.min(requestTimeoutMs, CONNECT_TIMEOUT_MS_MAX),
    ...options,
  });
  try {
    await use(client);
  } finally {
    await client.close();
  }
}
