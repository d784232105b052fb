/**
 * What is wrong with this node's replicas, in a line for /readyz?verbose: it names, and judges nothing (design 6.1).
 */
import type { LostEntry } from '../partition/index.ts';
import type { Host } from './host.ts';

export function damageReport(host: Host): string {
  const open = [...host.open()].map(({ groupId, status }) => ({ groupId, ...status }));
  const damaged = open.filter(({ damage }) => damage.length > 0).map(({ groupId }) => groupId);
  const rejoining = open.flatMap(({ groupId, rejoining: why }) => (why === undefined ? [] : `${groupId} (${why})`));
  const elsewhere = [...host.open()].flatMap(({ groupId, rejoining }) =>
    rejoining.lostPeers.map((peer) => `${groupId} (${peer})`),
  );
  const broken = host.broken.map((groupId) => `${groupId} (${host.breakage(groupId)?.message})`);
  const named = host.lostIn.map(({ groupId, lost }) => ({ ...lost, line: `${groupId} (${describeLost(lost)})` }));
  const stopped = named.filter(({ unheard }) => unheard.length === 0).map(({ line }) => line);
  const waiting = named.filter(({ unheard }) => unheard.length > 0).map(({ line }) => line);
  const parts = [
    { what: 'damaged groups', list: damaged },
    { what: 'rejoining groups', list: rejoining },
    { what: 'groups led from here whose followers rejoin', list: elsewhere },
    { what: 'waiting groups', list: waiting },
    { what: 'stopped groups', list: [...broken, ...stopped] },
  ].filter(({ list }) => list.length > 0);
  return parts.length === 0
    ? 'no damage known'
    : parts.map(({ what, list }) => `${what}: ${list.join(', ')}`).join('; ');
}

/** For people: which entry, where its bytes should be here, and who may still have it. */
export function describeLost({ index, file, position, unheard }: LostEntry): string {
  const what = `entry ${index} (byte ${position} of ${file})`;
  return unheard.length === 0
    ? `${what} is damaged or missing on every replica`
    : `${what} is damaged here, and ${unheard.join(', ')} cannot be asked`;
}
