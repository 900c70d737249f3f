import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { Asked, frameOf, merge, requestsFor } from "../../web/asking.js";
import { EVERY, Subscription, UNLIMITED } from "../../web/subscription.js";

const wire = JSON.parse(await readFile(new URL("../wire/client-frames.json", import.meta.url), "utf8"));
const example = (name) => wire.find((each) => each.name === name);
const request = (more) => ({ keys: [], prefixes: [], categories: [], since: new Map(), strength: UNLIMITED, epoch: null, ...more });
const none = () => undefined;

test("the frames mean what the wire examples mean", () => {
  const meaning = (text) => ({ keys: [], prefixes: [], categories: [], since: {}, epoch: null, mode: "latest", max_rate: null, ...JSON.parse(text) });
  assert.deepEqual(meaning(frameOf(request({ keys: ["gold"] }))), example("subscribe to a key").messages[0]);
  assert.deepEqual(meaning(frameOf(request({ prefixes: [""] }))), example("subscribe to all").messages[0]);
});

test("a rev keeps all its digits", () => {
  const frame = frameOf(request({ keys: ["gold"], since: new Map([["gold", "9223372036854775807"]]), epoch: "e1" }));
  assert.match(frame, /"since":\{"gold":9223372036854775807\},"epoch":"e1"\}$/);
});

test("no frame is larger than the server takes", () => {
  const keys = Array.from({ length: 1000 }, (_, i) => `vàng-${i}`.padEnd(100, "à"));
  const wished = { keys, prefixes: keys.slice(0, 100), categories: [] };
  const frames = requestsFor(wished, 5, "epoch-of-thirty-six-characters-long-", () => "9223372036854775807").map(frameOf);
  for (const frame of frames) assert.ok(Buffer.byteLength(frame) <= 4096);
  assert.deepEqual(frames.flatMap((frame) => JSON.parse(frame).keys ?? []), keys);
  assert.deepEqual(frames.flatMap((frame) => JSON.parse(frame).prefixes ?? []), keys.slice(0, 100));
});

test("the strongest wish for a name wins", () => {
  const wanted = merge([
    new Subscription(["gold"], { maxRate: 1 }), new Subscription(["gold"], { maxRate: 5 }), new Subscription(["oil"]),
    new Subscription(["tin"], { mode: "every" }), new Subscription(["tin"]),
  ]);
  assert.deepEqual([...wanted.keys], [["gold", 5], ["oil", UNLIMITED], ["tin", EVERY]]);
});

test("a name is not weaker than the wider ones that the server would pass over for it", () => {
  const wanted = merge([
    new Subscription(["crypto.btc"], { maxRate: 1 }), new Subscription([], { prefix: "crypto.", maxRate: 2 }),
    new Subscription([], { prefix: "", maxRate: 7 }), new Subscription(["gold"], { maxRate: 9 }),
  ]);
  assert.deepEqual([...wanted.keys], [["crypto.btc", 7], ["gold", 9]]);
  assert.deepEqual(Object.fromEntries(wanted.prefixes), { "crypto.": 7, "": 7 });
});

test("a plan asks for what is new or stronger and drops what nobody wants", () => {
  const asked = new Asked();
  const slow = new Subscription(["gold", "oil"], { maxRate: 1 });
  const first = asked.plan([slow], "e1", none);
  assert.deepEqual(first.requests.map(({ keys, strength }) => [keys, strength]), [[["gold", "oil"], 1]]);
  assert.deepEqual(asked.plan([slow], "e1", none).requests, []);
  const fast = new Subscription(["oil", "tin"]);
  const second = asked.plan([slow, fast], "e1", none);
  assert.deepEqual(second.requests.map(({ keys, strength }) => [keys, strength]), [[["oil", "tin"], UNLIMITED]]);
  assert.deepEqual(asked.plan([fast], "e1", none).dropped, { keys: ["gold"], prefixes: [], categories: [] });
});

test("a shared name is asked from the oldest rev that anybody needs", () => {
  const [ahead, behind] = [9, 4].map((rev) => {
    const watch = new Subscription(["gold"]);
    watch.note({ op: "upd", key: "gold", rev: String(rev) });
    return watch;
  });
  const since = (subscriptions, revOf = none) => new Asked().plan(subscriptions, "e1", revOf).requests[0].since.get("gold");
  assert.equal(since([ahead, behind]), "4");
  assert.equal(since([ahead, behind, new Subscription(["gold"])]), undefined, "a new watch needs the value");
  assert.equal(since([ahead, new Subscription(["gold"])], () => "9"), "9", "which is known here");
});

test("it is settled when all is answered, and an answer to what was asked anew since does not count", () => {
  const asked = new Asked();
  const watch = new Subscription(["gold"]);
  const [first] = asked.plan([watch], "e1", none).requests;
  asked.again("gold");
  const [second] = asked.plan([watch], "e1", none).requests;
  asked.settle(first);
  assert.ok(!asked.covers(watch) && !asked.isSettled);
  asked.settle(second);
  assert.ok(asked.covers(watch) && asked.isSettled);
});

test("a refused request comes apart until the bad name is alone", () => {
  const asked = new Asked();
  const watch = new Subscription(["a", "bad!", "c", "d"]);
  let open = asked.plan([watch], "e1", none).requests;
  const refused = [];
  while (open.length) {
    const [one, ...rest] = open;
    if (!one.keys.includes("bad!")) {
      asked.settle(one);
      open = rest;
      continue;
    }
    const halves = asked.halve(one);
    if (!halves.length) {
      refused.push(one.keys);
      asked.refuse(one);
    }
    open = [...rest, ...halves];
  }
  assert.deepEqual(refused, [["bad!"]]);
  assert.ok(asked.covers(watch) && asked.isSettled);
});
