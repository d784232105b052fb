/** All peers, in the order they are compared with, and the options that choose among them. */
import type { TextSpec } from '../scenario.ts';
import { etcd } from './etcd.ts';
import { kafka } from './kafka.ts';
import { natsPeer } from './nats.ts';
import type { Peer } from './peer.ts';
import { defaultPeersDir } from './peers-dir.ts';
import { rabbitmq } from './rabbitmq.ts';
import { redis } from './redis.ts';

export const PEERS: readonly Peer[] = [
  natsPeer('nats', 'default'),
  natsPeer('nats-always', 'always'),
  etcd,
  kafka,
  redis,
  rabbitmq,
];

const ALL = 'all';

export const PEER_TEXTS: Readonly<Record<'peers-dir' | 'only', TextSpec>> = {
  'peers-dir': { default: defaultPeersDir(), sentence: 'where peers are installed' },
  only: {
    default: ALL,
    sentence: `names with commas: ${PEERS.map((peer) => peer.name).join(',')}`,
    check: (text) => void chosenPeers(text),
  },
};

/** @throws RangeError that names what is no peer. */
export function chosenPeers(only: string): readonly Peer[] {
  if (only === ALL) return PEERS;
  const names = only.split(',').map((name) => name.trim());
  const unknown = names.find((name) => PEERS.every((peer) => peer.name !== name));
  if (unknown !== undefined) {
    throw new RangeError(`--only: there is no peer "${unknown}", only ${PEERS.map((peer) => peer.name).join(', ')}`);
  }
  return PEERS.filter((peer) => names.includes(peer.name));
}
