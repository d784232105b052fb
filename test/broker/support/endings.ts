/** Clusters end with the test that started them: `afterEach(crashAll)`, or `killAll` where nothing is to be awaited. */
import type { SimCluster } from './sim-cluster.ts';

const clusters: SimCluster[] = [];

export function endLater(cluster: SimCluster): void {
  clusters.push(cluster);
}

/** As SimCluster.crash(): the logs are closed, so that nothing of them runs into the next test. */
export async function crashAll(): Promise<void> {
  for (const cluster of clusters.splice(0)) {
    for (const [id, node] of cluster.nodes) if (node.broker !== undefined) await cluster.crash(id);
  }
}

export function killAll(): void {
  for (const cluster of clusters.splice(0)) for (const id of cluster.nodes.keys()) cluster.kill(id);
}
