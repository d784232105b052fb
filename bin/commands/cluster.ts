/** `logdrive cluster info`: the nodes, as the one that is asked sees them. */
import type { ClusterInfo } from '../../src/client/index.ts';
import { CLIENT_FLAGS, type Command } from '../command.ts';
import { withClient } from '../open-client.ts';
import { type Column, renderDocument, renderTable } from '../output.ts';

const NODE_COLUMNS: readonly Column<ClusterInfo['nodes'][number]>[] = [
  { title: 'NODE', text: (row) => row.id },
  { title: 'UP', text: (row) => (row.isUp ? 'yes' : 'no') },
  { title: 'LEADS', text: (row) => String(row.partitionsLed), align: 'right' },
  { title: 'CLIENTS', text: (row) => row.url ?? '-' },
  { title: 'PEERS', text: (row) => row.peerAddress },
  { title: 'VERSION', text: (row) => row.version ?? '-' },
  { title: 'DISK', text: (row) => row.diskUuid ?? '-' },
];

export const clusterInfo: Command = {
  usage: 'info',
  flags: CLIENT_FLAGS,
  run: (invocation) =>
    withClient(invocation, async (client) => {
      const cluster = await client.admin.cluster();
      const head = `Cluster ${cluster.clusterId ?? 'not formed yet'}, seen by ${cluster.nodeId}\n`;
      const text = (): string => `${head}${renderTable(NODE_COLUMNS, cluster.nodes)}`;
      invocation.terminal.out.writeText(renderDocument(invocation.output, cluster, text));
    }),
};
