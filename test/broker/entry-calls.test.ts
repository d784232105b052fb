/**
 * Who counts as unheard when an entry is asked for: every other replica, until it has answered or is known to be gone.
 */
import { describe, expect, test } from 'vitest';
import { CATALOG_GROUP, Catalog, type CatalogCommand } from '../../src/broker/catalog.ts';
import { EntryCalls } from '../../src/broker/entry-calls.ts';
import { decodeCall, type FetchEntryCall } from '../../src/broker/peer-calls.ts';
import type { PeerDescription } from '../../src/broker/peers.ts';
import { type CatalogMember, foundingMember } from '../../src/broker/roster.ts';
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
    members: catalog.nodes,
    canSupply: () => true,
    committed: () => committed,
    readEntry: async () => 'trimmed' as const,
  };
  const peers = { list: [], call: () => Promise.reject(new LogError('CONNECTION')), learn: () => undefined };
  return new EntryCalls({ nodeId, world: { env, peers }, host });
}

/** n1, which has not opened its catalog, among nodes of which those in `up` can be heard. */
function asking(up: ReadonlyMap<string, EntryCalls>, members: readonly CatalogMember[] = []): EntryCalls {
  const unknown = { diskUuid: undefined, clusterId: undefined, clientUrl: undefined, version: undefined };
  const list: PeerDescription[] = IDS.filter((id) => id !== 'n1').map((id) => {
    return { id, peerAddress: id, isUp: up.has(id), ...unknown };
  });
  const call = async (id: string, _method: string, body: readonly Uint8Array[]): Promise<Uint8Array> => {
    return Buffer.concat(await up.get(id)!.answer(decodeCall<FetchEntryCall>(Buffer.concat(body)).head));
  };
  const learn = (id: string, peerAddress: string): void => {
    list.push({ id, peerAddress, isUp: up.has(id), ...unknown });
  };
  const host = {
    catalog: new Catalog(),
    members,
    canSupply: () => false,
    committed: () => undefined,
    readEntry: async () => undefined,
  };
  return new EntryCalls({ nodeId: 'n1', world: { env, peers: { list, call, learn } }, host });
}

describe('of the catalog, as far as it was replayed', () => {
  const added: CatalogMember = { ...foundingMember({ id: 'n5', diskUuid: 'disk of n5' }), peerAddress: 'n5:1' };

  test('a member that was added is asked as well, though nothing else tells of it', async () => {
    const up = new Map(['n2', 'n3', 'n4'].map((id) => [id, trimmedOn(id, catalogOf())]));
    const told = await asking(up, [added]).fetch(CATALOG_GROUP, WANTED);
    expect(told).toEqual({ entry: undefined, unheard: ['n5'], isTrimmed: true });
    up.set('n5', trimmedOn('n5', catalogOf()));
    const heard = await asking(up, [added]).fetch(CATALOG_GROUP, WANTED);
    expect(heard).toEqual({ entry: undefined, unheard: [], isTrimmed: true });
  });

  test('a member that was never asked has not lost anything', async () => {
    const founder = foundingMember({ id: 'n0', diskUuid: 'disk of n0' });
    const up = new Map(['n2', 'n3', 'n4'].map((id) => [id, trimmedOn(id, catalogOf())]));
    const told = await asking(up, [founder]).fetch(CATALOG_GROUP, WANTED);
    expect(told).toEqual({ entry: undefined, unheard: ['n0'], isTrimmed: true });
  });
});

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
