/**
 * The client process of a peer: opens one driver and does what the bench asks over the channel between them, one thing
 * at a time. It ends when that channel closes, so it never outlives the bench; what it started in turn (the Java tools)
 * is in its process group and ended by the bench.
 */
import { openDriver } from './drivers.ts';
import type { Driver, DriverName, Offer } from './peer.ts';
import { PeersDir } from './peers-dir.ts';
import { consume, http, produce, SteadyLoad, singles } from './works.ts';

/** What the bench asks for, by name, with what comes back. */
export interface ClientCalls {
  open(args: { driver: DriverName; settings: unknown; peersDir: string }): Promise<Offer>;
  createTopic(args: { topic: string }): Promise<void>;
  deleteTopic(args: { topic: string }): Promise<void>;
  leader(args: { topic: string }): Promise<number | null>;
  produce: OnOpened<typeof produce>;
  consume: OnOpened<typeof consume>;
  singles: OnOpened<typeof singles>;
  http: OnOpened<typeof http>;
  startLoad(args: { topic: string; size: number; lanes: number }): Promise<void>;
  gap(args: { watchMs: number; timeoutMs: number }): Promise<number>;
  stopLoad(args: Record<string, never>): Promise<void>;
  close(args: Record<string, never>): Promise<void>;
}

/** A work, asked of the driver that is open. */
type OnOpened<F> = F extends (driver: Driver, args: infer A) => infer R ? (args: A) => R : never;

export interface CallMessage {
  readonly id: number;
  readonly call: keyof ClientCalls;
  readonly args: never;
}

export type AnswerMessage =
  | { readonly id: number; readonly answer: unknown }
  | { readonly id: number; readonly error: string };

let opened: Driver | undefined;
let load: SteadyLoad | undefined;

function driver(): Driver {
  if (opened === undefined) throw new Error('no driver is open');
  return opened;
}

const CALLS: ClientCalls = {
  async open({ driver: name, settings, peersDir }) {
    opened = await openDriver(name, settings, new PeersDir(peersDir));
    const names = ['sender', 'produce', 'consume', 'httpRequest', 'leader', 'singlesOverHttp'] as const;
    const offered = names.filter((each) => opened?.[each] !== undefined);
    return Object.fromEntries(offered.map((each) => [each, true]));
  },
  createTopic: ({ topic }) => driver().createTopic(topic),
  async deleteTopic({ topic }) {
    await driver().deleteTopic?.(topic);
  },
  // Channels carry JSON, which has no undefined.
  leader: async ({ topic }) => (await driver().leader?.(topic)) ?? null,
  produce: (args) => produce(driver(), args),
  consume: (args) => consume(driver(), args),
  singles: (args) => singles(driver(), args),
  http: (args) => http(driver(), args),
  async startLoad(args) {
    load = await SteadyLoad.start(driver(), args);
  },
  gap: ({ watchMs, timeoutMs }) => {
    if (load === undefined) throw new Error('no load was started');
    return load.gapFromNow(watchMs, timeoutMs);
  },
  async stopLoad() {
    await load?.stop();
    load = undefined;
  },
  async close() {
    await opened?.close();
    opened = undefined;
  },
};

function answer(message: AnswerMessage): void {
  process.send?.(message);
}

process.on('message', (message: CallMessage) => {
  const { id, call, args } = message;
  Promise.resolve()
    .then((): Promise<unknown> => CALLS[call](args))
    .then(
      (value) => answer({ id, answer: value }),
      (error: unknown) =>
        answer({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    );
});
process.on('disconnect', () => process.exit());
// Libraries of peers throw from their own timers when a server is killed under them; the call that waits tells of it.
process.on('unhandledRejection', (error) => process.stderr.write(`unhandled in a client library: ${String(error)}\n`));
process.on('uncaughtException', (error) => process.stderr.write(`uncaught in a client library: ${error.stack}\n`));
