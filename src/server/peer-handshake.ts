/**
 * How two nodes come to trust a pair of sockets. Of two nodes the one with the lower id (by code units) dials, always
 * both lanes at once, under one random link name:
 *
 *   dialer                      answerer
 *   hello ------------------->  known id? lower than mine? meant for me? same cluster? admitted?
 *         <-------------------  accept (its own facts), or reject (why)
 *   meant for it? same cluster? admitted?
 *   accept ------------------>  lane is good; when both lanes of the link are:
 *         <-------------------  ready, on both: what follows it on bulk must not race it on control
 *
 * Nothing but this is read before both sides agreed, and no frame of it may exceed PEER_HANDSHAKE_BYTES_MAX. Each
 * link has HANDSHAKE_MS from connect to ready. An old process of the same node that still holds sockets is replaced:
 * the newest link wins, because only a living process can make one.
 */
import type { PeerHandler } from '../broker/index.ts';
import type { Lane } from '../partition/index.ts';

export const PEER_VERSION = 1;
export const HANDSHAKE_MS = 2_000;

/** What a node says of itself, and whom it means to talk to. */
export interface PeerHello {
  readonly versionMin: number;
  readonly versionMax: number;
  readonly lane: Lane;
  /** 32 hex digits: names the pair of sockets. */
  readonly link: string;
  readonly from: string;
  readonly to: string;
  readonly diskUuid: string;
  readonly clusterId: string | undefined;
  readonly clientUrl: string | undefined;
  /** Version of the software. */
  readonly version: string;
}

export function encodeHello(
  identity: ReturnType<PeerHandler['identity']>,
  pair: { readonly lane: Lane; readonly link: string; readonly to: string },
): Uint8Array {
  const { nodeId, diskUuid, clusterId, clientUrl, version } = identity;
  const versions = { versionMin: PEER_VERSION, versionMax: PEER_VERSION };
  return Buffer.from(JSON.stringify({ ...versions, ...pair, from: nodeId, diskUuid, clusterId, clientUrl, version }));
}

/** @returns the hello, or what is wrong with it. */
export function decodeHello(body: Uint8Array): PeerHello | string {
  let fields: unknown;
  try {
    fields = JSON.parse(Buffer.from(body).toString('utf8'));
  } catch {
    return 'hello is not JSON';
  }
  if (typeof fields !== 'object' || fields === null) return 'hello is not an object';
  const { versionMin, versionMax, lane, link, from, to, diskUuid, clusterId, clientUrl, version } = fields as Record<
    string,
    unknown
  >;
  if (!Number.isSafeInteger(versionMin) || !Number.isSafeInteger(versionMax)) return 'hello names no versions';
  if (lane !== 'control' && lane !== 'bulk') return 'hello names no lane';
  if (typeof link !== 'string' || !/^[0-9a-f]{32}$/.test(link)) return 'hello names no link';
  if (typeof from !== 'string' || typeof to !== 'string') return 'hello names no nodes';
  if (typeof diskUuid !== 'string' || !/^[0-9a-f]{32}$/.test(diskUuid)) return 'hello names no disk';
  if (typeof version !== 'string') return 'hello names no software version';
  return {
    versionMin: versionMin as number,
    versionMax: versionMax as number,
    lane,
    link,
    from,
    to,
    diskUuid,
    clusterId: typeof clusterId === 'string' ? clusterId : undefined,
    clientUrl: typeof clientUrl === 'string' ? clientUrl : undefined,
    version,
  };
}

/** Whether what the other side said of itself lets it take part; the reason goes to both logs when not. */
export function judgeHello(hello: PeerHello, handler: PeerHandler): true | string {
  const self = handler.identity();
  if (hello.versionMin > PEER_VERSION || hello.versionMax < PEER_VERSION) {
    return `speaks peer protocol ${hello.versionMin} to ${hello.versionMax}, this node speaks ${PEER_VERSION}`;
  }
  if (hello.to !== self.nodeId)
    return `meant for node ${hello.to}, this is ${self.nodeId}: check the addresses in peers`;
  if (hello.clusterId !== undefined && self.clusterId !== undefined && hello.clusterId !== self.clusterId) {
    return `belongs to cluster ${hello.clusterId}, this node to ${self.clusterId}`;
  }
  return handler.admits({ nodeId: hello.from, diskUuid: hello.diskUuid, clusterId: hello.clusterId });
}

/** Whether `id` is the one of the two that dials. */
export function dials(id: string, other: string): boolean {
  return id < other;
}
