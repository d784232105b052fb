/**
 * Whether the node lives, has started, and is ready for traffic; the same shape as in Kubernetes and etcd.
 *   live     the process answers; nothing a restart would cure is wrong
 *   started  recovery is over
 *   ready    started, not draining, and every check of the broker holds (a majority, first of all)
 */
import type { BrokerVerbs, HealthCheck } from '../broker/index.ts';
import type { Metrics } from '../metrics.ts';

export type Probe = 'livez' | 'readyz' | 'startupz';

export class Health {
  /** Set once recovery is over. */
  broker: BrokerVerbs | undefined;
  isDraining = false;

  checks(probe: Probe): readonly HealthCheck[] {
    if (probe === 'livez') return [{ name: 'process', isOk: true, detail: 'answers' }, ...this.#informed()];
    const isStarted = this.broker !== undefined;
    const recovered = {
      name: 'recovered',
      isOk: isStarted,
      detail: isStarted ? 'logs are open' : 'logs are being opened',
    };
    if (probe === 'startupz') return [recovered];
    const detail = this.isDraining ? 'the node is shutting down' : 'the node takes traffic';
    return [recovered, { name: 'not-draining', isOk: !this.isDraining, detail }, ...(this.broker?.readiness() ?? [])];
  }

  isReady(): boolean {
    return this.checks('readyz').every(({ isOk }) => isOk);
  }

  /** Sets the gauges that say what /readyz says; before each scrape. */
  report(metrics: Metrics): void {
    metrics.set('logdrive_ready', this.isReady() ? 1 : 0);
    for (const { name, isOk } of this.checks('readyz')) metrics.set('logdrive_check_ok', isOk ? 1 : 0, { check: name });
    const cluster = this.broker?.cluster();
    const self = cluster?.nodes.find(({ id }) => id === cluster.nodeId);
    metrics.set('logdrive_partitions_led', self?.partitionsLed ?? 0);
  }

  /** What readiness knows, shown under /livez?verbose but not counted: a node without a majority must not be killed. */
  #informed(): HealthCheck[] {
    const checks = this.broker?.readiness() ?? [];
    return checks.map(({ name, isOk, detail }) => ({
      name,
      isOk: true,
      detail: isOk ? detail : `not counted: ${detail}`,
    }));
  }
}
