/**
 * Which web pages may talk to this node (S8). A browser names the page's origin; programs name none and pass.
 * Allowed are the configured origins and pages served from the host the request was sent to. The latter counts only
 * for hosts a stranger cannot point at this machine: addresses, localhost, and the advertised name. Otherwise a page
 * of evil.example whose name was rebound to 127.0.0.1 would be "the same host".
 */
import { isIP } from 'node:net';

export interface OriginRule {
  /** As configured: scheme://host[:port]. */
  readonly origins: readonly string[];
  /** Host names, without port, under which this node is told to clients. */
  readonly ownNames: readonly string[];
}

export function isOriginAllowed(rule: OriginRule, origin: string | undefined, host: string | undefined): boolean {
  if (origin === undefined || rule.origins.includes(origin)) return true;
  const page = URL.canParse(origin) ? new URL(origin) : undefined;
  if (page === undefined || host === undefined || page.host !== host.toLowerCase()) return false;
  const name = page.hostname.replace(/^\[|\]$/g, '');
  return name === 'localhost' || isIP(name) !== 0 || rule.ownNames.includes(name);
}
