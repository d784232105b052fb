/**
 * Whether the other nodes are alive, asked once a pair of nodes instead of once a group: idle groups rest on it
 * (src/raft/rest.ts). Every node sends every peer a *beat* each heartbeat period, and tells its partitions when nothing
 * was heard of a peer. Once a second, when it lost one, and when it is asked, a beat lists what the sender leads: a
 * replica that rests under a leader that is none any more (its word that it stepped down was lost, or its partition was
 * stopped) wakes. Who was silent and is heard again is asked for its list: the replicas that woke rest on, a thousand
 * of them on one message.
 *
 *   beat: u8 1   u8 flags (1: has a list, 2: asks for one)   with a list: u32 count, then each u32 group, u53 term
 *
 * Beats travel on the control lane like raft messages, under a group id no group has. Losing one is harmless.
 */
import { ByteReader, ByteWriter, MalformedBytes, type Transport } from '../partition/index.ts';
import type { BrokerOptions } from './options.ts';
import { Silences } from './silences.ts';

/** Not a group: what nodes tell each other about themselves. Group ids count up from 0 and never get here. */
export const NODE_GROUP = 0xffff_ffff;

export interface Led {
  readonly groupId: number;
  readonly term: number;
}

export interface BeatsParts {
  readonly transport: Pick<Transport, 'send' | 'isUp'>;
  readonly heartbeatTicks: number;
  /**
   * Ticks without a message after which a peer is called silent, unless it was called so for nothing; at most the
   * shortest election timeout, since a group that wakes has them counted already and waits for the rest of its own.
   */
  readonly silentTicks: number;
  /** Ticks between two lists. */
  readonly listTicks: number;
  /** The groups this node leads. */
  led(): Iterable<Led>;
  /** Said again for as long as it lasts. */
  onSilent(peer: string, ticks: number): void;
  /** One that was called silent is heard again. */
  onHeard(peer: string): void;
  /** Everything `peer` leads: group to term. */
  onList(peer: string, led: ReadonlyMap<number, number>): void;
}

/** The partitions of a node, as far as they rest on beats. */
export interface Rested {
  led(): Iterable<Led>;
  peerSilent(peer: string, ticks: number): void;
  peerLeads(peer: string, led?: ReadonlyMap<number, number>): void;
}

const BEAT = 1;
const HAS_LIST = 1;
const ASKS_FOR_LIST = 2;
const LIST_MS = 1_000;

export class Beats {
  readonly #parts: BeatsParts;
  readonly #silences: Silences;
  /** Peers that were called silent and have not said since what they lead. */
  readonly #unsure = new Set<string>();
  #ticks = 0;
  #listDue = 0;

  /** Beats for the partitions of a broker, at the pace of its heartbeats. */
  static of({ tickMs, timing }: BrokerOptions, transport: Transport, rested: Rested): Beats {
    return new Beats({
      transport,
      heartbeatTicks: timing.heartbeatTicks,
      silentTicks: timing.electionTicksMin,
      listTicks: Math.ceil(LIST_MS / tickMs),
      led: () => rested.led(),
      onSilent: (peer, ticks) => rested.peerSilent(peer, ticks),
      onHeard: (peer) => rested.peerLeads(peer),
      onList: (peer, led) => rested.peerLeads(peer, led),
    });
  }

  constructor(parts: BeatsParts) {
    this.#parts = parts;
    this.#silences = new Silences(parts.silentTicks);
  }

  /** This node leads something no more: those who rest under it are told with the next beat. */
  lostLeadership(): void {
    this.#listDue = 0;
  }

  peerUp(peer: string): void {
    this.#silences.up(peer);
  }

  /** Whose link is down is not silent but gone, and the partitions know. */
  peerDown(peer: string): void {
    this.#silences.down(peer);
    this.#unsure.delete(peer);
  }

  /** Any message of that node is as good a sign of life as a beat. */
  heard(peer: string): void {
    if (this.#silences.heard(peer)) this.#parts.onHeard(peer);
  }

  tick(): void {
    const { heartbeatTicks, onSilent } = this.#parts;
    this.#ticks += 1;
    this.#silences.tick((peer, ticks) => {
      this.#unsure.add(peer);
      onSilent(peer, ticks);
    });
    if (this.#ticks % heartbeatTicks === 0) this.#send();
  }

  /** Bytes that came under NODE_GROUP. What cannot be read is a sign of life and nothing else: the link has checked the
   *  frame, so it is of another version. */
  receive(from: string, bytes: Uint8Array): void {
    if (!this.#silences.isUp(from)) return;
    this.heard(from);
    let beat: Beat;
    try {
      beat = decodeBeat(bytes);
    } catch (error) {
      if (!(error instanceof MalformedBytes)) throw error;
      return;
    }
    if (beat.asksForList) this.#listDue = 0;
    if (beat.led === undefined) return;
    this.#unsure.delete(from);
    this.#parts.onList(from, beat.led);
  }

  #send(): void {
    const { transport, listTicks } = this.#parts;
    const isListDue = this.#ticks >= this.#listDue;
    if (isListDue) this.#listDue = this.#ticks + listTicks;
    // Encoded once: all peers get the same list.
    const list = isListDue ? this.#encodeList() : undefined;
    // Whoever has a link, also who joined later: their replicas rest on this node as those of all others do.
    for (const peer of this.#silences.peers) {
      if (!transport.isUp(peer)) continue;
      const flags = (list === undefined ? 0 : HAS_LIST) + (this.#unsure.has(peer) ? ASKS_FOR_LIST : 0);
      const head = Uint8Array.of(BEAT, flags);
      transport.send(peer, 'control', NODE_GROUP, list === undefined ? [head] : [head, list]);
    }
  }

  #encodeList(): Uint8Array {
    const led = [...this.#parts.led()];
    const writer = new ByteWriter(4 + 12 * led.length);
    writer.u32(led.length);
    for (const { groupId, term } of led) {
      writer.u32(groupId);
      writer.u53(term);
    }
    return writer.finish();
  }
}

interface Beat {
  readonly asksForList: boolean;
  /** What the sender leads, when it says it. */
  readonly led: ReadonlyMap<number, number> | undefined;
}

/** @throws MalformedBytes */
function decodeBeat(bytes: Uint8Array): Beat {
  const reader = new ByteReader(bytes);
  const flags = reader.u8() === BEAT ? reader.u8() : 0;
  const asksForList = (flags & ASKS_FOR_LIST) !== 0;
  return { asksForList, led: (flags & HAS_LIST) === 0 ? undefined : decodeList(reader) };
}

function decodeList(reader: ByteReader): ReadonlyMap<number, number> {
  const led = new Map<number, number>();
  for (let left = reader.u32(); left > 0; left -= 1) led.set(reader.u32(), reader.u53());
  reader.expectEnd();
  return led;
}
