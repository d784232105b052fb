/**
 * Who counts as unheard when an entry is asked for: every other replica, until it has answered or is known to be gone.
 */
import { describe, expect, test } from 'vitest';
import { CATALOG_GROUP, Catalog, type CatalogCommand } from '../../src/broker/catalog.ts';
import { EntryCalls } from '../../src/broker/entry-calls.ts';
import { decodeCall, type FetchEntryCall } from '../../src/broker/peer-calls.ts';
import type { PeerDescription } from '../../src/broker/peers.ts';
import type { EntryId } from '../../src/partition/index.ts';
import { LogError } from '../../src/protocol/index.ts';
import { SimTime, simEnv } from './support/sim-env.ts';

const IDS = ['n1', 'n2', 'n3', 'n4'] as const;
const WANTED = { index: 17, witness: { index: 16, term: 2 } };
const env = simEnv(new SimTime(), 1, [], { isOver: false, skewMs: 0 });

function catalogOf(...commands: readonly CatalogCommand[]): Catalog {
  const catalog = new Catalog();
  const nodes = IDS.map((id) => ({ id, diskUuid: `disk of ${id}` }));
  for (const command of [{ kind: 'birth', clusterId: 'c', nodes } as const, ...commands]) {
    expect(catalog.apply(command, { index: 1, appendTimeMs: 0 })).toBe('done');
  }
  return catalog;
}

/** A node that trimmed what it is asked for. */
function trimmedOn(nodeId: string, catalog: Catalog, committed?: EntryId): EntryCalls {
  const host = {
    catalog,
    canSupply: () => true,
    committed: () => committed,
    readEntry: async () => 'trimmed' as const,
  };
  const peers = { list: [], call: () => Promise.reject(new LogError('CONNECTION')) };
  return new EntryCalls({ nodeId, world: { env, peers }, host });
}

/** n1, which has not opened its catalog, among nodes of which those in `up` can be heard. */
function asking(up: ReadonlyMap<string, EntryCalls>): EntryCalls {
  const unknown = { diskUuid: undefined, clusterId: undefined, clientUrl: undefined, version: undefined };
  const list: PeerDescription[] = IDS.filter((id) => id !== 'n1').map((id) => {
    return { id, peerAddress: id, isUp: up.has(id), ...unknown };
  });
  const call = async (id: string, _method: string, body: readonly Uint8Array[]): Promise<Uint8Array> => {
    return Buffer.concat(await up.get(id)!.answer(decodeCall<FetchEntryCall>(Buffer.concat(body)).head));
  };
  const host = {
    catalog: new Catalog(),
    canSupply: () => false,
    committed: () => undefined,
    readEntry: async () => undefined,
  };
  return new EntryCalls({ nodeId: 'n1', world: { env, peers: { list, call } }, host });
}

describe('of an entry that nobody supplies', () => {
  test('the last one that any of those asked knows committed is told', async () => {
    const told = [undefined, { index: 12, term: 2 }, { index: 9, term: 2 }];
    const up = new Map(['n2', 'n3', 'n4'].map((id, at) => [id, trimmedOn(id, catalogOf(), told[at])]));
    expect(await asking(up).fetch(CATALOG_GROUP, WANTED)).toMatchObject({ committed: { index: 12, term: 2 } });
  });

  test('a node that left while the asking one was away is not waited for', async () => {
    const left = catalogOf({ kind: 'remove-node', id: 'n4' }, { kind: 'node-gone', id: 'n4' });
    const up = new Map(['n2', 'n3'].map((id) => [id, trimmedOn(id, left)]));
    expect(await asking(up).fetch(CATALOG_GROUP, WANTED)).toEqual({ entry: undefined, unheard: [], isTrimmed: true });
  });

  test('a member that is down, or on its way out, is', async () => {
    const leaving = catalogOf({ kind: 'remove-node', id: 'n4' });
    for (const catalog of [catalogOf(), leaving]) {
      const up = new Map(['n2', 'n3'].map((id) => [id, trimmedOn(id, catalog)]));
      const supply = await asking(up).fetch(CATALOG_GROUP, WANTED);
      expect(supply).toEqual({ entry: undefined, unheard: ['n4'], isTrimmed: true });
    }
  });
});
