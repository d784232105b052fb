/**
 * Whether the node lives, has started, and is ready for traffic; the same shape as in Kubernetes and etcd.
 *   live     the process answers; nothing a restart would cure is wrong
 *   started  recovery is over
 *   ready    started, not draining, and every check of the broker holds (a majority, first of all)
 */
import type { BrokerVerbs, HealthCheck } from '../broker/index.ts';

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
