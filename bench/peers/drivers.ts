/** Opens a driver by name. Each file is loaded only when it is asked for: a client process holds one library. */
import type { Driver, DriverName } from './peer.ts';
import type { PeersDir } from './peers-dir.ts';

type Open = (settings: never, tools: PeersDir) => Promise<Driver>;

const OPENERS: { readonly [K in DriverName]: () => Promise<Open> } = {
  logdrive: async () => (await import('./logdrive.ts')).openLogdrive,
  nats: async () => (await import('./nats-client.ts')).openNats,
  'kafka-java': async () => (await import('./kafka-java.ts')).openKafkaJava,
  kafkajs: async () => (await import('./kafkajs.ts')).openKafkajs,
  platformatic: async () => (await import('./platformatic.ts')).openPlatformatic,
  redis: async () => (await import('./redis.ts')).openRedis,
  amqplib: async () => (await import('./amqplib.ts')).openAmqplib,
  etcd: async () => (await import('./etcd.ts')).openEtcd,
};

export async function openDriver(name: DriverName, settings: unknown, tools: PeersDir): Promise<Driver> {
  const open = await OPENERS[name]();
  return open(settings as never, tools);
}
