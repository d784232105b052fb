/**
 * Fulfils the Metrics contract with prom-client: one collector a row of src/metrics.ts, in a registry of its own, so
 * that two brokers in one process, and a host application with metrics of its own, do not meet.
 * The facts of the process (memory, processor time, event loop) are read at each scrape.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { METRICS, type MetricLabels, type MetricName, type Metrics } from '../metrics.ts';

export class PrometheusMetrics implements Metrics {
  readonly #registry = new Registry();
  readonly #counters = new Map<MetricName, Counter>();
  readonly #gauges = new Map<MetricName, Gauge>();
  readonly #histograms = new Map<MetricName, Histogram>();
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
    this.#counters.get(name)?.inc(labels, amount);
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
    return await this.#registry.metrics();
  }

  close(): void {
    this.#loopDelay.disable();
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
