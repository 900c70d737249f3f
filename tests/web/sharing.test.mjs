/* Tabs that share a session: the worker's code behind real message ports, without a browser. */

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { MessageChannel } from "node:worker_threads";

import { SharedSession } from "../../web/shared.js";
import { Sharing } from "../../web/sharing.js";
import { Subscription, UNLIMITED } from "../../web/subscription.js";
import { Store } from "./store_server.mjs";
import { until } from "./waiting.mjs";

const cleanups = [];
afterEach(async () => {
  while (cleanups.length) await cleanups.pop()();
});

async function start() {
  const store = await new Store().start();
  cleanups.push(() => store.stop());
  return { store, worker: open(new Sharing()) };
}

function open(worker) {
  cleanups.push(() => worker.close());
  return worker;
}

function tab(worker, store, { token = null, isVisible = true } = {}) {
  const { port1, port2 } = new MessageChannel();
  const states = [];
  const deaths = [];
  worker.open(port2);
  const session = new SharedSession(port1, {
    base: `http://127.0.0.1:${store.port}/`, token, isVisible,
    onState: (state) => states.push(state), onDead: () => deaths.push(session.isWelcome),
  });
  cleanups.push(() => session.close());
  const watch = (keys, options) => {
    const subscription = keys instanceof Subscription ? keys : new Subscription(keys, options);
    const told = [];
    session.watch(subscription, (event) => told.push(event.value ?? event.op));
    return { subscription, told };
  };
  return { session, states, deaths, watch, port: port1 };
}

const subs = (store) => store.asked.filter(({ op }) => op === "sub");

test("two tabs use one socket and are told the same", async () => {
  const { store, worker } = await start();
  store.set("gold", "2345.60");
  const [one, other] = [tab(worker, store), tab(worker, store)];
  const [first, second] = [one, other].map((each) => each.watch(["gold"]).told);
  await until(() => first.includes("ready") && second.includes("ready"), "both");
  store.set("gold", "2345.70");
  await until(() => first.length === 3 && second.length === 3, "the update");
  assert.deepEqual([first, second], Array(2).fill(["2345.60", "ready", "2345.70"]));
  assert.equal(store.server.peers.size, 1);
  await until(() => one.session.state === "live" && other.session.state === "live", "live");
});

test("a tab that comes later is served from what is here", async () => {
  const { store, worker } = await start();
  for (let n = 0; n < 500; n += 1) store.set(`key-${n}`, String(n));
  const all = tab(worker, store).watch([], { prefix: "" });
  await until(() => all.told.includes("ready"), "the first tab");
  const late = tab(worker, store);
  const [wide, named] = [late.watch([], { prefix: "" }), late.watch(["key-7"])];
  await until(() => wide.told.includes("ready") && named.told.includes("ready"), "the second tab");
  assert.equal(wide.told.length, 501);
  assert.deepEqual(named.told, ["7", "ready"]);
  assert.ok(!subs(store).slice(1).some(({ prefixes }) => prefixes), "the whole snapshot was asked twice");
});

test("each tab gets the rate that it asked for, and the server is asked for the highest", async () => {
  const { store, worker } = await start();
  store.set("gold", "0");
  const fast = tab(worker, store).watch(["gold"]);
  const slow = tab(worker, store).watch(["gold"], { maxRate: 2 });
  await until(() => fast.told.includes("ready") && slow.told.includes("ready"), "both");
  const began = Date.now();
  for (let n = 1; n <= 20; n += 1) {
    store.set("gold", String(n));
    await until(() => fast.told.at(-1) === String(n), `update ${n}`);
  }
  await until(() => slow.told.at(-1) === "20", "the last value");
  assert.equal(fast.told.length, 22);
  assert.ok(slow.told.length <= 4 + (Date.now() - began) / 500, slow.told.join());
  assert.ok(!subs(store).some(({ max_rate: rate }) => rate), "a lower rate was asked for");
});

test("hidden tabs ask the server for fewer updates, and catch up at once when one is shown", async () => {
  const { store, worker } = await start();
  store.set("gold", "0");
  const { session, watch } = tab(worker, store);
  const { subscription, told } = watch(["gold"]);
  await until(() => told.includes("ready"), "ready");
  subscription.ceiling = 0.01; // so low that whoever waits for its turn is noticed
  session.retune(subscription);
  await until(() => subs(store).at(-1).max_rate === 0.01, "the lower rate");
  for (let n = 1; n <= 20; n += 1) store.set("gold", String(n));
  await until(() => told.length === 3, "the first of them");
  subscription.ceiling = UNLIMITED;
  session.retune(subscription);
  await until(() => told.at(-1) === "20", "the newest");
  await until(() => subs(store).at(-1).max_rate === undefined, "the full rate");
});

test("what only a closed tab watched is no longer asked for; the socket goes with the last", async () => {
  const { store, worker } = await start();
  const [one, other] = [tab(worker, store), tab(worker, store)];
  const kept = one.watch(["gold"]);
  const left = other.watch(["gold", "oil"]);
  await until(() => kept.told.includes("ready") && left.told.includes("ready"), "both");
  other.session.quit();
  await until(() => store.asked.at(-1).op === "unsub", "unsub");
  assert.deepEqual(store.asked.at(-1).keys, ["oil"]);
  store.set("gold", "5");
  await until(() => kept.told.at(-1) === "5", "the update");
  one.session.quit();
  await until(() => store.server.peers.size === 0, "the end of the socket");
});

test("a tab that stops taking in costs one event a key, and gets the newest", async () => {
  const { store, worker } = await start();
  store.set("gold", "0");
  const { session, watch, port } = tab(worker, store);
  const { told } = watch(["gold"]);
  await until(() => told.includes("ready"), "ready");
  const other = tab(worker, store).watch(["gold"]);
  await until(() => other.told.includes("ready"), "the other tab");
  const receive = port.onmessage;
  const batches = [];
  port.onmessage = ({ data }) => data.op === "events" && batches.push(data);
  for (let n = 1; n <= 50; n += 1) {
    store.set("gold", String(n));
    await new Promise((done) => setImmediate(done));
  }
  await until(() => batches.length && other.told.at(-1) === "50", "a batch, and all that is to come");
  port.onmessage = receive;
  for (const data of batches) receive({ data });
  await until(() => told.at(-1) === "50", "the newest");
  assert.equal(batches.length, 1);
  assert.ok(told.length <= 2 + batches[0].events.length + 2, told.join());
  await until(() => session.state === "live", "live");
});

test("a tab notices the worker's end, and goes on elsewhere from what it saw", async () => {
  const { store, worker } = await start();
  store.set("gold", "1");
  const before = tab(worker, store);
  const { subscription, told } = before.watch(["gold"], { mode: "every" });
  await until(() => told.includes("ready"), "ready");
  worker.close();
  for (const value of ["2", "3"]) store.set("gold", value);
  await until(() => before.deaths.length, "the notice");
  assert.deepEqual(before.deaths, [true]);
  const again = tab(open(new Sharing()), store).session;
  const events = [];
  again.watch(subscription, (event) => events.push(event.value ?? [event.op, event.recovered]), before.session.epoch);
  await until(() => events.length === 3, "the rest");
  assert.deepEqual(events, ["2", "3", ["ready", true]]);
});

test("a tab without a worker is told so", async () => {
  const { store } = await start();
  const silent = { open: () => {} };
  const { deaths } = tab(silent, store);
  await until(() => deaths.length, "the notice");
  assert.deepEqual(deaths, [false]);
});

test("other tokens have sockets of their own", async () => {
  const { store, worker } = await start();
  const tabs = [tab(worker, store, { token: "a" }), tab(worker, store, { token: "b" })];
  for (const { watch } of tabs) watch(["gold"]);
  await until(() => store.asked.filter(({ op }) => op === "auth").length === 2, "both tokens");
  assert.equal(store.server.peers.size, 2);
});

test("a bad name of one tab is its own trouble", async () => {
  const { store, worker } = await start();
  store.set("gold", "1");
  const bad = tab(worker, store).watch(["bad!", "gold"]);
  const good = tab(worker, store).watch(["gold", "oil"]);
  await until(() => bad.told.includes("ready") && good.told.includes("ready"), "both");
  assert.deepEqual([...bad.told].sort(), ["1", "error", "ready"]);
  assert.deepEqual([...good.told].sort(), ["1", "absent", "ready"]);
});
