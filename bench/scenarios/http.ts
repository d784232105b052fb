/** Single records over HTTP, in or out: what many small clients without a library get, one request each at a time. */
import autocannon from 'autocannon';
import { BenchCluster, durabilityOf, type Look } from '../bench-cluster.ts';
import { makeValues } from '../payload.ts';
import { figureOf } from '../result.ts';
import { defineScenario, nameOfRepeat, type Scenario } from '../scenario.ts';

const TARGET_REQUESTS_PER_SECOND = 4_000;
const TARGET_CONNECTIONS = 100;
const TOPIC = 'http';

export const http: Scenario = defineScenario({
  name: 'http',
  sentence: 'POST or GET of one record, by autocannon: requests a second.',
  options: {
    size: { default: 100, least: 1, sentence: 'bytes of a record' },
    connections: { default: 100, least: 1, sentence: 'connections, one request in flight each' },
    seconds: { default: 5, least: 1, sentence: 'seconds of a repeat' },
    get: { default: 0, least: 0, sentence: '1: GET of the first record instead of POST' },
    follower: { default: 0, least: 0, sentence: '1: to a follower, which forwards; 0: to the leader' },
    nodes: { default: 3, least: 1, sentence: 'nodes of the cluster' },
    repeats: { default: 5, least: 1, sentence: 'repeats, after one that is not counted' },
  },
  async run(context, { size, connections, seconds, get, follower, nodes, repeats }) {
    const cluster = await BenchCluster.start(context, { nodes });
    await cluster.createTopic(TOPIC);
    const leader = await cluster.leaderOf(TOPIC);
    const node = follower > 0 ? cluster.nodes.find((each) => each !== leader) : leader;
    if (node === undefined) throw new Error('a cluster of one node has no follower');
    const body = Buffer.from(makeValues(1, size)[0]!);
    const url = `http://${node.address}/v1/topics/${TOPIC}/records`;
    const headers = { 'content-type': 'application/octet-stream' };
    // There must be something to read.
    const first = await fetch(url, { method: 'POST', headers, body });
    if (!first.ok) throw new Error(`the first record was answered ${first.status}: ${await first.text()}`);
    const post = { url, method: 'POST', body, headers } as const;
    const request = get > 0 ? ({ url: `${url}?offset=0&limit=1`, method: 'GET' } as const) : post;
    const speeds: number[] = [];
    const p50s: number[] = [];
    const p99s: number[] = [];
    let before: Look | undefined;
    for (let repeat = 0; repeat <= repeats; repeat++) {
      if (repeat === 1) before = await cluster.look();
      const result = await autocannon({ ...request, connections, duration: seconds });
      if (result.errors > 0 || result.non2xx > 0) {
        throw new Error(
          `${result.non2xx} answers outside 2xx and ${result.errors} errors among ${result['2xx']} good ones`,
        );
      }
      const perSecond = result['2xx'] / result.duration;
      context.say(`${nameOfRepeat(repeat)}: ${Math.round(perSecond)} requests/s`);
      if (repeat === 0) continue;
      speeds.push(perSecond);
      p50s.push(result.latency.p50);
      p99s.push(result.latency.p99);
    }
    const isTarget = connections === TARGET_CONNECTIONS && nodes === 3 && follower === 0 && get === 0;
    return {
      durability: durabilityOf(nodes, context.machine.fileSystem),
      figures: [
        figureOf(
          {
            name: `${request.method} of one record, ${connections} connections`,
            unit: 'requests/s',
            better: 'higher',
            ...(isTarget && { target: TARGET_REQUESTS_PER_SECOND }),
          },
          speeds,
        ),
        figureOf({ name: 'answer p50', unit: 'ms', better: 'lower' }, p50s),
        figureOf({ name: 'answer p99', unit: 'ms', better: 'lower' }, p99s),
      ],
      processes: cluster.useBetween(before!, await cluster.look()),
      notes: ['autocannon runs in the client process and shares the processors with the nodes; it counts whole ms.'],
    };
  },
});
