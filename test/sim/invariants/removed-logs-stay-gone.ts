/**
 * What a replica promised under a group's id is forgotten with its log, so a node makes a log once. One that is made
 * again, empty, would vote and ack as if it had promised nothing. Source: R18, decision 0008.
 */
import { CATALOG_GROUP } from '../../../src/broker/catalog.ts';
import { type Invariant, Violation } from './view.ts';

export function removedLogsStayGone(): Invariant {
  /** As "node/group". */
  const removed = new Set<string>();
  return {
    name: 'a log that was removed is not made again',
    source: 'R18, decision 0008',
    // Not when it is about to go: a power cut in between may leave it where it was.
    removed(node, groupId) {
      // A node without a cluster removes what it began of the catalog, and is told the first entry then.
      if (groupId !== CATALOG_GROUP) removed.add(`${node}/${groupId}`);
    },
    opened({ id }, { node, observed: { log } }) {
      const isEmpty = log.lastIndex === 0 && log.hardState.term === 0;
      if (isEmpty && removed.has(`${node}/${id}`))
        throw new Violation(`group ${id}: ${node} makes the log again that it has removed`);
    },
  };
}
