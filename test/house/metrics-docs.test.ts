/** docs/metrics.md, the table of src/metrics.ts, a real scrape and the code that reports name the same metrics. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { METRICS, type MetricName } from '../../src/metrics.ts';
import { PrometheusMetrics } from '../../src/server/prometheus.ts';

const names = Object.keys(METRICS) as MetricName[];

function sources(): string {
  const files = ['src', 'storage'].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts') && path !== 'metrics.ts')
      .map((path) => `${folder}/${path}`),
  );
  return files.map((path) => readFileSync(path, 'utf8')).join('\n');
}

describe('the metrics', () => {
  test('are documented one row each: name, kind, labels and the same sentence', () => {
    const rows = readFileSync('docs/metrics.md', 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('| `logdrive_'));
    const expected = names.map((name) => {
      const { kind, labels, sentence } = METRICS[name];
      return `| \`${name}\` | ${kind} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${sentence} |`;
    });
    expect(rows.sort()).toEqual(expected.sort());
  });

  test('are each reported by somebody', () => {
    const text = sources();
    expect(names.filter((name) => !text.includes(`'${name}'`))).toEqual([]);
  });

  test('carry their unit in the name, as Prometheus wants it', () => {
    const counters = names.filter((name) => METRICS[name].kind === 'counter');
    expect(counters.filter((name) => !name.endsWith('_total'))).toEqual([]);
    const others = names.filter((name) => METRICS[name].kind !== 'counter');
    expect(others.filter((name) => name.endsWith('_total'))).toEqual([]);
    expect(names.filter((name) => /_(ms|millis|kb|mb)(_|$)/.test(name))).toEqual([]);
  });

  test('are all in a scrape, and nothing else is', async () => {
    const metrics = new PrometheusMetrics({ node: 'n1', version: '1' });
    try {
      const found = [...(await metrics.scrape()).matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, kind]) => [
        name,
        kind,
      ]);
      expect(found.sort()).toEqual(names.map((name) => [name, METRICS[name].kind]).sort());
    } finally {
      metrics.close();
    }
  });

  test('have buckets that ascend, when they are histograms and only then', () => {
    for (const name of names) {
      const { kind, buckets } = METRICS[name];
      expect(buckets !== undefined, name).toBe(kind === 'histogram');
      expect(buckets ?? []).toEqual([...(buckets ?? [])].sort((a, b) => a - b));
    }
  });
});
