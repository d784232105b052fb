/** Files of a simulated node, looked at and changed behind its back: what a bad disk, or a person, does to them. */
import type { Disk } from '../../../storage/index.ts';
import type { SimCluster } from './sim-cluster.ts';

/** Paths of a log's segment files, oldest first. */
export async function segmentsOf(cluster: SimCluster, id: string, log: string): Promise<string[]> {
  const items = await cluster.node(id).disk.list(log);
  return items
    .filter(({ name }) => name.endsWith('.segment'))
    .map(({ name }) => `${log}/${name}`)
    .sort();
}

export async function fileBytes(cluster: SimCluster, id: string, path: string): Promise<Uint8Array> {
  const file = await cluster.node(id).disk.open(path, 'read');
  const bytes = new Uint8Array(await file.bytes());
  await file.read(0, bytes);
  await file.close();
  return bytes;
}

/** Makes a file hold exactly `bytes`, whether there was one or not. */
export async function putFile(cluster: SimCluster, id: string, path: string, bytes: Uint8Array): Promise<void> {
  const { disk } = cluster.node(id);
  if ((await disk.stat(path)) !== undefined) await disk.remove(path);
  await withFile(disk, path, 'create', async (file) => file.write(0, [bytes]));
  await disk.syncDirectory(path.slice(0, path.lastIndexOf('/')));
}

/** Writes over a part of a file. */
export async function overwrite(
  cluster: SimCluster,
  id: string,
  path: string,
  position: number,
  bytes: Uint8Array,
): Promise<void> {
  await withFile(cluster.node(id).disk, path, 'write', (file) => file.write(position, [bytes]));
}

/** Turns one bit of the byte at `position`. */
export async function damageFile(cluster: SimCluster, id: string, path: string, position: number): Promise<void> {
  const bytes = await fileBytes(cluster, id, path);
  await overwrite(cluster, id, path, position, Uint8Array.of(bytes[position]! ^ 0x10));
}

async function withFile(
  disk: Disk,
  path: string,
  mode: 'create' | 'write',
  change: (file: Awaited<ReturnType<Disk['open']>>) => Promise<void>,
): Promise<void> {
  const file = await disk.open(path, mode);
  await change(file);
  await file.flush();
  await file.close();
}
