import { describe, expect, test } from 'vitest';
import {
  CONFIG_KEYS,
  ConfigError,
  type ConfigSources,
  configOf,
  describeConfig,
  isLoopback,
  loadConfig,
  parseAddress,
} from '../../src/config.ts';
import {
  BATCH_BYTES_MAX,
  CONNECTION_SEND_BYTES_MAX,
  CONNECTIONS_MAX,
  RECORD_BYTES_MAX,
} from '../../src/protocol/index.ts';

const file = (value: unknown): { path: string; text: string } => ({
  path: 'logdrive.json',
  text: JSON.stringify(value),
});

function problemsOf(sources: ConfigSources): readonly string[] {
  try {
    loadConfig(sources);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe('where a value comes from', () => {
  test('nothing given is the defaults, and they can be started with', () => {
    const { config, warnings } = loadConfig();
    expect(config.listen).toBe('127.0.0.1:4437');
    expect(config.raft.heartbeatMs).toBe(40);
    expect(warnings).toEqual([]);
  });

  test('a flag wins over a variable, a variable over the file, the file over the default', () => {
    const sources = {
      file: file({ dataDir: 'from-file', nodeId: 'file', listen: '127.0.0.1:1' }),
      env: { LOGDRIVE_DATA_DIR: 'from-env', LOGDRIVE_NODE_ID: 'env' },
      flags: { 'data-dir': 'from-flag', 'peer-listen': undefined },
    };
    const loaded = loadConfig(sources);
    const { dataDir, nodeId, listen, peerListen } = loaded.config;
    expect({ dataDir, nodeId, listen, peerListen }).toEqual({
      dataDir: 'from-flag',
      nodeId: 'env',
      listen: '127.0.0.1:1',
      peerListen: '127.0.0.1:4438',
    });
    const origins = describeConfig(loaded).filter(({ key }) =>
      ['dataDir', 'nodeId', 'listen', 'storage'].includes(key),
    );
    expect(origins).toEqual([
      { key: 'nodeId', value: 'env', origin: 'LOGDRIVE_NODE_ID' },
      { key: 'dataDir', value: 'from-flag', origin: '--data-dir' },
      { key: 'storage', value: 'disk', origin: 'default' },
      { key: 'listen', value: '127.0.0.1:1', origin: 'logdrive.json' },
    ]);
  });

  test('a nested key has one spelling on each face', () => {
    const row = CONFIG_KEYS.find(({ key }) => key === 'raft.heartbeatMs');
    expect(row).toMatchObject({ flag: 'raft-heartbeat-ms', env: 'LOGDRIVE_RAFT__HEARTBEAT_MS' });
    expect(loadConfig({ env: { LOGDRIVE_RAFT__HEARTBEAT_MS: '20' } }).config.raft.heartbeatMs).toBe(20);
    expect(loadConfig({ flags: { 'raft-heartbeat-ms': 21 } }).config.raft.heartbeatMs).toBe(21);
    expect(configOf({ raft: { heartbeatMs: 22 } }).raft.heartbeatMs).toBe(22);
  });

  test('sizes and times may carry their unit', () => {
    const flags = { 'wal-segment-bytes': '8MiB', 'shutdown-deadline-ms': '5s' };
    const { wal, shutdown } = loadConfig({ flags }).config;
    expect([wal.segmentBytes, shutdown.deadlineMs]).toEqual([8 * 1024 * 1024, 5_000]);
    expect(problemsOf({ flags: { 'limits-connections-max': '5s' } })[0]).toMatch(/limits.connectionsMax .*integer/);
  });

  test('peers are a list of id=address, in the order given', () => {
    const flags = { peers: 'n2=127.0.0.1:2,n1=127.0.0.1:1,n3=127.0.0.1:3' };
    expect(Object.entries(loadConfig({ flags }).config.peers)).toEqual([
      ['n2', '127.0.0.1:2'],
      ['n1', '127.0.0.1:1'],
      ['n3', '127.0.0.1:3'],
    ]);
  });

  test('the file may hold comments, but not inside texts', () => {
    const text = '{ // which\n "dataDir": "/a//b", /* both\n lines */ "nodeId": "n1" }';
    expect(loadConfig({ file: { path: 'f', text } }).config.dataDir).toBe('/a//b');
  });

  test('the result cannot be changed by whoever holds it', () => {
    const config = configOf();
    expect(() => Object.assign(config.raft, { tickMs: 1 })).toThrow(TypeError);
  });
});

describe('what is refused', () => {
  test.each([
    ['an unknown flag', { flags: { 'data-dri': 'x' } }, 'unknown flag --data-dri; did you mean --data-dir?'],
    ['an unknown key', { file: file({ dataDri: 'x' }) }, 'logdrive.json: unknown key dataDri; did you mean dataDir?'],
    ['an unknown nested key', { file: file({ raft: { x: 1 } }) }, 'logdrive.json: unknown key raft.x'],
    ['a key called __proto__', { file: { path: 'f', text: '{"__proto__": {"a": 1}}' } }, 'f: unknown key __proto__'],
    ['a value out of range', { flags: { 'raft-tick-ms': 0 } }, 'raft.tickMs (from --raft-tick-ms): 0 must be >= 1'],
    ['a word for a number', { flags: { 'raft-tick-ms': 'constructor' } }, '"constructor" must be integer'],
    ['a word for yes or no', { env: { LOGDRIVE_BOOTSTRAP: 'constructor' } }, '"constructor" must be boolean'],
    ['a storage that is not there', { flags: { storage: 'tape' } }, 'allowed values: disk, memory'],
    ['a file that is no JSON', { file: { path: 'f', text: '{' } }, 'f: not JSON'],
    ['a group that is no object', { file: file({ raft: 3 }) }, 'logdrive.json: raft must be an object'],
    ['a node id with a slash', { flags: { 'node-id': '../x' } }, 'nodeId (from --node-id): "../x" must match pattern'],
    ['an address without a port', { flags: { listen: 'localhost' } }, 'listen (from --listen)'],
    [
      'a port above 65535',
      { flags: { listen: '127.0.0.1:70000' } },
      'listen: the port of 127.0.0.1:70000 is above 65535',
    ],
    [
      'a port of a peer above 65535',
      { flags: { peers: { n1: 'a:1', n2: 'b:70000' } } },
      'peers.n2: the port of b:70000 is above 65535',
    ],
    ['an advertised port above 65535', { flags: { advertise: 'a:70000' } }, 'advertise: the port of a:70000 is above'],
    ['one peer named twice', { flags: { peers: 'n1=a:1,n1=b:1' } }, 'peers (from --peers)'],
    ['two peers at one address', { flags: { peers: 'n1=a:1,n2=a:1' } }, 'peers must not name one address twice'],
    ['peers without this node', { flags: { peers: 'n2=a:1' } }, 'peers must name this node (n1) too'],
    [
      'elections too near to heartbeats',
      { flags: { 'raft-heartbeat-ms': 50 } },
      'must be at least 5 x raft.heartbeatMs',
    ],
    ['an empty election range', { flags: { 'raft-election-ms-max': 200 } }, 'raft.electionMsMax must be above'],
    [
      'records above batches',
      { flags: { 'limits-batch-bytes-max': '64KiB' } },
      'limits.recordBytesMax must not be above',
    ],
    ['segments below a batch', { flags: { 'wal-segment-bytes': '1MiB' } }, 'wal.segmentBytes must be at least'],
    ['an open port without --insecure', { flags: { listen: '0.0.0.0:4437' } }, 'say insecure (--insecure)'],
    ['an open peer port', { flags: { 'peer-listen': '10.0.0.1:4438' } }, 'peerListen: 10.0.0.1 is reachable'],
    ['one port for both', { flags: { 'peer-listen': '127.0.0.1:4437' } }, 'listen and peerListen must differ'],
  ] satisfies [string, ConfigSources, string][])('%s', (_name, sources, expected) => {
    expect(problemsOf(sources).join('\n')).toContain(expected);
  });

  test('every problem is told at once', () => {
    expect(problemsOf({ flags: { nope: 1, 'raft-tick-ms': 0, storage: 'tape' } })).toHaveLength(3);
  });

  test('an unknown variable is only warned about, because others set such ones', () => {
    const env = { LOGDRIVE_PORT: 'tcp://10.0.0.1:80', LOGDRIVE_DATA_DRI: 'x', LOGDRIVE_SERVER: 'x', OTHER: '1' };
    const { warnings } = loadConfig({ env, envKnownElsewhere: ['LOGDRIVE_SERVER'] });
    expect(warnings).toEqual([
      'unknown variable LOGDRIVE_PORT is ignored',
      'unknown variable LOGDRIVE_DATA_DRI is ignored; did you mean LOGDRIVE_DATA_DIR?',
    ]);
  });
});

describe('addresses', () => {
  test('an address has a host and a port, IPv6 in brackets', () => {
    expect(parseAddress('localhost:80')).toEqual({ host: 'localhost', port: 80 });
    expect(parseAddress('[::1]:0')).toEqual({ host: '::1', port: 0 });
  });

  test('loopback is this machine and nothing that looks like it', () => {
    expect(['127.0.0.1', '127.9.9.9', '::1', 'localhost'].map(isLoopback)).toEqual([true, true, true, true]);
    expect(['0.0.0.0', '127.0.0.1.example', '::', '1127.0.0.1'].map(isLoopback)).toEqual([false, false, false, false]);
  });

  test('an open port is allowed when it is asked for by name', () => {
    expect(loadConfig({ flags: { listen: '0.0.0.0:4437', insecure: true } }).config.listen).toBe('0.0.0.0:4437');
  });
});

test('the limits agree with the protocol, which this file may not import', () => {
  const { limits } = configOf();
  expect(limits).toMatchObject({
    recordBytesMax: RECORD_BYTES_MAX,
    batchBytesMax: BATCH_BYTES_MAX,
    sendBytesMax: CONNECTION_SEND_BYTES_MAX,
    connectionsMax: CONNECTIONS_MAX,
  });
  expect(CONFIG_KEYS.find(({ key }) => key === 'limits.batchBytesMax')?.range).toBe(`4096..${BATCH_BYTES_MAX}`);
});
