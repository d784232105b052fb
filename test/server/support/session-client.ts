/** A door with a topic "orders", and a client of its WebSocket that says what it wants, right or wrong. */
import { WebSocket } from 'ws';
import {
  crc32cPortable,
  decodeFrame,
  decodeRecords,
  encodeFrame,
  encodeRecordBatch,
  type Frame,
  type Message,
  SUBPROTOCOL,
  splitBatches,
} from '../../../src/protocol/index.ts';
import { closeLater } from './closing.ts';
import { type Door, type DoorOptions, openDoor } from './door.ts';
import { handWorld, type TestWorld, until } from './world.ts';

export interface Room {
  readonly door: Door;
  readonly world: TestWorld;
}

export async function room(options: DoorOptions = {}): Promise<Room> {
  const world = handWorld();
  const door = await openDoor(world.env, options);
  door.broker.addTopic('orders');
  closeLater(() => door.close());
  return { door, world };
}

/** A client that says what it wants, right or wrong. */
export class Client {
  readonly socket: WebSocket;
  readonly frames: Frame[] = [];
  closeCode: number | undefined;
  failure: Error | undefined;

  constructor(door: Door, options: { path?: string; protocols?: string[]; origin?: string; host?: string } = {}) {
    const { path = '/v1/ws', protocols = [SUBPROTOCOL], origin } = options;
    this.socket = new WebSocket(
      `ws://127.0.0.1:${door.port}${path}`,
      protocols,
      origin === undefined ? {} : { origin },
    );
    this.socket.on('message', (data) => {
      const frame = decodeFrame(new Uint8Array(data as Buffer));
      if (frame !== undefined) this.frames.push(frame);
    });
    this.socket.on('error', (error) => {
      this.failure = error;
    });
    this.socket.on('close', (code) => {
      this.closeCode = code;
    });
    closeLater(() => this.socket.terminate());
  }

  async opened(): Promise<this> {
    await until('open', () => this.socket.readyState === WebSocket.OPEN || this.failure !== undefined);
    if (this.failure !== undefined) throw this.failure;
    return this;
  }

  send(message: Message, channel = 0, payload: Uint8Array[] = []): void {
    this.socket.send(Buffer.concat(encodeFrame(channel, message, payload)));
  }

  of<K extends Message['kind']>(
    kind: K,
    channel?: number,
  ): (Extract<Message, { kind: K }> & { payload: Uint8Array })[] {
    return this.frames
      .filter((frame) => frame.message.kind === kind && (channel === undefined || frame.channel === channel))
      .map(({ message, payload }) => ({ ...(message as Extract<Message, { kind: K }>), payload }));
  }

  async got<K extends Message['kind']>(
    kind: K,
    count = 1,
  ): Promise<Extract<Message, { kind: K }> & { payload: Uint8Array }> {
    await until(`${count} ${kind}`, () => this.of(kind).length >= count);
    return this.of(kind)[count - 1] as Extract<Message, { kind: K }> & { payload: Uint8Array };
  }

  async closed(): Promise<number> {
    await until('closed', () => this.closeCode !== undefined);
    return this.closeCode as number;
  }
}

export const HELLO: Message = {
  kind: 'hello',
  versionMin: 1,
  versionMax: 1,
  clientId: 'c',
  token: undefined,
  agent: undefined,
};

export async function welcomed(door: Door): Promise<Client> {
  const client = await new Client(door).opened();
  client.send(HELLO);
  await client.got('welcome');
  return client;
}

export function batchOf(...values: string[]): Uint8Array {
  const records = values.map((value) => ({ value: Buffer.from(value) }));
  return encodeRecordBatch(records, { nowMs: 5, crc32c: crc32cPortable });
}

export function append(requestId: number, changes: Partial<Extract<Message, { kind: 'append' }>> = {}): Message {
  const standard = {
    topic: { name: 'orders' },
    partition: 0,
    producer: undefined,
    redirect: false,
    timeoutMs: undefined,
  };
  return { kind: 'append', requestId, ...standard, ...changes };
}

export function subscribe(changes: Partial<Extract<Message, { kind: 'subscribe' }>> = {}): Message {
  const standard = { topic: { name: 'orders' }, partition: 0, creditBytes: 1_000_000, level: 'any' as const };
  return { kind: 'subscribe', start: { kind: 'earliest' }, ...standard, ...changes };
}

export function valuesOf(client: Client, channel: number): string[] {
  const batches = client.of('data', channel).flatMap(({ payload }) => splitBatches(payload));
  return batches.flatMap((batch) => decodeRecords(batch)).map(({ value }) => Buffer.from(value).toString());
}
