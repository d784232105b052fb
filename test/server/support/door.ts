/** Both client doors on one free port, over a fake broker. */
import type { Env } from '../../../src/env.ts';
import { crc32cPortable } from '../../../src/protocol/index.ts';
import { Health } from '../../../src/server/health.ts';
import { HttpListener } from '../../../src/server/http-listener.ts';
import { PrometheusMetrics } from '../../../src/server/prometheus.ts';
import { WsListener } from '../../../src/server/ws-listener.ts';
import { FakeBroker } from './fake-broker.ts';

export interface Door {
  readonly broker: FakeBroker;
  readonly health: Health;
  readonly metrics: PrometheusMetrics;
  readonly http: HttpListener;
  readonly ws: WsListener;
  readonly port: number;
  readonly url: string;
  close(): Promise<void>;
}

export interface DoorOptions {
  readonly origins?: readonly string[];
  readonly connectionsMax?: number;
  readonly sendBytesMax?: number;
  readonly recordBytesMax?: number;
  readonly batchBytesMax?: number;
}

export async function openDoor(env: Env, options: DoorOptions = {}): Promise<Door> {
  const broker = new FakeBroker();
  const identity = { node: 'n1', version: '9.9.9' };
  const metrics = new PrometheusMetrics(identity);
  const health = new Health();
  health.broker = broker;
  metrics.onScrape(() => health.report(metrics));
  const origin = { origins: options.origins ?? [], ownNames: ['127.0.0.1', 'logs.internal'] };
  const limits = {
    recordBytesMax: options.recordBytesMax ?? 1024 * 1024,
    batchBytesMax: options.batchBytesMax ?? 4 * 1024 * 1024,
  };
  const sendBytesMax = options.sendBytesMax ?? 8 * 1024 * 1024;
  const session = { face: 'ws' as const, ...limits, sendBytesMax, heartbeatMs: 15_000, origin };
  const ws = new WsListener(env, metrics, session, () => health.broker);
  const world = { env, metrics, health, identity, crc32c: crc32cPortable };
  const listen = { host: '127.0.0.1', port: 0 };
  const http = new HttpListener(world, { listen, origin, connectionsMax: options.connectionsMax ?? 1_000, ...limits });
  await http.listen((request, socket, head) => ws.onUpgrade(request, socket, head));
  const close = async (): Promise<void> => {
    ws.close();
    await http.close();
    metrics.close();
  };
  return { broker, health, metrics, http, ws, port: http.port, url: `http://127.0.0.1:${http.port}`, close };
}
