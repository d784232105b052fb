// A page as an application writes one: it tails a topic and appends to it. What it saw is left in `state` for the test.
import { connect, utf8 } from '/client.js';

const state = { records: [], reconnected: 0, error: undefined, isCaughtUp: false, violations: [] };
globalThis.state = state;
document.addEventListener('securitypolicyviolation', (event) => state.violations.push(event.violatedDirective));

/** Leaves the fates of `count` appends in state.acks. */
globalThis.produce = async (count) => {
  const producer = (await globalThis.topic).producer({ id: 'page', epoch: 0 });
  const sends = Array.from({ length: count }, (_, at) => producer.send({ value: `page:${at}` }));
  const acks = await Promise.all(sends);
  await producer.close();
  return acks.map(({ offset }) => offset);
};

/** What becomes of code made from text, in a task of the page's own: a debugger's would be let through. */
globalThis.tryEval = () =>
  new Promise((resolve) => {
    setTimeout(() => {
      try {
        resolve(new Function('return "it ran"')());
      } catch (error) {
        resolve(error.name);
      }
    });
  });

async function watch(events) {
  for await (const event of events) if (event.kind === 'reconnecting') state.reconnected++;
}

try {
  const servers = new URLSearchParams(location.search).get('servers');
  const reconnect = { minDelayMs: 20, maxDelayMs: 200 };
  const client = await connect(servers, { discover: false, connectTimeoutMs: 2_000, reconnect });
  watch(client.events());
  globalThis.topic = client.topic('chat', utf8);
  const subscription = globalThis.topic.subscribe({ from: 'earliest' });
  subscription.caughtUp().then(() => {
    state.isCaughtUp = true;
  });
  for await (const { offset, value } of subscription) state.records.push([offset, value]);
} catch (error) {
  state.error = `${error.code} ${error.outcome}`;
}
