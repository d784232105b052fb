/**
 * `logdrive cluster info | add | remove | replace | drain | transfer`: the nodes, as the one that is asked sees them.
 */
import type { ClusterInfo } from '../../src/client/index.ts';
import { CLIENT_FLAGS, type Command, type Flag, type Invocation } from '../command.ts';
import { UsageError } from '../exit.ts';
import { withClient } from '../open-client.ts';
import { type Column, renderDocument, renderTable } from '../output.ts';
import { parseCount } from '../values.ts';

const NODE_COLUMNS: readonly Column<ClusterInfo['nodes'][number]>[] = [
  { title: 'NODE', text: (row) => row.id },
  { title: 'UP', text: (row) => (row.isUp ? 'yes' : 'no') },
  { title: 'STATE', text: (row) => row.state },
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

const PEER_ADDRESS: Flag = {
  kind: 'text',
  sentence: 'Where its peers reach the new node, host:port.',
  placeholder: 'ADDRESS',
};

/** What was decided, for people on stderr; scripts look at the exit code, and at `cluster info` for how far it is. */
function said(invocation: Invocation, what: string): void {
  invocation.terminal.say(`${what} See \`logdrive cluster info\` for how far it is.`);
}

export const clusterAdd: Command = {
  usage: 'add <node>',
  flags: { ...CLIENT_FLAGS, 'peer-address': PEER_ADDRESS },
  examples: [['$0 cluster add n4 --peer-address 10.0.0.4:4438', 'n4 runs there, with an empty directory']],
  run: async (invocation) => {
    const peerAddress = invocation.text('peer-address');
    if (peerAddress === undefined) throw new UsageError('--peer-address is needed: host:port of the new node');
    const node = invocation.words('node');
    await withClient(invocation, (client) => client.admin.addNode(node, peerAddress));
    said(invocation, `${node} is joining.`);
  },
};

export const clusterRemove: Command = {
  usage: 'remove <node>',
  flags: CLIENT_FLAGS,
  run: async (invocation) => {
    const node = invocation.words('node');
    await withClient(invocation, (client) => client.admin.removeNode(node));
    said(invocation, `${node} is leaving; stop it once it is gone. Its id is never used again.`);
  },
};

export const clusterReplace: Command = {
  usage: 'replace <node> <by>',
  flags: { ...CLIENT_FLAGS, 'peer-address': PEER_ADDRESS },
  examples: [['$0 cluster replace n3 n4 --peer-address 10.0.0.4:4438', 'n4 is added and takes the place of n3']],
  run: async (invocation) => {
    const [node, by, peerAddress] = [invocation.words('node'), invocation.words('by'), invocation.text('peer-address')];
    const options = peerAddress === undefined ? {} : { peerAddress };
    await withClient(invocation, (client) => client.admin.replaceNode(node, by, options));
    said(invocation, `${node} is leaving, ${by} takes its place.`);
  },
};

export const clusterDrain: Command = {
  usage: 'drain <node>',
  flags: { ...CLIENT_FLAGS, off: { kind: 'switch', sentence: 'The node leads again.' } },
  run: async (invocation) => {
    const node = invocation.words('node');
    const isDrained = !invocation.isOn('off');
    await withClient(invocation, (client) => client.admin.drainNode(node, isDrained));
    said(invocation, isDrained ? `${node} hands its leaderships over.` : `${node} leads again.`);
  },
};

export const clusterTransfer: Command = {
  usage: 'transfer <topic> <node>',
  flags: {
    ...CLIENT_FLAGS,
    partition: { kind: 'text', short: 'p', sentence: 'Which partition.', placeholder: 'N', defaultText: '0' },
  },
  run: async (invocation) => {
    const [topic, node] = [invocation.words('topic'), invocation.words('node')];
    const partition = parseCount('--partition', invocation.text('partition')!, 0);
    await withClient(invocation, (client) => client.admin.transferLeader(topic, partition, node));
    invocation.terminal.say(`${node} leads partition ${partition} of ${topic}.`);
  },
};
