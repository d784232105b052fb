/**
 * Keeps the node processes of a development cluster running: starts them, says when one dies, starts it again after a
 * growing delay, and stops them all. Decides only; how a process is made and what time it is comes from outside, so
 * that the tests need neither.
 *
 * A node that ends by itself before it ever was ready has a cause that a restart does not cure (a port in use, a bad
 * flag): the whole cluster is given up then, with what that node said. A node that was killed is always started again.
 *
 *   starting --ready--> running --exit--> waiting --delay--> starting
 *   any --stop()--> stopping --exit--> stopped
 */

export interface ChildExit {
  /** undefined when a signal ended it. */
  readonly code: number | undefined;
  readonly signal: string | undefined;
}

export interface Child {
  readonly pid: number | undefined;
  kill(signal: 'SIGTERM' | 'SIGKILL'): void;
}

export interface ChildEvents {
  onReady(): void;
  /** Called exactly once, also when the process could not be started at all. */
  onExit(exit: ChildExit): void;
}

export interface SupervisorSeams {
  spawn(nodeId: string, events: ChildEvents): Child;
  after(delayMs: number, fn: () => void): { cancel(): void };
  monotonicMs(): number;
  /** One line about something that happened. */
  say(line: string): void;
}

/** First delay before a node is started again; doubles with every death in a row, up to the second. */
export const RESTART_DELAY_MS_MIN = 100;
export const RESTART_DELAY_MS_MAX = 5_000;
/** A node that ran this long begins with the first delay again. */
const STABLE_AFTER_MS = 10_000;

interface Node {
  readonly id: string;
  child: Child | undefined;
  restart: { cancel(): void } | undefined;
  /** It was ready once, in any of its lives. */
  wasReady: boolean;
  startedMs: number;
  /** Deaths in a row without a stable run between. */
  deaths: number;
}

/** Why the cluster ended. */
export type ClusterEnd = { readonly kind: 'stopped' } | { readonly kind: 'failed'; readonly nodeId: string };

export class Supervisor {
  readonly #seams: SupervisorSeams;
  readonly #nodes: readonly Node[];
  readonly #stopDeadlineMs: number;
  readonly #end: { readonly promise: Promise<ClusterEnd>; resolve(end: ClusterEnd): void };
  readonly #allReady: { readonly promise: Promise<void>; resolve(): void };
  /** Set by the first stop or failure; nothing is started after it. */
  #stopping: ClusterEnd | undefined;
  #deadline: { cancel(): void } | undefined;

  constructor(
    seams: SupervisorSeams,
    options: { readonly nodeIds: readonly string[]; readonly stopDeadlineMs: number },
  ) {
    this.#seams = seams;
    this.#stopDeadlineMs = options.stopDeadlineMs;
    this.#nodes = options.nodeIds.map((id) => ({
      id,
      child: undefined,
      restart: undefined,
      wasReady: false,
      startedMs: 0,
      deaths: 0,
    }));
    this.#end = settleable();
    this.#allReady = settleable();
  }

  /** Resolves when no process is left. */
  get ended(): Promise<ClusterEnd> {
    return this.#end.promise;
  }

  /** Resolves when every node was ready once; never when one fails before that. */
  get ready(): Promise<void> {
    return this.#allReady.promise;
  }

  start(): void {
    for (const node of this.#nodes) this.#startNode(node);
  }

  /** Asks all nodes to drain; kills those that did not end within the deadline. Harmless when called again. */
  stop(): void {
    this.#beginStop({ kind: 'stopped' });
  }

  /** Kills what is left, at once. */
  kill(): void {
    this.stop();
    for (const node of this.#nodes) node.child?.kill('SIGKILL');
  }

  #startNode(node: Node): void {
    node.restart = undefined;
    node.startedMs = this.#seams.monotonicMs();
    node.child = this.#seams.spawn(node.id, {
      onReady: () => this.#onReady(node),
      onExit: (exit) => this.#onExit(node, exit),
    });
  }

  #onReady(node: Node): void {
    if (node.deaths > 0) this.#seams.say(`${node.id} is back (pid ${node.child?.pid})`);
    node.wasReady = true;
    if (this.#nodes.every((each) => each.wasReady)) this.#allReady.resolve();
  }

  #onExit(node: Node, exit: ChildExit): void {
    const pid = node.child?.pid;
    node.child = undefined;
    if (this.#stopping !== undefined) {
      if (exit.code !== 0) this.#seams.say(`${node.id} ${describeExit(exit)} while stopping`);
      this.#maybeEnd();
      return;
    }
    if (!node.wasReady && exit.signal === undefined) {
      this.#seams.say(`${node.id} could not start (${describeExit(exit)}); stopping`);
      this.#beginStop({ kind: 'failed', nodeId: node.id });
      return;
    }
    if (this.#seams.monotonicMs() - node.startedMs >= STABLE_AFTER_MS) node.deaths = 0;
    const delayMs = Math.min(RESTART_DELAY_MS_MIN * 2 ** node.deaths, RESTART_DELAY_MS_MAX);
    node.deaths++;
    this.#seams.say(`${node.id} (pid ${pid}) ${describeExit(exit)}; starting it again in ${delayMs} ms`);
    node.restart = this.#seams.after(delayMs, () => this.#startNode(node));
  }

  #beginStop(end: ClusterEnd): void {
    if (this.#stopping !== undefined) return;
    this.#stopping = end;
    for (const node of this.#nodes) {
      node.restart?.cancel();
      node.child?.kill('SIGTERM');
    }
    this.#deadline = this.#seams.after(this.#stopDeadlineMs, () => {
      for (const node of this.#nodes) {
        if (node.child === undefined) continue;
        this.#seams.say(`${node.id} did not stop within ${this.#stopDeadlineMs} ms; killing it`);
        node.child.kill('SIGKILL');
      }
    });
    this.#maybeEnd();
  }

  #maybeEnd(): void {
    if (this.#stopping === undefined || this.#nodes.some((node) => node.child !== undefined)) return;
    this.#deadline?.cancel();
    this.#end.resolve(this.#stopping);
  }
}

function describeExit(exit: ChildExit): string {
  return exit.signal === undefined ? `ended with code ${exit.code}` : `was killed by ${exit.signal}`;
}

function settleable<T = void>(): { readonly promise: Promise<T>; resolve(value: T): void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
