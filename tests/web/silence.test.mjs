/* A connection that is dead without having been closed. */

import assert from "node:assert/strict";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { afterEach, test } from "node:test";

import { Session } from "../../web/session.js";
import { Silence } from "../../web/silence.js";
import { Subscription } from "../../web/subscription.js";
import { Store } from "./store_server.mjs";
import { neverWithin, until, waitsAskedFor } from "./waiting.mjs";

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
  const delay = monitorEventLoopDelay();
  delay.enable();
  const wasQuiet = await neverWithin(() => states.length > 1, 3000);
  delay.disable();
  const heldUpMs = delay.max / 1e6; // both of them, and the answer to a ping with them
  assert.ok(wasQuiet || heldUpMs > 500, states.join());
});

test("a silent death is told while somebody looks, and taken back when it speaks", async () => {
  const { store, session } = await start();
  silence(store);
  await until(() => session.state === "stale", "stale", 10_000); // without a ping, after 15 s
  store.set("gold", "1");
  await until(() => session.state === "live", "live again");
});

test("a waking page asks at once, and takes another socket when the old one is deaf", async () => {
  const { store, session } = await start({ isWatched: false });
  silence(store);
  session.wake();
  await until(() => store.server.peers.size > 1, "another socket", 15_000); // without a question, after 25 s
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

/** A Silence on a clock of its own, that heard hello just now. */
function listening(heartbeat = 10) {
  let now = 1_000_000;
  const silence = new Silence(() => now);
  silence.heard({ op: "hello", heartbeat });
  return { silence, wait: (ms) => { now += ms; } };
}

test("while somebody looks silence is asked about, and in doubt before two seconds are over", () => {
  const { silence, wait } = listening();
  const checkEveryMs = 200;
  wait(800);
  assert.equal(silence.wantsPing, false);
  wait(1);
  assert.equal(silence.wantsPing, true);
  silence.pinged();
  assert.equal(silence.wantsPing, false);
  wait(999);
  assert.equal(silence.isDoubtful(true), false);
  wait(checkEveryMs);
  assert.deepEqual([silence.isDoubtful(true), silence.isDoubtful(false)], [true, false]);
  silence.heard({ op: "hb" });
  assert.equal(silence.isDoubtful(true), false);
});

test("without a ping one and a half heartbeats are doubt, and 25 s the end", () => {
  const { silence, wait } = listening();
  wait(15_000);
  assert.deepEqual([silence.isDoubtful(false), silence.isTooLong], [false, false]);
  wait(1);
  assert.deepEqual([silence.isDoubtful(false), silence.isTooLong], [true, false]);
  wait(10_000);
  assert.equal(silence.isTooLong, true);
  silence.heard({ op: "hb" });
  assert.deepEqual([silence.isDoubtful(false), silence.isTooLong], [false, false]);
});

test("a machine that slept is noticed once, a slow check is not sleep", () => {
  const { silence, wait } = listening();
  wait(4000);
  assert.equal(silence.slept(), false);
  wait(60_000);
  assert.deepEqual([silence.slept(), silence.slept()], [true, false]);
});

test("a link that was probed is deaf after two seconds without a word", () => {
  const { silence, wait } = listening();
  silence.probed();
  wait(2000);
  assert.equal(silence.isDeaf, false);
  wait(1);
  assert.equal(silence.isDeaf, true);
  silence.heard({ op: "hb" });
  assert.equal(silence.isDeaf, false);
});

test("browsers that lost one server do not come back in one instant", async () => {
  const store = await new Store().start();
  cleanups.push(() => store.stop());
  for (let i = 0; i < 40; i += 1) {
    const session = new Session({ base: `http://127.0.0.1:${store.port}/` });
    cleanups.push(() => session.close());
    session.watch(new Subscription(["gold"]), () => {});
  }
  await until(() => store.asked.length === 40, "all");
  const asked = await waitsAskedFor(async () => {
    for (const peer of store.server.peers) peer.vanish();
    await until(() => store.asked.length === 80, "all again");
  });
  const waits = asked.filter((ms) => ms > 250 && ms < 5000); // others are for frames, and for hello
  assert.equal(waits.length, 40);
  assert.ok(Math.min(...waits) >= 500, `the first comes after ${Math.min(...waits)} ms`);
  for (const at of waits) {
    const together = waits.filter((other) => other >= at && other < at + 100).length;
    assert.ok(together < 25, `${together} of 40 within 100 ms`);
  }
});
