/* mode "every": each tick, in order, through losses and beside other watches; or it is said that some are missing. */

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { connect } from "../../web/client.js";
import { Store } from "./store_server.mjs";
import { until } from "./waiting.mjs";

const cleanups = [];
afterEach(async () => {
  while (cleanups.length) await cleanups.pop()();
});

async function start(keys = ["gold"], options = {}) {
  const store = await new Store().start();
  cleanups.push(() => store.stop());
  store.set("gold", "1");
  const connection = connect({ url: store.url });
  cleanups.push(() => connection.close());
  const told = [];
  connection.watch(keys, { mode: "every", ...options }, (event) => told.push(event.value ?? (event.op === "ready" ? event.recovered : event.op)));
  await until(() => told.includes(true), "ready");
  return { store, connection, told };
}

const cut = (store) => store.server.peers.forEach((peer) => peer.vanish());

test("what was written while the socket was away comes after it, in order", async () => {
  const { store, told } = await start();
  cut(store);
  for (const value of ["2", "3", "4"]) store.set("gold", value);
  await until(() => told.length === 6, "the ticks");
  assert.deepEqual(told, ["1", true, "2", "3", "4", true]);
});

test("what was written while nobody kept it is said to be missing", async () => {
  const { store, told } = await start();
  store.keepsTicks = false;
  cut(store);
  for (const value of ["2", "3", "4"]) store.set("gold", value);
  await until(() => told.length === 4, "the value");
  assert.deepEqual(told, ["1", true, "4", false]);
});

test("the first ticks of a key that was absent are all told", async () => {
  const { store, told } = await start(["later"]);
  assert.deepEqual(told, ["absent", true]);
  cut(store);
  for (const value of ["2", "3"]) store.set("later", value);
  await until(() => told.length === 5, "the ticks");
  assert.deepEqual(told.slice(2), ["2", "3", true]);
});

test("another epoch is said to have a gap", async () => {
  const { store, told } = await start();
  store.epoch = "e2";
  cut(store);
  await until(() => told.length === 4, "the new epoch");
  assert.deepEqual(told, ["1", true, "1", false]);
});

test("a wide watch says that ticks may be missing when something changed meanwhile, and only then", async () => {
  const { store, told } = await start([], { prefix: "" });
  cut(store);
  await until(() => told.length === 3, "the quiet return");
  assert.deepEqual(told, ["1", true, true]);
  cut(store);
  store.set("gold", "2");
  await until(() => told.length === 5, "the return");
  assert.deepEqual(told.slice(3), ["2", false]);
});

test("a slower watch on the same key takes nothing away, and gets what it asked for", async () => {
  const { store, connection, told } = await start();
  const slow = [];
  connection.watch(["gold"], { maxRate: 4 }, ({ value }) => value && slow.push(value));
  await until(() => slow.length, "the value");
  assert.equal(store.asked.length, 1, "what is known was asked again");
  const began = Date.now();
  for (let n = 2; n <= 30; n += 1) store.set("gold", String(n));
  await until(() => told.length === 31, "each tick");
  await until(() => slow.at(-1) === "30", "the last value");
  assert.ok(slow.length <= 3 + (Date.now() - began) / 250, slow.join());
});

test("what is behind another watch of the same key gets its ticks while the other gets none twice", async () => {
  const { store, connection, told } = await start();
  const late = [];
  for (const value of ["2", "3"]) store.set("gold", value);
  await until(() => told.length === 4, "the ticks");
  connection.watch(["gold"], { mode: "every" }, (event) => late.push(event.value ?? event.op));
  await until(() => late.includes("ready"), "ready");
  store.set("gold", "4");
  await until(() => late.length === 3 && told.length === 5, "the tick");
  assert.deepEqual(late, ["3", "ready", "4"]);
  assert.deepEqual(told, ["1", true, "2", "3", "4"]);
});
