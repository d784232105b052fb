/** Nodes with links to each other, handlers that remember everything, and a relay between them that can be cut. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { PeerHandler, PeerMethod } from '../../../src/broker/index.ts';
import { crc32cPortable } from '../../../src/protocol/index.ts';
import { PeerLinks } from '../../../src/server/peer-links.ts';
import { closeLater } from './closing.ts';
import { realWorld, type TestWorld, until } from './world.ts';

/** A broker's side of the links that remembers everything. */
export class Handler implements PeerHandler {
  readonly id: string;
  readonly events: string[] = [];
  readonly messages: { from: string; groupId: number; bytes: Uint8Array }[] = [];
  readonly disk: string;
  clusterId: string | undefined = 'c1';
  verdict: (peer: { nodeId: string; diskUuid: string; clusterId: string | undefined }) => true | string = () => true;
  answer: (method: PeerMethod, body: Uint8Array) => Promise<readonly Uint8Array[]> = async (_method, body) => [body];

  constructor(id: string) {
    this.id = id;
    this.disk = id.charCodeAt(1).toString(16).padStart(32, '0');
  }

  onMessage(from: string, groupId: number, bytes: Uint8Array): void {
    this.messages.push({ from, groupId, bytes });
  }

  onCall(_from: string, method: PeerMethod, body: Uint8Array): Promise<readonly Uint8Array[]> {
    return this.answer(method, body);
  }

  onUp(peer: string): void {
    this.events.push(`up ${peer}`);
  }

  onDown(peer: string): void {
    this.events.push(`down ${peer}`);
  }

  identity(): ReturnType<PeerHandler['identity']> {
    const clientUrl = `ws://${this.id}/v1/ws`;
    return { nodeId: this.id, diskUuid: this.disk, clusterId: this.clusterId, clientUrl, version: '1.2.3' };
  }

  admits(peer: Parameters<PeerHandler['admits']>[0]): true | string {
    return this.verdict(peer);
  }
}

export interface Node {
  readonly links: PeerLinks;
  readonly handler: Handler;
  readonly world: Omit<TestWorld, 'time'>;
}

/** A node that listens on a free port, or the one given; not attached yet. */
export async function node(
  id: string,
  peers: Record<string, string>,
  port = 0,
  world: Omit<TestWorld, 'time'> = realWorld(),
): Promise<Node> {
  const listen = { host: '127.0.0.1', port };
  const links = await PeerLinks.open(world.env, world.metrics, { nodeId: id, peers, listen, crc32c: crc32cPortable });
  closeLater(() => links.close());
  return { links, handler: new Handler(id), world };
}

/** n1 dials n2; both up. */
export async function pair(): Promise<[Node, Node]> {
  const second = await node('n2', { n1: '127.0.0.1:1' });
  const first = await node('n1', { n2: `127.0.0.1:${second.links.port}` });
  second.links.attach(second.handler);
  first.links.attach(first.handler);
  await until('the link is up', () => first.links.isUp('n2') && second.links.isUp('n1'));
  return [first, second];
}

/** A relay that can be cut, and that shows the bytes that pass. */
export class Relay {
  readonly server: Server;
  readonly pairs: { client: Socket; server: Socket }[] = [];
  accepted = 0;
  isOpen = true;

  constructor(toPort: number) {
    this.server = createServer((client) => {
      this.accepted++;
      if (!this.isOpen) return client.destroy();
      const server = connect(toPort, '127.0.0.1');
      this.pairs.push({ client, server });
      for (const [from, to] of [
        [client, server],
        [server, client],
      ] as const) {
        from.pipe(to);
        from.on('error', () => to.destroy());
        from.on('close', () => to.destroy());
      }
      return undefined;
    });
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    closeLater(() => {
      this.cut();
      this.server.close();
    });
    return (this.server.address() as { port: number }).port;
  }

  cut(): void {
    for (const { client, server } of this.pairs.splice(0)) {
      client.destroy();
      server.destroy();
    }
  }
}
