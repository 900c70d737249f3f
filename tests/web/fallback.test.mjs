/* Where the socket is blocked: the same events by server-sent events, then by polling, and back. */

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { connect } from "../../web/client.js";
import { Store } from "./store_server.mjs";
import { until } from "./waiting.mjs";

const cleanups = [];
afterEach(async () => {
  while (cleanups.length) await cleanups.pop()();
});

async function start(blocks) {
  const store = Object.assign(await new Store().start(), blocks);
  cleanups.push(() => store.stop());
  const connection = connect({ url: store.url });
  cleanups.push(() => connection.close());
  return { store, connection };
}

const WAYS = [
  ["SocketLink", {}],
  ["EventLink", { blocksSockets: true }],
  ["PollLink", { blocksSockets: true, blocksStreams: true }],
];

for (const [carrier, blocks] of WAYS) {
  test(`${carrier}: named keys, exact text, an absent key, what comes later`, async () => {
    const { store, connection } = await start(blocks);
    store.set("gold", "2345.60");
    const seen = [];
    connection.watch(["gold", "later"], {}, (event) => seen.push(event));
    await until(() => connection.state === "live", "live");
    assert.equal(connection.carrier, carrier);
    assert.deepEqual(seen.map(({ op, key, value }) => [op, key, value]), [
      ["snap", "gold", "2345.60"], ["absent", "later", undefined], ["ready", undefined, undefined],
    ]);
    store.set("gold", "2345.70");
    store.set("later", '{"a": 1.0}');
    await until(() => seen.length === 5, "the updates");
    assert.deepEqual(seen.slice(3).map(({ op, key, value }) => [op, key, value]), [
      ["upd", "gold", "2345.70"], ["upd", "later", '{"a": 1.0}'],
    ]);
    assert.deepEqual(Object.keys(seen[3]).sort(), ["category", "key", "op", "rev", "updatedAt", "value"]);
    store.delete("gold");
    await until(() => seen.length === 6, "the deletion");
    assert.ok(["del", "absent"].includes(seen[5].op) && seen[5].key === "gold");
  });

  test(`${carrier}: prefixes and categories, and a watch that comes later`, async () => {
    const { store, connection } = await start(blocks);
    store.set("crypto.btc", "1");
    store.set("gold", "2");
    const [crypto, metal, all] = [[], [], []];
    connection.watch([], { prefix: "crypto." }, ({ op, key }) => crypto.push([op, key]));
    await until(() => connection.state === "live", "live");
    connection.watch([], { category: "metal" }, ({ op, key }) => metal.push([op, key]));
    await until(() => metal.some(([op]) => op === "ready"), "the second watch");
    connection.watch([], { prefix: "" }, ({ op, key }) => all.push([op, key]));
    await until(() => all.some(([op]) => op === "ready"), "the third watch");
    store.set("crypto.eth", "3");
    await until(() => [crypto, metal, all].every((events) => events.some(([, key]) => key === "crypto.eth")), "the update");
    assert.deepEqual(crypto.map(([, key]) => key), ["crypto.btc", undefined, "crypto.eth"]);
    assert.equal(all.filter(([op]) => op === "ready").length, 1);
    assert.deepEqual(connection.carrier, carrier);
  });
}

test("PollLink: any number of the longest keys fits the server's request line", async () => {
  const { store, connection } = await start({ blocksSockets: true, blocksStreams: true });
  const keys = Array.from({ length: 120 }, (_, i) => `${i}.`.padEnd(127, "đ"));
  for (const key of keys) store.set(key, "1");
  const told = new Set();
  connection.watch(keys, {}, ({ op, key }) => op === "snap" && told.add(key));
  await until(() => told.size === 120, "all");
  assert.ok(store.longestAddress > 4000 && store.longestAddress < 8000, `${store.longestAddress}`);
});

test("mode every says that ticks may be missing where they may", async () => {
  for (const [carrier, blocks] of WAYS) {
    const { store, connection } = await start(blocks);
    store.set("gold", "1");
    const ready = [];
    connection.watch(["gold"], { mode: "every" }, (event) => event.op === "ready" && ready.push(event.recovered));
    await until(() => ready.length, "ready");
    assert.deepEqual(ready, [carrier !== "PollLink"]);
  }
});

test("EventLink: mode and rate are asked of the server, as the strongest of the wishes", async () => {
  const { store, connection } = await start({ blocksSockets: true });
  const asked = () => [store.streams.at(-1).mode, store.streams.at(-1).maxRate];
  connection.watch(["gold"], { maxRate: 2 }, () => {});
  await until(() => connection.state === "live", "live");
  assert.deepEqual(asked(), ["latest", "2"]);
  const stop = connection.watch(["btc"], { maxRate: 5 }, () => {});
  await until(() => asked()[1] === "5", "the higher rate");
  connection.watch(["eth"], {}, () => {});
  await until(() => asked()[1] === null, "no rate");
  stop();
  connection.watch(["gold"], { mode: "every" }, () => {});
  await until(() => asked()[0] === "every", "each tick");
  assert.equal(store.streams.length, 4, "one stream for each wish");
});

test("EventLink: watches of several rates begin with one stream", async () => {
  const { store, connection } = await start({ blocksSockets: true });
  const ready = [];
  for (const [key, maxRate] of [["z", 5], ["a", 2], ["m", 5]]) connection.watch([key], { maxRate }, ({ op }) => op === "ready" && ready.push(key));
  await until(() => ready.length === 3 && connection.state === "live", "all");
  assert.deepEqual(store.streams.map(({ keys, maxRate }) => [keys, maxRate]), [[["a", "m", "z"], "5"]]);
});

test("EventLink: in mode every no tick is lost when another watch opens another stream", async () => {
  const { store, connection } = await start({ blocksSockets: true });
  const seen = [];
  store.set("gold", "0");
  connection.watch(["gold", "later"], { mode: "every" }, (event) => seen.push(event.value ?? event.recovered));
  await until(() => seen.length === 3, "ready"); // the value, the absent key, ready
  const writes = setInterval(() => store.set("gold", String(store.ticks.length)), 1);
  cleanups.push(() => clearInterval(writes));
  for (const key of ["a", "b", "c"]) {
    const before = store.streams.length;
    connection.watch([key], {}, () => {});
    await until(() => store.streams.length > before, "another stream");
  }
  clearInterval(writes);
  store.set("later", "1");
  await until(() => seen.at(-1) === "1", "the last");
  assert.deepEqual(seen.slice(3, -1), store.ticks.slice(1, -1).map(({ value }) => value));
  assert.equal(store.streams.at(-1).since.later, 0);
  assert.equal(connection.carrier, "EventLink");
});

test("EventLink: mode every goes on where the socket was, and says what it cannot know of a prefix", async () => {
  const { store, connection } = await start({});
  const [named, wide] = [[], []];
  store.set("gold", "1");
  connection.watch(["gold"], { mode: "every" }, (event) => named.push(event.value ?? event.recovered));
  connection.watch([], { prefix: "s.", mode: "every" }, (event) => wide.push(event.value ?? event.recovered));
  await until(() => wide.length === 1 && named.length === 2, "ready");
  const { port } = store;
  await store.stop();
  store.blocksSockets = true;
  for (const value of ["2", "3", "4"]) store.set("gold", value);
  await store.start(port);
  await until(() => connection.carrier === "EventLink" && named.length === 6, "the missed ticks");
  assert.deepEqual(named, ["1", true, "2", "3", "4", true]);
  assert.deepEqual(wide, [true, true], "nothing came under the prefix meanwhile");
  connection.watch(["other"], {}, () => {});
  await until(() => wide.length === 3, "the torn watch");
  assert.deepEqual(wide, [true, true, false]);
});

test("EventLink: a refused name costs only itself", async () => {
  const { store, connection } = await start({ blocksSockets: true });
  const told = { gold: [], "bad!": [], btc: [], eth: [] };
  store.set("gold", "1");
  connection.watch(["gold"], {}, ({ op }) => told.gold.push(op));
  await until(() => connection.state === "live", "live");
  for (const key of ["btc", "bad!", "eth"]) connection.watch([key], { maxRate: key.length }, ({ op }) => told[key].push(op));
  await until(() => told["bad!"].length && told.btc.length === 2 && told.eth.length === 2, "answers");
  assert.deepEqual(told, { gold: ["snap", "ready"], "bad!": ["error"], btc: ["absent", "ready"], eth: ["absent", "ready"] });
  store.set("eth", "2");
  await until(() => told.eth.length === 3, "the update");
  assert.equal(connection.carrier, "EventLink");
});

test("it climbs back to the socket when that is free again, and nothing is lost or told twice", async () => {
  const { store, connection } = await start({ blocksSockets: true });
  store.set("gold", "1");
  const values = [];
  connection.watch(["gold"], {}, ({ value }) => value && values.push(value));
  await until(() => connection.carrier === "EventLink", "the stream");
  store.set("gold", "2");
  await until(() => values.length === 2, "the update");
  store.blocksSockets = false;
  await until(() => connection.carrier === "SocketLink", "the socket");
  store.set("gold", "3");
  await until(() => values.length === 3, "the update over the socket");
  assert.deepEqual(values, ["1", "2", "3"]);
  assert.equal(store.asked.at(-1).since.gold, 2);
  assert.equal(connection.state, "live");
});

test("polling notices another epoch", async () => {
  const { store, connection } = await start({ blocksSockets: true, blocksStreams: true });
  for (const value of ["1", "2", "3"]) store.set("gold", value);
  const values = [];
  connection.watch(["gold"], {}, ({ value }) => value && values.push(value));
  await until(() => values.at(-1) === "3", "the value");
  const { port } = store;
  await store.stop();
  const other = Object.assign(new Store(), { epoch: "e2", blocksSockets: true, blocksStreams: true });
  other.set("gold", "9");
  await other.start(port);
  cleanups.push(() => other.stop());
  await until(() => values.at(-1) === "9", "the value of the new epoch", 60_000);
});
