/**
 * Who may import whom, types included. Imports point down: bin, server, broker, partition, then the three rooms of the
 * ground floor (storage, raft, protocol) that know nobody. Raft and storage meet in partition alone. Third-party code
 * has one home each.
 */
import { describe, expect, test } from 'vitest';
import { readSources, type SourceFile } from './sources.ts';

interface Room {
  readonly name: string;
  /** A folder with a slash at its end, or one file. */
  readonly at: string;
  /** Rooms whose door it may use. */
  readonly rooms: readonly string[];
  /** Packages every file of the room may use; 'node:*' is all of Node. */
  readonly packages: readonly string[];
  /** More packages for single files, by path below the room. */
  readonly homes?: Readonly<Record<string, readonly string[]>>;
}

const ROOMS: readonly Room[] = [
  {
    name: 'storage',
    at: 'storage/',
    rooms: [],
    packages: ['node:assert'],
    homes: {
      'node-disk.ts': ['node:fs', 'node:path'],
      // The optional native checksum is looked for at run time.
      'checksum.ts': ['node:module', '@node-rs/crc32'],
    },
  },
  { name: 'raft', at: 'src/raft/', rooms: [], packages: ['node:assert'] },
  {
    name: 'protocol',
    at: 'src/protocol/',
    rooms: [],
    packages: [],
    homes: { 'schema.ts': ['protobufjs'], 'generated/schema.ts': ['protobufjs'] },
  },
  { name: 'env', at: 'src/env.ts', rooms: [], packages: [] },
  { name: 'metrics', at: 'src/metrics.ts', rooms: [], packages: [] },
  { name: 'config', at: 'src/config.ts', rooms: ['config-text'], packages: ['typebox', 'ajv'] },
  { name: 'config-text', at: 'src/config-text.ts', rooms: [], packages: [] },
  {
    name: 'partition',
    at: 'src/partition/',
    rooms: ['raft', 'storage', 'protocol', 'env', 'metrics'],
    packages: ['node:assert'],
  },
  {
    name: 'broker',
    at: 'src/broker/',
    rooms: ['partition', 'protocol', 'env', 'metrics'],
    packages: ['node:assert'],
  },
  {
    name: 'server',
    at: 'src/server/',
    rooms: ['broker', 'partition', 'storage', 'protocol', 'config', 'env', 'metrics'],
    packages: ['node:*', 'ws', 'fastify', 'prom-client', 'pino', 'pino-pretty'],
  },
  {
    name: 'client',
    at: 'src/client/',
    rooms: ['protocol', 'env'],
    packages: [],
    homes: {
      'socket-node.ts': ['ws'],
      // The real clock, timers, chance and checksum of Node; platform-browser.ts has those of a browser.
      'platform-node.ts': ['node:crypto', 'node:module', '@node-rs/crc32'],
    },
  },
  { name: 'embedded', at: 'src/index.ts', rooms: ['server', 'client'], packages: [] },
  // The doorstep shows errors and limits as the protocol's table has them.
  {
    name: 'bin',
    at: 'bin/',
    rooms: ['server', 'client', 'config', 'storage', 'protocol'],
    packages: ['node:*', 'yargs'],
    homes: { 'build-browser.ts': ['esbuild'], 'build-command-line.ts': ['esbuild'] },
  },
];

/** Third-party packages and the files that may name them, however their room is allowed to. */
const ONE_HOME: Readonly<Record<string, RegExp>> = {
  ws: /^src\/server\/(ws-listener|client-socket|peer-\w+)\.ts$|^src\/client\/socket-node\.ts$/,
  fastify: /^src\/server\/http-[\w-]+\.ts$/,
  pino: /^src\/server\/logger\.ts$/,
  'pino-pretty': /^src\/server\/logger\.ts$/,
  'prom-client': /^src\/server\/prometheus\.ts$/,
  yargs: /^bin\//,
};

const sources = readSources(['src', 'storage', 'bin']);
const roomOf = (path: string): Room | undefined =>
  ROOMS.find((room) => (room.at.endsWith('/') ? path.startsWith(room.at) : path === room.at));

function problemsOf(file: SourceFile): string[] {
  const room = roomOf(file.path);
  if (room === undefined) return [`${file.path} belongs to no room`];
  return file.imports.flatMap((name) => {
    const problem = /\.c?ts$/.test(name) ? problemOfFile(room, name) : problemOfPackage(room, file.path, name);
    return problem === undefined ? [] : [`${file.path} imports ${name}: ${problem}`];
  });
}

function problemOfFile(room: Room, target: string): string | undefined {
  const targetRoom = roomOf(target);
  if (targetRoom === undefined) return 'it belongs to no room';
  const isDoor = target === `${targetRoom.at}index.ts` || target === targetRoom.at;
  if (targetRoom === room) return isDoor ? 'a room does not go through its own door' : undefined;
  if (!room.rooms.includes(targetRoom.name)) return `${room.name} may not know ${targetRoom.name}`;
  return isDoor ? undefined : 'only the door (index.ts) may be used';
}

function problemOfPackage(room: Room, path: string, name: string): string | undefined {
  const home = ONE_HOME[name.split('/')[0]!];
  if (home !== undefined && !home.test(path)) return `its home is ${home}`;
  const allowed = [...room.packages, ...(room.homes?.[path.slice(room.at.length)] ?? [])];
  // A package comes with its subpaths: node:assert/strict is node:assert.
  const isAllowed = allowed.some((each) => name === each || name.startsWith(`${each}/`));
  return isAllowed || (name.startsWith('node:') && allowed.includes('node:*')) ? undefined : 'not allowed here';
}

describe('layering', () => {
  test('there is something to look at', () => {
    expect(sources.length).toBeGreaterThan(50);
    expect(sources.flatMap((file) => file.imports).length).toBeGreaterThan(200);
  });

  test('every import is one its room may make', () => {
    expect(sources.flatMap(problemsOf)).toEqual([]);
  });

  test('nothing imports in a circle, types included', () => {
    const byPath = new Map(sources.map((file) => [file.path, file]));
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (path: string, above: readonly string[]): void => {
      const at = above.indexOf(path);
      if (at !== -1) circles.push([...above.slice(at), path].join(' -> '));
      if (at !== -1 || done.has(path)) return;
      for (const next of byPath.get(path)?.imports ?? []) if (byPath.has(next)) visit(next, [...above, path]);
      done.add(path);
    };
    for (const file of sources) visit(file.path, []);
    expect(circles).toEqual([]);
  });

  test('a door is a list: nothing is exported by a star', () => {
    expect(sources.filter((file) => /^export \*/m.test(file.code)).map((file) => file.path)).toEqual([]);
  });

  test('in the server only the composition root knows storage', () => {
    const others = sources.filter(
      (file) => file.path.startsWith('src/server/') && file.imports.includes('storage/index.ts'),
    );
    expect(others.map((file) => file.path).filter((path) => path !== 'src/server/server.ts')).toEqual([]);
  });

  test('the rules find what they are for', () => {
    const file = (path: string, ...imports: string[]): SourceFile => ({ path, text: '', code: '', imports });
    expect(problemsOf(file('src/raft/x.ts', 'storage/index.ts'))).toHaveLength(1);
    expect(problemsOf(file('src/raft/x.ts', 'node:fs'))).toHaveLength(1);
    expect(problemsOf(file('src/broker/x.ts', 'src/partition/partition.ts'))).toHaveLength(1);
    expect(problemsOf(file('src/broker/x.ts', 'src/broker/index.ts'))).toHaveLength(1);
    expect(problemsOf(file('src/server/x.ts', 'pino'))).toHaveLength(1);
    expect(problemsOf(file('src/elsewhere/x.ts'))).toHaveLength(1);
    expect(problemsOf(file('src/broker/x.ts', 'src/partition/index.ts', 'src/broker/y.ts', 'node:assert'))).toEqual([]);
  });
});
