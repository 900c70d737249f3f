/* A connection that is dead without having been closed. */

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { Session } from "../../web/session.js";
import { Subscription } from "../../web/subscription.js";
import { Store } from "./store_server.mjs";
import { neverWithin, until } from "./waiting.mjs";

const cleanups = [];
afterEach(async () => {
  while (cleanups.length) await cleanups.pop()();
});

async function start({ isWatched = true } = {}) {
  const store = await new Store().start();
  cleanups.push(() => store.stop());
  const states = [];
  const session = new Session({ base: `http://127.0.0.1:${store.port}/`, onState: (state) => states.push(state) });
  cleanups.push(() => session.close());
  session.setWatched(isWatched);
  session.watch(new Subscription(["gold"]), () => {});
  await until(() => session.state === "live", "live");
  return { store, session, states };
}

const silence = (store) => {
  store.stalled = [...store.server.peers];
  for (const peer of store.stalled) peer.stall();
};

test("a quiet server that answers stays live", async () => {
  const { states } = await start();
  assert.ok(await neverWithin(() => states.length > 1, 3000), states.join());
});

test("a silent death is told within two seconds while somebody looks, and taken back when it speaks", async () => {
  const { store, session } = await start();
  silence(store);
  const began = Date.now();
  await until(() => session.state === "stale", "stale", 3000);
  assert.ok(Date.now() - began < 2200, `${Date.now() - began} ms`);
  store.set("gold", "1");
  await until(() => session.state === "live", "live again");
});

test("a waking page asks at once, and takes another socket when the old one is deaf", async () => {
  const { store, session } = await start({ isWatched: false });
  silence(store);
  session.wake();
  await until(() => store.server.peers.size > 1, "another socket", 4000);
  await until(() => session.state === "live", "live");
  assert.ok(store.asked.length >= 2);
});

test("a network that went away is doubted at once", async () => {
  const { session, states } = await start();
  session.doubt("The network is away.");
  assert.equal(session.state, "stale");
  await until(() => session.state === "live", "the answer that proves the network");
  assert.deepEqual(states, ["live", "stale", "live"]);
});
