/** Reads the metrics page of a node back: what its group commit did between two looks. */
import type { FlushUse } from './result.ts';

/** Values by series, exactly as the page spells them: `name{label="value"}`. */
export type Scrape = ReadonlyMap<string, number>;

export async function scrape(address: string): Promise<Scrape> {
  const answer = await fetch(`http://${address}/metrics`);
  if (!answer.ok) throw new Error(`http://${address}/metrics answered ${answer.status}`);
  return parseScrape(await answer.text());
}

export function parseScrape(text: string): Scrape {
  const series = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const at = line.lastIndexOf(' ');
    series.set(line.slice(0, at), Number(line.slice(at + 1)));
  }
  return series;
}

export function flushUse(before: Scrape, after: Scrape): FlushUse {
  const grown = (name: string): number => (after.get(name) ?? 0) - (before.get(name) ?? 0);
  return {
    count: grown('logdrive_wal_flushes_total'),
    entries: grown('logdrive_wal_flush_entries_sum'),
    bytes: grown('logdrive_wal_flush_bytes_total'),
    seconds: grown('logdrive_wal_flush_seconds_sum'),
    byEntries: histogramOf('logdrive_wal_flush_entries', before, after),
  };
}

/** Prometheus counts every sample in its bucket and in all higher ones; here each is counted once. */
function histogramOf(name: string, before: Scrape, after: Scrape): [number | null, number][] {
  const buckets: [number | null, number][] = [];
  let below = 0;
  for (const [series, value] of after) {
    const bound = new RegExp(`^${name}_bucket\\{le="([^"]+)"\\}$`).exec(series)?.[1];
    if (bound === undefined) continue;
    const upTo = value - (before.get(series) ?? 0);
    buckets.push([bound === '+Inf' ? null : Number(bound), upTo - below]);
    below = upTo;
  }
  return buckets.filter(([, count]) => count > 0);
}
