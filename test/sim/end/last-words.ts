/** What nodes said and where they stood when a run came to nothing: for whoever looks at the failure. */
import { LogError } from '../../../src/protocol/index.ts';
import { describeRaft } from '../../../src/raft/index.ts';
import type { View } from '../invariants/view.ts';
import type { SimCluster } from '../world/cluster.ts';
import type { LogLine } from '../world/process.ts';

export function lastWords(cluster: SimCluster, view: View): string {
  const words: string[] = [];
  for (const { id, process, broker, lastError } of cluster.nodes.values()) {
    words.push(
      `${id}: ${process === undefined ? 'down' : 'up'}${lastError === undefined ? '' : `, ended by ${lastError}`}`,
    );
    for (const { name, isOk, detail } of broker?.readiness() ?? []) if (!isOk) words.push(`  ${name}: ${detail}`);
    for (const line of process?.lines.slice(-6) ?? []) words.push(`  ${lineText(line)}`);
  }
  for (const { id, replicas } of view.groups.values()) {
    for (const { node, core } of replicas.values()) {
      if (core !== undefined) words.push(`group ${id} on ${node}: ${describeRaft({ inspect: () => core })}`);
    }
  }
  return words.join('\n');
}

export function lineText({ level, message, fields }: LogLine): string {
  const shown = JSON.stringify(fields, (_key, value: unknown) =>
    LogError.is(value) || value instanceof Error ? String(value) : value,
  );
  return `${level} ${message} ${shown}`;
}
