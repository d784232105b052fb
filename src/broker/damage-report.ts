/** What is wrong with this node's replicas, in a line for /readyz?verbose: it names, and judges nothing (design 6.1). */
import type { Host } from './host.ts';

export function damageReport(host: Host): string {
  const open = [...host.open()].map(({ groupId, status }) => ({ groupId, ...status }));
  const damaged = open.filter(({ damage }) => damage.length > 0).map(({ groupId }) => groupId);
  const rejoining = open.flatMap(({ groupId, rejoining: why }) => (why === undefined ? [] : `${groupId} (${why})`));
  const broken = host.broken.map((groupId) => `${groupId} (${host.breakage(groupId)?.message})`);
  const parts = [
    { what: 'damaged groups', list: damaged },
    { what: 'rejoining groups', list: rejoining },
    { what: 'stopped groups', list: broken },
  ].filter(({ list }) => list.length > 0);
  return parts.length === 0
    ? 'no damage known'
    : parts.map(({ what, list }) => `${what}: ${list.join(', ')}`).join('; ');
}
