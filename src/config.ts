/**
 * The one user-facing configuration of a node: every key with its unit in the name, default, range and sentence.
 *
 * Values come from flags, then LOGDRIVE_* variables, then a file (JSON, comments allowed), then the defaults; the first
 * that names a key wins. Unknown flags and file keys are refused; unknown LOGDRIVE_* variables are only warned about,
 * because a Kubernetes service of that name injects some. What a key cannot say alone (heartbeat against election,
 * record against batch) is checked last, on the whole.
 *
 * This file reads nothing by itself: whoever starts a node hands in flags, environment and the text of the file.
 * One spelling on every face: `raft.heartbeatMs` is `--raft-heartbeat-ms` is `LOGDRIVE_RAFT__HEARTBEAT_MS`.
 * docs/configuration.md is compared with the table below by a test.
 */
import { Ajv, type ErrorObject } from 'ajv';
import { type Static, type TSchema, Type } from 'typebox';
import { suggestion, withoutComments } from './config-text.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

const NODE_ID = '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$';
const ADDRESS = '^(\\[[0-9A-Fa-f:.]+\\]|[A-Za-z0-9._-]+):[0-9]{1,5}$';

const integer = (standard: number, minimum: number, maximum: number, description: string) =>
  Type.Integer({ default: standard, minimum, maximum, description });
const text = (standard: string, description: string, pattern = '^.+$') =>
  Type.String({ default: standard, pattern, description });
const flag = (standard: boolean, description: string) => Type.Boolean({ default: standard, description });
const group = <T extends Record<string, TSchema>>(keys: T) => Type.Object(keys, { additionalProperties: false });

const schema = group({
  nodeId: text(
    'n1',
    'The name of this node in its cluster; a data directory belongs to one node id for ever.',
    NODE_ID,
  ),
  dataDir: text('./data', 'Where the logs of this node lie.'),
  storage: Type.Enum(['disk', 'memory'] as const, {
    default: 'disk',
    description: '`memory` keeps everything in this process and forgets it at the end: for tests and trials.',
  }),
  listen: text('127.0.0.1:4437', 'Address for clients, HTTP and WebSocket; port 0 takes a free one.', ADDRESS),
  peerListen: text('127.0.0.1:4438', 'Address for the other nodes of the cluster; port 0 takes a free one.', ADDRESS),
  advertise: Type.Optional(
    Type.String({ pattern: ADDRESS, description: 'Address told to clients; else that of `listen`.' }),
  ),
  peers: Type.Record(Type.String({ pattern: NODE_ID }), Type.String({ pattern: ADDRESS }), {
    default: {},
    additionalProperties: false,
    description:
      'All nodes of the cluster, this one included, as id=host:port of their peer ports; these are the addresses ' +
      'this node dials. Empty: a cluster of one.',
  }),
  bootstrap: flag(false, 'Lets the first of `peers` form the cluster, once; may stay on for every later start.'),
  insecure: flag(false, 'Allows to listen beyond this machine although there is no TLS and no access control yet.'),
  raft: group({
    tickMs: integer(10, 1, 1_000, 'The unit of Raft time.'),
    heartbeatMs: integer(40, 5, 10_000, 'How often a leader makes itself heard.'),
    electionMsMin: integer(200, 50, 60_000, 'Silence after which a follower may campaign: shortest.'),
    electionMsMax: integer(400, 60, 120_000, 'Silence after which a follower may campaign: longest.'),
    restMs: integer(
      1_000,
      0,
      3_600_000,
      'An idle partition rests after this long: nothing of it runs until something happens. 0: never, and all send ' +
        'heartbeats of their own.',
    ),
    leaseReads: flag(
      false,
      'Allows reads at level lease, which ask no majority while clocks keep their bound; a leader that is killed is ' +
        'then replaced an election timeout later, and not at once.',
    ),
    leaseDriftPercent: integer(10, 1, 50, 'How far apart the clocks of two nodes may run, for leases.'),
    appendBytesMax: integer(1 * MiB, 64 * KiB, 16 * MiB, 'Entries sent to a follower in one message, about.'),
    inflightBytesMax: integer(8 * MiB, 1 * MiB, 64 * MiB, 'Entries sent to one follower and not answered yet.'),
    snapshotBytesPerSecond: integer(
      64 * MiB,
      1 * MiB,
      65_536 * MiB,
      'How fast snapshots leave this node, all together.',
    ),
    uncommittedBytesMax: integer(32 * MiB, 8 * MiB, 256 * MiB, 'Entries of a partition that wait for a majority.'),
  }),
  wal: group({
    segmentBytes: integer(64 * MiB, 64 * KiB, 1024 * MiB, 'Size at which a segment file is sealed and the next begun.'),
  }),
  disk: group({
    warnBelowBytes: integer(4 * GiB, 0, 64 * 1024 * GiB, 'With less free space the node warns.'),
    warnBelowPercent: integer(15, 0, 90, 'The same as a share of the disk; whichever of the two is less counts.'),
    rejectBelowBytes: integer(
      1 * GiB,
      0,
      64 * 1024 * GiB,
      'With less free space appends are refused; what is left is for terms, trims and manifests.',
    ),
    rejectBelowPercent: integer(5, 0, 80, 'The same as a share of the disk; whichever of the two is less counts.'),
  }),
  scrub: group({
    periodMs: integer(
      7 * 24 * 3_600_000,
      0,
      90 * 24 * 3_600_000,
      'How often all sealed segments are read again and checked. 0: never.',
    ),
    ioBytesPerSecond: integer(
      8 * MiB,
      64 * KiB,
      4096 * MiB,
      'How fast the scrub reads, over all partitions of the node.',
    ),
  }),
  compaction: group({
    ioBytesPerSecond: integer(
      32 * MiB,
      64 * KiB,
      4096 * MiB,
      'Bytes a second that key compaction reads and writes, over all partitions of the node.',
    ),
    mapBytes: integer(
      16 * MiB,
      8 * MiB,
      4096 * MiB,
      'Table of keys of one pass of compaction: 32 to 64 bytes a key. More keys take more passes.',
    ),
  }),
  limits: group({
    recordBytesMax: integer(1 * MiB, 1 * KiB, 4 * MiB, 'Key, value and headers of one record.'),
    batchBytesMax: integer(4 * MiB, 4 * KiB, 4 * MiB, 'One encoded record batch.'),
    connectionsMax: integer(10_000, 1, 1_000_000, 'Client connections, HTTP and WebSocket together.'),
    sendBytesMax: integer(
      8 * MiB,
      64 * KiB,
      256 * MiB,
      'Bytes queued towards one client before it is served no further.',
    ),
    cacheBytesMax: integer(8 * MiB, 1 * MiB, 4096 * MiB, 'Recent entries kept in memory, over all partitions.'),
  }),
  ws: group({
    heartbeatMs: integer(15_000, 100, 600_000, 'A WebSocket client silent for two of these periods is given up.'),
  }),
  http: group({
    origins: Type.Array(Type.String({ pattern: '^https?://[^/]+$' }), {
      default: [],
      description: 'Origins, besides the own host, whose pages may call this node, such as https://app.example.',
    }),
  }),
  log: group({
    level: Type.Enum(['debug', 'info', 'warn', 'error', 'silent'] as const, {
      default: 'info',
      description: 'The least grave lines that are written.',
    }),
    pretty: Type.Enum(['auto', 'yes', 'no'] as const, {
      default: 'auto',
      description: 'Lines for people instead of JSON; `auto`: on a terminal.',
    }),
  }),
  shutdown: group({
    deadlineMs: integer(25_000, 100, 600_000, 'How long a drain may take before the process ends without it.'),
  }),
});

/** What a node is started with. Every key is described in docs/configuration.md. */
export interface Config {
  readonly nodeId: string;
  readonly dataDir: string;
  readonly storage: 'disk' | 'memory';
  readonly listen: string;
  readonly peerListen: string;
  readonly advertise?: string;
  readonly peers: Readonly<Record<string, string>>;
  readonly bootstrap: boolean;
  readonly insecure: boolean;
  readonly raft: {
    readonly tickMs: number;
    readonly heartbeatMs: number;
    readonly electionMsMin: number;
    readonly electionMsMax: number;
    readonly restMs: number;
    readonly leaseReads: boolean;
    readonly leaseDriftPercent: number;
    readonly appendBytesMax: number;
    readonly inflightBytesMax: number;
    readonly snapshotBytesPerSecond: number;
    readonly uncommittedBytesMax: number;
  };
  readonly wal: { readonly segmentBytes: number };
  readonly disk: {
    readonly warnBelowBytes: number;
    readonly warnBelowPercent: number;
    readonly rejectBelowBytes: number;
    readonly rejectBelowPercent: number;
  };
  readonly scrub: { readonly periodMs: number; readonly ioBytesPerSecond: number };
  readonly compaction: { readonly ioBytesPerSecond: number; readonly mapBytes: number };
  readonly limits: {
    readonly recordBytesMax: number;
    readonly batchBytesMax: number;
    readonly connectionsMax: number;
    readonly sendBytesMax: number;
    readonly cacheBytesMax: number;
  };
  readonly ws: { readonly heartbeatMs: number };
  readonly http: { readonly origins: readonly string[] };
  readonly log: {
    readonly level: 'debug' | 'info' | 'warn' | 'error' | 'silent';
    readonly pretty: 'auto' | 'yes' | 'no';
  };
  readonly shutdown: { readonly deadlineMs: number };
}

/** A configuration that cannot be started with: every problem found, one a line. */
export class ConfigError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[], options?: { readonly cause?: unknown }) {
    super(problems.join('\n'), options);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

type Leaf = TSchema & {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly enum?: readonly string[];
  readonly properties?: Readonly<Record<string, Leaf>>;
};

/** One key on all its faces. */
export interface ConfigKey {
  /** As in the file, groups joined with dots. */
  readonly key: string;
  /** Without the leading dashes. */
  readonly flag: string;
  readonly env: string;
  readonly type: 'text' | 'integer' | 'yes-no' | 'list' | 'map';
  readonly default: unknown;
  /** What is allowed, in words; empty when the sentence says it all. */
  readonly range: string;
  readonly sentence: string;
}

const kebab = (key: string): string => key.replace(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`);

function describeLeaf(key: string, leaf: Leaf): ConfigKey {
  const types = { integer: 'integer', boolean: 'yes-no', array: 'list', object: 'map' } as const;
  const type = types[leaf.type as keyof typeof types] ?? 'text';
  const flagName = key.split('.').map(kebab).join('-');
  const range = type === 'integer' ? `${leaf.minimum}..${leaf.maximum}` : (leaf.enum?.join(' | ') ?? '');
  const env = `LOGDRIVE_${key
    .split('.')
    .map((part) => kebab(part).replaceAll('-', '_').toUpperCase())
    .join('__')}`;
  return { key, flag: flagName, env, type, default: leaf.default, range, sentence: leaf.description ?? '' };
}

function leavesOf(node: Leaf, prefix: string): ConfigKey[] {
  return Object.entries(node.properties ?? {}).flatMap(([name, child]) =>
    child.properties === undefined ? [describeLeaf(prefix + name, child)] : leavesOf(child, `${prefix}${name}.`),
  );
}

/** Every key, in the order of the documentation. */
export const CONFIG_KEYS: readonly ConfigKey[] = leavesOf(schema as unknown as Leaf, '');

const byKey = new Map(CONFIG_KEYS.map((row) => [row.key, row]));
const byFlag = new Map(CONFIG_KEYS.map((row) => [row.flag, row]));
const byEnv = new Map(CONFIG_KEYS.map((row) => [row.env, row]));
const isValid = new Ajv({ allErrors: true, strict: false }).compile<Static<typeof schema>>(schema);

export interface ConfigSources {
  /** By flag name without dashes, such as `data-dir`; undefined values count as not given. */
  readonly flags?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly file?: { readonly path: string; readonly text: string };
  /** LOGDRIVE_* variables that others read: not warned about. */
  readonly envKnownElsewhere?: readonly string[];
}

export interface LoadedConfig {
  readonly config: Config;
  /** For each key: 'default', or the flag, variable or file it came from. */
  readonly origins: ReadonlyMap<string, string>;
  readonly warnings: readonly string[];
}

/** Puts the sources together. @throws ConfigError with every problem found. */
export function loadConfig(sources: ConfigSources = {}): LoadedConfig {
  const problems: string[] = [];
  const warnings: string[] = [];
  const values = new Map<string, { value: unknown; origin: string }>();
  for (const row of CONFIG_KEYS) {
    if (row.default !== undefined) values.set(row.key, { value: row.default, origin: 'default' });
  }
  // From weak to strong: each source overwrites the one before.
  if (sources.file !== undefined) readFile(sources.file, values, problems);
  readEnv(sources, values, warnings);
  for (const [name, value] of Object.entries(sources.flags ?? {})) {
    if (value === undefined) continue;
    const row = byFlag.get(name);
    if (row === undefined) problems.push(`unknown flag --${name}${suggestion(name, byFlag.keys(), '--')}`);
    else values.set(row.key, { value: parseValue(row, value), origin: `--${name}` });
  }
  const nested = nest(values);
  if (!isValid(nested)) {
    problems.push(...(isValid.errors ?? []).flatMap((error) => ajvProblem(error, values)));
  }
  if (problems.length === 0) problems.push(...relationProblems(nested as unknown as Config));
  if (problems.length > 0) throw new ConfigError([...new Set(problems)]);
  const config = deepFreeze(nested) as unknown as Config;
  return { config, origins: new Map([...values].map(([key, { origin }]) => [key, origin])), warnings };
}

/** A configuration from values given in code, by dotted key or by group, the defaults behind them. */
export function configOf(partial: ConfigInput = {}): Config {
  return loadConfig({ file: { path: 'createBroker', text: JSON.stringify(partial) } }).config;
}

/** Config with every key optional, at both levels. */
export type ConfigInput = {
  readonly [K in keyof Config]?: K extends
    | 'raft'
    | 'wal'
    | 'disk'
    | 'scrub'
    | 'compaction'
    | 'limits'
    | 'ws'
    | 'http'
    | 'log'
    | 'shutdown'
    ? Partial<Config[K]>
    : Config[K];
};

/** One line a key: its value and where that came from. */
export function describeConfig(loaded: LoadedConfig): { key: string; value: unknown; origin: string }[] {
  return CONFIG_KEYS.map(({ key }) => {
    const value = key.split('.').reduce<unknown>((at, name) => (at as Record<string, unknown>)[name], loaded.config);
    return { key, value, origin: loaded.origins.get(key) ?? 'default' };
  });
}

/** 'host:port' or '[v6]:port' apart. The shape was checked by the schema. */
export function parseAddress(address: string): { readonly host: string; readonly port: number } {
  const at = address.lastIndexOf(':');
  return { host: address.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(address.slice(at + 1)) };
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

type Values = Map<string, { value: unknown; origin: string }>;

function readEnv(sources: ConfigSources, values: Values, warnings: string[]): void {
  for (const [name, value] of Object.entries(sources.env ?? {})) {
    if (!name.startsWith('LOGDRIVE_') || value === undefined) continue;
    const row = byEnv.get(name);
    if (row !== undefined) values.set(row.key, { value: parseValue(row, value), origin: name });
    else if (!sources.envKnownElsewhere?.includes(name)) {
      warnings.push(`unknown variable ${name} is ignored${suggestion(name, byEnv.keys(), '')}`);
    }
  }
}

function readFile(file: { path: string; text: string }, values: Values, problems: string[]): void {
  let parsed: unknown;
  try {
    parsed = JSON.parse(withoutComments(file.text));
  } catch (error) {
    throw new ConfigError([`${file.path}: not JSON: ${(error as Error).message}`], { cause: error });
  }
  const visit = (node: unknown, schemaNode: Leaf, prefix: string): void => {
    if (typeof node !== 'object' || node === null || Array.isArray(node)) {
      problems.push(`${file.path}: ${prefix === '' ? 'the whole' : prefix.slice(0, -1)} must be an object`);
      return;
    }
    for (const [name, value] of Object.entries(node)) {
      const key = prefix + name;
      const child = Object.hasOwn(schemaNode.properties ?? {}, name) ? schemaNode.properties?.[name] : undefined;
      const row = byKey.get(key);
      if (row !== undefined) values.set(key, { value: parseValue(row, value), origin: file.path });
      else if (child?.properties !== undefined) visit(value, child, `${key}.`);
      else if (key !== '$schema') problems.push(`${file.path}: unknown key ${key}${suggestion(key, byKey.keys(), '')}`);
    }
  };
  visit(parsed, schema as unknown as Leaf, '');
}

const YES_NO: ReadonlyMap<string, boolean> = new Map(Object.entries({ true: true, false: false, 1: true, 0: false }));
const MS_UNITS: ReadonlyMap<string, number> = new Map(Object.entries({ ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }));
const NO_UNITS: ReadonlyMap<string, number> = new Map();
const BYTE_UNITS: ReadonlyMap<string, number> = new Map(Object.entries({ B: 1, KiB, MiB, GiB }));

/** Text from a flag, a variable or the file turned into the key's type; what does not fit is left for the schema. */
function parseValue(row: ConfigKey, value: unknown): unknown {
  if (typeof value !== 'string') return value;
  if (row.type === 'yes-no') return YES_NO.get(value) ?? value;
  if (row.type === 'list') return value === '' ? [] : value.split(',').map((item) => item.trim());
  if (row.type === 'map') return parseMap(value);
  if (row.type !== 'integer') return value;
  const [, digits, unit] = /^(\d{1,15})([A-Za-z]*)$/.exec(value.trim()) ?? [];
  if (digits === undefined) return value;
  const units = /Ms(Min|Max)?$/.test(row.key) ? MS_UNITS : /Bytes(Max)?$/.test(row.key) ? BYTE_UNITS : NO_UNITS;
  const factor = unit === '' || unit === undefined ? 1 : units.get(unit);
  return factor === undefined ? value : Number(digits) * factor;
}

/** `a=1,b=2`; an item without `=` or named twice stays text, which the schema refuses with the key's name. */
function parseMap(value: string): unknown {
  const entries = value
    .split(',')
    .filter((item) => item.trim() !== '')
    .map((item) => item.trim().split('='));
  const isSound =
    entries.every((entry) => entry.length === 2) && new Set(entries.map(([id]) => id)).size === entries.length;
  return isSound ? Object.fromEntries(entries) : value;
}

function nest(values: Values): Record<string, unknown> {
  const root: Record<string, unknown> = {};
  for (const [key, { value }] of values) {
    const parts = key.split('.');
    const last = parts.pop() as string;
    let at = root;
    for (const part of parts) {
      at[part] ??= {};
      at = at[part] as Record<string, unknown>;
    }
    at[last] = value;
  }
  return root;
}

function ajvProblem(error: ErrorObject, values: Values): string[] {
  const path = error.instancePath.slice(1).split('/');
  const key = CONFIG_KEYS.find((row) => `${path.join('.')}.`.startsWith(`${row.key}.`))?.key ?? path.join('.');
  const given = values.get(key);
  const allowed =
    error.keyword === 'enum' ? `: ${(error.params as { allowedValues: string[] }).allowedValues.join(', ')}` : '';
  return [`${key} (from ${given?.origin ?? 'nowhere'}): ${JSON.stringify(given?.value)} ${error.message}${allowed}`];
}

function relationProblems(config: Config): string[] {
  const { raft, limits, wal, disk, peers, nodeId } = config;
  const problems: string[] = [];
  const must = (holds: boolean, sentence: string): void => {
    if (!holds) problems.push(sentence);
  };
  must(raft.tickMs <= raft.heartbeatMs, 'raft.tickMs must not be above raft.heartbeatMs');
  must(
    raft.electionMsMin >= 5 * raft.heartbeatMs,
    `raft.electionMsMin (${raft.electionMsMin}) must be at least 5 x raft.heartbeatMs (${raft.heartbeatMs})`,
  );
  must(raft.electionMsMax > raft.electionMsMin, 'raft.electionMsMax must be above raft.electionMsMin');
  must(limits.recordBytesMax <= limits.batchBytesMax, 'limits.recordBytesMax must not be above limits.batchBytesMax');
  must(limits.sendBytesMax >= limits.batchBytesMax, 'limits.sendBytesMax must be at least limits.batchBytesMax');
  must(
    raft.uncommittedBytesMax >= 2 * limits.batchBytesMax,
    'raft.uncommittedBytesMax must be at least 2 x limits.batchBytesMax',
  );
  must(wal.segmentBytes >= limits.batchBytesMax, 'wal.segmentBytes must be at least limits.batchBytesMax');
  must(disk.warnBelowBytes >= disk.rejectBelowBytes, 'disk.warnBelowBytes must be at least disk.rejectBelowBytes');
  must(
    disk.warnBelowPercent >= disk.rejectBelowPercent,
    'disk.warnBelowPercent must be at least disk.rejectBelowPercent',
  );
  const isAlone = Object.keys(peers).length === 0;
  must(isAlone || Object.hasOwn(peers, nodeId), `peers must name this node (${nodeId}) too`);
  must(new Set(Object.values(peers)).size === Object.keys(peers).length, 'peers must not name one address twice');
  const { listen, peerListen, advertise = listen } = config;
  const ofPeers = Object.entries(peers).map(([id, address]) => [`peers.${id}`, address] as const);
  for (const [key, address] of [...Object.entries({ listen, peerListen, advertise }), ...ofPeers]) {
    must(parseAddress(address).port <= 65_535, `${key}: the port of ${address} is above 65535`);
  }
  for (const key of ['listen', 'peerListen'] as const) {
    const { host } = parseAddress(config[key]);
    must(
      config.insecure || isLoopback(host),
      `${key}: ${host} is reachable from other machines, and there is no TLS and no access control yet; listen on ` +
        '127.0.0.1, or say insecure (--insecure) to accept that anyone who reaches the port may read and write',
    );
  }
  must(
    config.listen !== config.peerListen || parseAddress(config.listen).port === 0,
    'listen and peerListen must differ: clients and peers have separate ports',
  );
  return problems;
}

function deepFreeze(value: Record<string, unknown>): Record<string, unknown> {
  for (const child of Object.values(value)) {
    if (typeof child === 'object' && child !== null) deepFreeze(child as Record<string, unknown>);
  }
  return Object.freeze(value);
}
