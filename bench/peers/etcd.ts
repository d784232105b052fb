/**
 * etcd: three members, each write flushed on a majority before the answer, over HTTP (its JSON gateway), since that is
 * what a program without a library uses. Keys differ from request to request only by sender: etcd keeps old values.
 */
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { freePorts } from '../bench-cluster.ts';
import { ProcessGroup } from '../process-group.ts';
import type { BenchContext } from '../scenario.ts';
import type { Driver, Peer, RunningPeer } from './peer.ts';
import type { PeersDir } from './peers-dir.ts';
import { startServers, versionOf } from './servers.ts';

const NODES = 3;
const READY_MS_MAX = 30_000;
const REQUEST_MS_MAX = 3_000;

interface EtcdSettings {
  /** http://host:port of each member. */
  readonly urls: readonly string[];
}

export const etcd: Peer = {
  name: 'etcd',
  missing: async (tools) => tools.missingProgram('etcd'),
  start,
};

async function start(context: BenchContext, tools: PeersDir, dir: string): Promise<RunningPeer> {
  const ports = await freePorts(2 * NODES);
  const urls = ports.slice(0, NODES).map((port) => `http://127.0.0.1:${port}`);
  const peerUrls = ports.slice(NODES).map((port) => `http://127.0.0.1:${port}`);
  const cluster = peerUrls.map((url, at) => `m${at + 1}=${url}`).join(',');
  const processes = urls.map(
    (url, at) =>
      new ProcessGroup(context.cleanup, {
        name: `etcd m${at + 1}`,
        program: tools.program('etcd'),
        words: [
          ...['--name', `m${at + 1}`, '--data-dir', join(dir, `m${at + 1}`), '--log-level', 'error'],
          ...['--listen-client-urls', url, '--advertise-client-urls', url],
          ...['--listen-peer-urls', peerUrls[at]!, '--initial-advertise-peer-urls', peerUrls[at]!],
          ...['--initial-cluster', cluster, '--initial-cluster-state', 'new', '--initial-cluster-token', 'bench'],
          // The default of 2 GB of old values is soon reached.
          ...['--quota-backend-bytes', String(8 * 1024 ** 3)],
        ],
        cwd: dir,
      }),
  );
  const isHealthy = (at: number) => async (): Promise<boolean> => (await fetch(`${urls[at]}/health`)).ok;
  const { look, failover } = await startServers(context, processes, { isReady: isHealthy, timeoutMs: READY_MS_MAX });
  const version = await versionOf(context, tools.program('etcd'));
  const settings: EtcdSettings = { urls };
  return {
    label: `etcd ${version}, R${NODES}, fsync on a majority`,
    clients: [
      {
        label: 'HTTP, singles and POST by autocannon',
        driver: 'etcd',
        settings,
        targets: { 'HTTP POST': 1.3, singles: 1.3, 'failover gap': 0.1 },
      },
    ],
    look,
    ...failover,
  };
}

export async function openEtcd({ urls }: EtcdSettings): Promise<Driver> {
  const leader = async (): Promise<number | undefined> => {
    for (const [at, url] of urls.entries()) {
      const answer = await post(url, '/v3/maintenance/status', '{}').catch(() => undefined);
      if (answer === undefined) continue;
      const { header, leader: leading } = JSON.parse(answer) as { header: { member_id: string }; leader: string };
      if (leading !== undefined && leading === header.member_id) return at;
    }
    return undefined;
  };
  return {
    createTopic: async () => undefined,
    async sender(topic) {
      const agent = new Agent({ keepAlive: true });
      let at = (await leader()) ?? 0;
      return {
        async send(value) {
          try {
            await post(urls[at]!, '/v3/kv/put', putBody(topic, value), agent);
          } catch (error) {
            // The next member: this one may be dead.
            at = (at + 1) % urls.length;
            throw error;
          }
        },
        close: async () => agent.destroy(),
      };
    },
    async httpRequest(topic, value) {
      const url = urls[(await leader()) ?? 0]!;
      return {
        url: `${url}/v3/kv/put`,
        body: putBody(topic, value),
        headers: { 'content-type': 'application/json' },
      };
    },
    singlesOverHttp: true,
    leader,
    close: async () => undefined,
  };
}

function putBody(key: string, value: Uint8Array): string {
  const base64 = (bytes: string | Uint8Array): string => Buffer.from(bytes).toString('base64');
  return JSON.stringify({ key: base64(key), value: base64(value) });
}

async function post(url: string, path: string, body: string, agent?: Agent): Promise<string> {
  const asked = request(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    timeout: REQUEST_MS_MAX,
    ...(agent !== undefined && { agent }),
  });
  asked.on('timeout', () => asked.destroy(new Error(`${url} did not answer within ${REQUEST_MS_MAX} ms`)));
  asked.end(body);
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of answer) text += String(chunk);
  if (answer.statusCode !== 200) throw new Error(`${url}${path} was answered ${answer.statusCode}: ${text}`);
  return text;
}
