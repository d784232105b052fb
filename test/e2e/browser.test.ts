/**
 * The browser client in a real browser: the bundle that is shipped, a page under a strict content policy, a node with
 * its real door. Skipped where no Chromium is installed (apt-get install chromium, or LOGDRIVE_CHROMIUM=path).
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildBrowserClient } from '../../bin/build-browser.ts';
import { type Client, connect, utf8 } from '../../src/client/index.ts';
import { eventually } from '../support/eventually.ts';
import { findChromium, launchChromium } from './support/chromium.ts';
import { LiveCluster } from './support/live-cluster.ts';
import { Relay } from './support/relay.ts';
import { openWebSite, type WebSite } from './support/web-site.ts';

const executablePath = findChromium();
const SKIPPED = 'skipped: there is no Chromium at the usual places nor at LOGDRIVE_CHROMIUM';
if (executablePath === undefined) process.stderr.write(`test/e2e/browser.test.ts ${SKIPPED}\n`);

/** What page.js leaves for us. */
interface PageState {
  readonly records: readonly (readonly [offset: number, value: string])[];
  readonly reconnected: number;
  readonly error: string | undefined;
  readonly isCaughtUp: boolean;
  readonly violations: readonly string[];
}

const stateOf = async (page: Page): Promise<PageState> => (await page.evaluate('globalThis.state')) as PageState;

describe.skipIf(executablePath === undefined)('a web page in Chromium', () => {
  const closers: (() => Promise<unknown>)[] = [];
  let browser: Browser;
  let friend: WebSite;
  let stranger: WebSite;
  let cluster: LiveCluster;
  let relay: Relay;
  let client: Client;

  beforeAll(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'logdrive-browser-'));
    closers.push(() => rm(directory, { recursive: true, force: true }));
    const outFile = join(directory, 'client.js');
    await buildBrowserClient({ root: fileURLToPath(new URL('../../', import.meta.url)), outFile });
    friend = await openWebSite(outFile);
    closers.push(() => friend.close());
    stranger = await openWebSite(outFile);
    closers.push(() => stranger.close());
    const config = { http: { origins: [friend.origin] } };
    cluster = await LiveCluster.start({ nodes: ['n1'], storage: 'memory', config });
    closers.push(() => cluster.stop());
    relay = await Relay.open(Number(new URL(cluster.httpUrl('n1')).port));
    closers.push(() => relay.close());
    client = await connect(cluster.urls);
    closers.push(() => client.close());
    await client.admin.createTopic({ name: 'chat' });
    browser = await launchChromium(executablePath as string);
    closers.push(() => browser.close());
  }, 60_000);

  afterAll(async () => {
    for (const close of closers.splice(0).reverse()) await close();
  }, 30_000);

  async function open(site: WebSite): Promise<Page> {
    const page = await browser.newPage();
    await page.goto(`${site.origin}/?servers=ws://127.0.0.1:${relay.port}`);
    return page;
  }

  test('tails a topic live, appends to it, and goes on without a hole when its connection breaks', async () => {
    const chat = client.topic('chat', utf8);
    await chat.append({ value: 'before the page' });
    const page = await open(friend);
    const count = 400;
    await eventually(async () => (await stateOf(page)).isCaughtUp, { what: 'the page to catch up' });

    const producer = chat.producer();
    const fromNode = Array.from({ length: count }, (_, at) => `node:${at}`);
    const half = fromNode.splice(0, count / 2);
    const first = await Promise.all(half.map((value) => producer.send({ value })));
    // In the middle of what the page sends and of what it is sent.
    const produced = page.evaluate(`globalThis.produce(${count})`) as Promise<number[]>;
    const second = Promise.all(fromNode.map((value) => producer.send({ value })));
    await eventually(async () => (await stateOf(page)).records.length > half.length, { what: 'live records' });
    const takenBefore = relay.taken;
    relay.cut();
    const acked = [...first, ...(await second)].map(({ offset }) => offset!);
    const ackedToPage = await produced;
    await producer.close();

    const total = 1 + 2 * count;
    const state = await eventually(
      async () => {
        const seen = await stateOf(page);
        return (seen.records.length >= total || seen.error !== undefined) && seen;
      },
      { what: 'all records on the page' },
    );
    expect(state).toMatchObject({ error: undefined, violations: [] });
    expect(state.reconnected).toBeGreaterThan(0);
    expect(relay.taken).toBeGreaterThan(takenBefore);
    const log: (readonly [number, string])[] = [];
    for await (const { offset, value } of chat.subscribe({ to: 'tail' })) log.push([offset, value]);
    expect(state.records).toEqual(log);
    expect(log.map(([offset]) => offset)).toEqual(Array.from({ length: total }, (_, offset) => offset));
    // What either side was told is where it lies.
    const values = log.map(([, value]) => value);
    expect(acked.map((offset) => values[offset])).toEqual([...half, ...fromNode]);
    expect(ackedToPage.map((offset) => values[offset])).toEqual(Array.from({ length: count }, (_, at) => `page:${at}`));
    await page.close();
  }, 60_000);

  test('runs under a content policy that really forbids eval', async () => {
    const page = await open(friend);
    await eventually(async () => (await stateOf(page)).isCaughtUp, { what: 'the page to catch up' });
    expect((await stateOf(page)).violations).toEqual([]);
    expect(await page.evaluate('globalThis.tryEval()')).toBe('EvalError');
    await eventually(async () => (await stateOf(page)).violations.includes('script-src'), { what: 'the violation' });
    await page.close();
  }, 30_000);

  test('is refused when its origin is not on the list', async () => {
    const page = await browser.newPage();
    const refusals: string[] = [];
    const frames: unknown[] = [];
    page.on('websocket', (socket) => {
      socket.on('socketerror', (error) => refusals.push(error));
      socket.on('framereceived', (frame) => frames.push(frame));
    });
    await page.goto(`${stranger.origin}/?servers=ws://127.0.0.1:${relay.port}`);
    const state = await eventually(
      async () => {
        const seen = await stateOf(page);
        return seen.error !== undefined && seen;
      },
      { what: 'the page to be told' },
    );
    expect(state).toMatchObject({ error: 'CONNECTION none', records: [] });
    expect(refusals.join('\n')).toContain('Unexpected response code: 403');
    expect(frames).toEqual([]);
    // The very page is welcome from the origin that is on the list: it was that, and nothing else.
    const welcome = await open(friend);
    await eventually(async () => (await stateOf(welcome)).isCaughtUp, { what: 'the same page of a friend' });
    await welcome.close();
    await page.close();
  }, 30_000);
});
