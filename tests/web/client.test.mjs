/* Run with `node --experimental-websocket --test tests/web/`; the flag is needed below Node 22. */

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { connect } from "../../web/client.js";
import { serve } from "./socket_server.mjs";
import { until, waitsAskedFor } from "./waiting.mjs";

const cleanups = [];
afterEach(async () => {
  while (cleanups.length) await cleanups.pop()();
});

function changeOf(op, key, rev, value) {
  return `{"op":"${op}","key":"${key}","value":${value},"rev":${rev},"updatedAt":"2026-01-05T12:00:00.000000Z","category":"metal"}`;
}

/** A server whose every sub is answered with `snapshots()` and `subbed`; `got` is all that clients sent. */
async function store(options = {}) {
  const { snapshots = () => [], epoch = "e1", port = 0 } = options;
  const got = [];
  const server = await serve({
    onOpen: (peer) => {
      peer.send(JSON.stringify({ op: "hello", epoch, heartbeat: 10, server: "t", time: Date.now() / 1000 }));
    },
    onText: (peer, message) => {
      if (message.op === "ping") return peer.send(JSON.stringify({ op: "hb", time: Date.now() / 1000 }));
      got.push(message);
      if (message.op !== "sub") return;
      if (options.refuse) return peer.send(JSON.stringify({ op: "error", code: options.refuse, message: "No." }));
      for (const text of snapshots()) peer.send(text);
      peer.send(JSON.stringify({ op: "subbed", keys: message.keys ?? [], absent: [], recovered: true }));
    },
  }, port);
  cleanups.push(server.stop);
  return Object.assign(server, { got, tell: (text) => server.peers.forEach((peer) => peer.send(text)) });
}

function client(options) {
  const states = [];
  const connection = connect({ ...options, onState: (state) => states.push(state) });
  cleanups.push(() => connection.close());
  return { connection, states };
}

test("a value arrives as it was written, and nothing older after it", async () => {
  const server = await store({ snapshots: () => [changeOf("snap", "gold", 7, "2345.60")] });
  const { connection, states } = client({ url: server.url });
  const seen = [];
  connection.watch(["gold"], {}, (change) => seen.push(change));
  await until(() => states.includes("live"), "live");
  server.tell(`[${changeOf("upd", "gold", 6, "1")},${changeOf("upd", "gold", 8, "2345.70")},${changeOf("upd", "oil", 9, "2")}]`);
  await until(() => seen.length === 3, "the update");
  assert.deepEqual(seen.map(({ op, value, rev }) => [op, value, rev]), [
    ["snap", "2345.60", "7"], ["ready", undefined, undefined], ["upd", "2345.70", "8"],
  ]);
});

test("after the server was away it resumes from what it saw", async () => {
  const first = await store({ snapshots: () => [changeOf("snap", "gold", 7, "1.0")] });
  const { connection, states } = client({ url: first.url });
  const values = [];
  connection.watch(["gold"], {}, ({ value }) => value && values.push(value));
  await until(() => connection.state === "live", "live");
  await first.stop();
  await until(() => states.includes("offline"), "offline");
  const second = await store({ snapshots: () => [changeOf("snap", "gold", 7, "1.0"), changeOf("snap", "gold", 9, "1.2")], port: first.port });
  await until(() => connection.state === "live", "live again");
  assert.deepEqual(second.got[0].since, { gold: 7 });
  assert.equal(second.got[0].epoch, "e1");
  assert.deepEqual(values, ["1.0", "1.2"]);
  assert.deepEqual(states, ["live", "stale", "offline", "live"]);
});

test("another epoch replaces newer-looking revs", async () => {
  const first = await store({ snapshots: () => [changeOf("snap", "gold", 70, "1.0")] });
  const { connection } = client({ url: first.url });
  const values = [];
  connection.watch(["gold"], {}, ({ value }) => value && values.push(value));
  await until(() => connection.state === "live", "live");
  await first.stop();
  await store({ snapshots: () => [changeOf("snap", "gold", 3, "2.0")], epoch: "e2", port: first.port });
  await until(() => values.length === 2, "the value of the new epoch");
  assert.deepEqual(values, ["1.0", "2.0"]);
});

test("the token is the first frame, and a refused one ends the attempts", async () => {
  const server = await store();
  const { connection, states } = client({ url: server.url, token: "secret" });
  await until(() => connection.state === "live" && server.got.length, "live, and the first frame");
  assert.deepEqual(server.got[0], { op: "auth", token: "secret" });
  server.peers.forEach((peer) => peer.close(4401));
  await until(() => connection.state === "offline", "offline");
  assert.match(connection.reason, /token/);
  assert.deepEqual(states, ["live", "offline"]);
});

test("a server that goes away is left and found again", async () => {
  const server = await store({ snapshots: () => [changeOf("snap", "gold", 7, "1.0")] });
  const { connection, states } = client({ url: server.url });
  connection.watch(["gold"], {}, () => {});
  await until(() => connection.state === "live", "live");
  const waits = await waitsAskedFor(async () => {
    server.peers.forEach((peer) => peer.close(1012));
    await until(() => states.join() === "live,stale,live", "live again");
  }, 0.25);
  // A server that ends spreads its closings, so nobody waits long: 0 to 500 ms, where it is 500 to 1000 else.
  assert.ok(waits.includes(125) && !waits.includes(625), waits.join());
  assert.deepEqual(server.got.at(-1).since, { gold: 7 });
});

test("a refused subscribe is told to its handler, and the rest is live", async () => {
  const server = await store({ refuse: "too_many_keys" });
  const { connection } = client({ url: server.url });
  const told = [];
  connection.watch(["gold"], {}, (message) => told.push(message));
  await until(() => connection.state === "live", "live");
  assert.deepEqual(told, [{ op: "error", code: "too_many_keys", message: "No." }]);
});

test("a subscribe that the stores could not serve is tried again", async () => {
  const options = { refuse: "storage_unavailable", snapshots: () => [changeOf("snap", "gold", 7, "1.0")] };
  const server = await store(options);
  const { connection } = client({ url: server.url });
  const values = [];
  connection.watch(["gold"], {}, ({ value }) => value && values.push(value));
  await until(() => connection.state === "offline", "the refusal");
  options.refuse = null;
  await until(() => values.length === 1, "the value");
});

test("ending one watch leaves the other's keys subscribed", async () => {
  const server = await store();
  const { connection } = client({ url: server.url });
  connection.watch(["gold", "oil"], {}, () => {});
  const stop = connection.watch(["oil", "tin"], {}, () => {});
  await until(() => connection.state === "live", "live");
  stop();
  await until(() => server.got.at(-1).op === "unsub", "unsub");
  assert.deepEqual(server.got.at(-1), { op: "unsub", keys: ["tin"], prefixes: [], categories: [] });
});
