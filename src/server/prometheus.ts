/**
 * Fulfils the Metrics contract with prom-client: one collector a row of src/metrics.ts, in a registry of its own, so
 * that two brokers in one process, and a host application with metrics of its own, do not meet.
 * The facts of the process (memory, processor time, event loop) are read at each scrape.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { METRICS, type MetricLabels, type MetricName, type Metrics } from '../metrics.ts';

/** What was added since the last scrape, with one set of labels. */
interface Sum {
  readonly labels: MetricLabels;
  added: number;
}

export class PrometheusMetrics implements Metrics {
  readonly #registry = new Registry();
  readonly #counters = new Map<MetricName, Counter>();
  readonly #gauges = new Map<MetricName, Gauge>();
  readonly #histograms = new Map<MetricName, Histogram>();
  /**
   * By name, then by the values of the labels. A dozen counters move with each append, and prom-client checks and joins
   * the labels of each: that is left for the scrape.
   */
  readonly #sums = new Map<MetricName, Map<string, Sum>>();
  readonly #loopDelay = monitorEventLoopDelay({ resolution: 10 });
  readonly #beforeScrape: (() => void)[] = [];

  constructor(identity: { readonly node: string; readonly version: string }) {
    for (const name of Object.keys(METRICS) as MetricName[]) {
      const { kind, sentence, labels, buckets } = METRICS[name];
      const options = { name, help: sentence, labelNames: [...labels], registers: [this.#registry] };
      if (kind === 'counter') this.#counters.set(name, new Counter(options));
      else if (kind === 'gauge') this.#gauges.set(name, new Gauge(options));
      else this.#histograms.set(name, new Histogram({ ...options, buckets: [...(buckets ?? [])] }));
    }
    this.set('logdrive_build_info', 1, identity);
    this.set('logdrive_start_time_seconds', performance.timeOrigin / 1_000);
    this.#loopDelay.enable();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  add(name: MetricName, amount = 1, labels: MetricLabels = {}): void {
    let sums = this.#sums.get(name);
    if (sums === undefined) {
      sums = new Map();
      this.#sums.set(name, sums);
    }
    const key = keyOf(METRICS[name].labels, labels);
    const sum = sums.get(key);
    if (sum === undefined) sums.set(key, { labels, added: amount });
    else sum.added += amount;
  }

  set(name: MetricName, value: number, labels: MetricLabels = {}): void {
    this.#gauges.get(name)?.set(labels, value);
  }

  observe(name: MetricName, value: number, labels: MetricLabels = {}): void {
    this.#histograms.get(name)?.observe(labels, value);
  }

  /** `read` is called before each scrape, to set gauges that nobody pushes. */
  onScrape(read: () => void): void {
    this.#beforeScrape.push(read);
  }

  /** The text of one scrape. */
  async scrape(): Promise<string> {
    this.#readProcess();
    for (const read of this.#beforeScrape) read();
    this.#handOver();
    return await this.#registry.metrics();
  }

  close(): void {
    this.#loopDelay.disable();
  }

  #handOver(): void {
    for (const [name, sums] of this.#sums) {
      const counter = this.#counters.get(name);
      for (const sum of sums.values()) {
        counter?.inc(sum.labels, sum.added);
        sum.added = 0;
      }
    }
  }

  #readProcess(): void {
    const { heapUsed, rss } = process.memoryUsage();
    const { user, system } = process.cpuUsage();
    this.set('logdrive_heap_bytes', heapUsed);
    this.set('logdrive_resident_memory_bytes', rss);
    this.set('logdrive_event_loop_lag_seconds', this.#loopDelay.max / 1e9);
    this.#loopDelay.reset();
    const cpu = this.#counters.get('logdrive_cpu_seconds_total');
    cpu?.reset();
    cpu?.inc((user + system) / 1e6);
  }
}

function keyOf(names: readonly string[], labels: MetricLabels): string {
  if (names.length === 0) return '';
  const first = String(labels[names[0]!]);
  return names.length === 1 ? first : names.slice(1).reduce((key, name) => `${key}\0${labels[name]}`, first);
}
