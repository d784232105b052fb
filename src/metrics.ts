/**
 * Every metric of a node, declared once: name, kind, unit (in the name), labels and a sentence. Rooms report through
 * the Metrics contract by name; src/server turns the table into a Prometheus scrape. docs/metrics.md is compared with
 * this table by a test.
 */

export type MetricKind = 'counter' | 'gauge' | 'histogram';

export interface MetricRow {
  readonly kind: MetricKind;
  readonly sentence: string;
  readonly labels: readonly string[];
  /** Histograms only: upper bounds, ascending. */
  readonly buckets?: readonly number[];
}

const table = {
  logdrive_raft_leader_changes_total: { kind: 'counter', sentence: 'Times a partition on this node saw a new leader.', labels: [] },
} as const satisfies Record<string, MetricRow>;

export type MetricName = keyof typeof table;

export const METRICS: Readonly<Record<MetricName, MetricRow>> = table;

export type MetricLabels = Readonly<Record<string, string>>;

export interface Metrics {
  /** Adds to a counter. */
  add(name: MetricName, amount?: number, labels?: MetricLabels): void;
  /** Sets a gauge. */
  set(name: MetricName, value: number, labels?: MetricLabels): void;
  /** Adds a sample to a histogram. */
  observe(name: MetricName, value: number, labels?: MetricLabels): void;
}
