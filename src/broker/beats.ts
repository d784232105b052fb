/**
 * Whether the other nodes are alive, asked once a pair of nodes instead of once a group: idle groups rest on it
 * (src/raft/rest.ts). Every node sends every peer a *beat* each heartbeat period, and tells its partitions when a
 * peer's beats stay away. Once a second, and when it lost one, a beat lists what the sender leads: a replica that rests
 * under a leader that is none any more (its word that it stepped down was lost, or its partition was stopped) wakes.
 *
 *   beat: u8 1   u8 hasList   when it has: u32 count, then each u32 group, u53 term
 *
 * Beats travel on the control lane like raft messages, under a group id no group has. Losing one is harmless.
 */
import { ByteReader, ByteWriter, MalformedBytes, type Transport } from '../partition/index.ts';
import type { BrokerOptions } from './options.ts';

/** Not a group: what nodes tell each other about themselves. Group ids count up from 0 and never get here. */
export const NODE_GROUP = 0xffff_ffff;

export interface Led {
  readonly groupId: number;
  readonly term: number;
}

export interface BeatsParts {
  readonly transport: Pick<Transport, 'send' | 'isUp'>;
  /** All configured peers. */
  readonly peers: readonly string[];
  readonly heartbeatTicks: number;
  /** Ticks without a beat after which a peer is called silent; below the shortest election timeout, so that a group
   *  that wakes still waits for the rest of it. */
  readonly silentTicks: number;
  /** Ticks between two lists. */
  readonly listTicks: number;
  /** The groups this node leads. */
  led(): Iterable<Led>;
  /** Said again for as long as it lasts. */
  onSilent(peer: string, ticks: number): void;
  /** Everything `peer` leads: group to term. */
  onList(peer: string, led: ReadonlyMap<number, number>): void;
}

/** The partitions of a node, as far as they rest on beats. */
export interface Rested {
  led(): Iterable<Led>;
  peerSilent(peer: string, ticks: number): void;
  peerLeads(peer: string, led: ReadonlyMap<number, number>): void;
}

const BEAT = 1;
const LIST_MS = 1_000;

export class Beats {
  readonly #parts: BeatsParts;
  /** Ticks since the last beat of each peer that is up. */
  readonly #silence = new Map<string, number>();
  #ticks = 0;
  #listDue = 0;

  /** Beats for the partitions of a broker, at the pace of its heartbeats. */
  static of({ nodeId, nodeIds, tickMs, timing }: BrokerOptions, transport: Transport, rested: Rested): Beats {
    return new Beats({
      transport,
      peers: nodeIds.filter((id) => id !== nodeId),
      heartbeatTicks: timing.heartbeatTicks,
      silentTicks: Math.ceil(timing.electionTicksMin / 2),
      listTicks: Math.ceil(LIST_MS / tickMs),
      led: () => rested.led(),
      onSilent: (peer, ticks) => rested.peerSilent(peer, ticks),
      onList: (peer, led) => rested.peerLeads(peer, led),
    });
  }

  constructor(parts: BeatsParts) {
    this.#parts = parts;
  }

  /** This node leads something no more: those who rest under it are told with the next beat. */
  lostLeadership(): void {
    this.#listDue = 0;
  }

  peerUp(peer: string): void {
    this.#silence.set(peer, 0);
  }

  /** Whose link is down is not silent but gone, and the partitions know. */
  peerDown(peer: string): void {
    this.#silence.delete(peer);
  }

  tick(): void {
    const { heartbeatTicks, silentTicks, onSilent } = this.#parts;
    this.#ticks += 1;
    for (const [peer, before] of this.#silence) {
      const ticks = before + 1;
      this.#silence.set(peer, ticks);
      // Again and again: a group may have gone to rest in between, on a message that was already on its way.
      if (ticks % silentTicks === 0) onSilent(peer, ticks);
    }
    if (this.#ticks % heartbeatTicks === 0) this.#send();
  }

  /** Bytes that came under NODE_GROUP. What cannot be read is a sign of life and nothing else: the link has checked the
   *  frame, so it is of another version. */
  receive(from: string, bytes: Uint8Array): void {
    if (!this.#silence.has(from)) return;
    this.#silence.set(from, 0);
    let led: ReadonlyMap<number, number> | undefined;
    try {
      led = decodeBeat(bytes);
    } catch (error) {
      if (!(error instanceof MalformedBytes)) throw error;
    }
    if (led !== undefined) this.#parts.onList(from, led);
  }

  #send(): void {
    const { transport, peers, listTicks } = this.#parts;
    const isListDue = this.#ticks >= this.#listDue;
    if (isListDue) this.#listDue = this.#ticks + listTicks;
    // Encoded once: all peers get the same bytes.
    const chunks = isListDue ? [this.#encodeList()] : [Uint8Array.of(BEAT, 0)];
    for (const peer of peers) if (transport.isUp(peer)) transport.send(peer, 'control', NODE_GROUP, chunks);
  }

  #encodeList(): Uint8Array {
    const led = [...this.#parts.led()];
    const writer = new ByteWriter(6 + 12 * led.length);
    writer.u8(BEAT);
    writer.u8(1);
    writer.u32(led.length);
    for (const { groupId, term } of led) {
      writer.u32(groupId);
      writer.u53(term);
    }
    return writer.finish();
  }
}

/** What the sender leads, when the beat says it. @throws MalformedBytes */
function decodeBeat(bytes: Uint8Array): ReadonlyMap<number, number> | undefined {
  const reader = new ByteReader(bytes);
  if (reader.u8() !== BEAT || reader.u8() === 0) return undefined;
  const led = new Map<number, number>();
  for (let left = reader.u32(); left > 0; left -= 1) led.set(reader.u32(), reader.u53());
  reader.expectEnd();
  return led;
}
