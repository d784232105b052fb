/**
 * Packets between nodes that the kernel drops (iptables), as a network would: unlike a relay that swallows bytes, TCP
 * notices, sends them again, slows down, and goes on where it was when the network is back.
 *
 * Rules name ports of the relays alone and stand in a chain of this process; one that a killed run left is removed.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import type { Direction, Relay } from './relay.ts';

const run = promisify(execFile);
const PLACES = ['/sbin/iptables', '/usr/sbin/iptables'];
const CHAIN = 'LOGDRIVE-LAB-';

/** Why packets cannot be dropped here; undefined when they can. */
export function whyNoPacketFilter(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'dropped packets need root on Linux';
  return PLACES.some((place) => existsSync(place)) ? undefined : 'dropped packets need iptables (Debian: iptables)';
}

export class PacketFilter {
  readonly #chain: string;
  /** Of rules that were taken out again. */
  #droppedBefore = 0;

  private constructor(chain: string) {
    this.#chain = chain;
  }

  static async open(): Promise<PacketFilter> {
    const { stdout } = await iptables('-S', 'OUTPUT');
    for (const [, pid] of stdout.matchAll(new RegExp(`-j ${CHAIN}(\\d+)`, 'g'))) {
      if (!existsSync(`/proc/${pid}`)) await remove(`${CHAIN}${pid}`);
    }
    const chain = `${CHAIN}${process.pid}`;
    await iptables('-N', chain);
    await iptables('-I', 'OUTPUT', '-o', 'lo', '-p', 'tcp', '-j', chain);
    return new PacketFilter(chain);
  }

  /** @param share Of the packets, 0 to 1: all of them, or each with that probability. */
  async drop({ port }: Relay, direction: Direction, share = 1): Promise<void> {
    const which = [direction === 'there' ? '--dport' : '--sport', String(port)];
    const chance = share === 1 ? [] : ['-m', 'statistic', '--mode', 'random', '--probability', String(share)];
    await iptables('-A', this.#chain, '-p', 'tcp', ...which, ...chance, '-j', 'DROP');
  }

  /** Packets, since the start. */
  async dropped(): Promise<number> {
    const { stdout } = await iptables('-nvxL', this.#chain);
    const now = [...stdout.matchAll(/^\s*(\d+)\s+\d+\s+DROP/gm)].reduce((sum, [, packets]) => sum + Number(packets), 0);
    return this.#droppedBefore + now;
  }

  async heal(): Promise<void> {
    this.#droppedBefore = await this.dropped();
    await iptables('-F', this.#chain);
  }

  async close(): Promise<void> {
    await remove(this.#chain);
  }
}

/** Waits for the lock of other users of the tables. */
function iptables(...words: readonly string[]): Promise<{ readonly stdout: string }> {
  return run('iptables', ['-w', ...words]);
}

async function remove(chain: string): Promise<void> {
  await iptables('-D', 'OUTPUT', '-o', 'lo', '-p', 'tcp', '-j', chain);
  await iptables('-F', chain);
  await iptables('-X', chain);
}
