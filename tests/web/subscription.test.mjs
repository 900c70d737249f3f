import assert from "node:assert/strict";
import { test } from "node:test";

import { Subscription } from "../../web/subscription.js";

const update = (key, rev, more = {}) => ({ op: "upd", key, value: "1", rev: String(rev), category: "default", ...more });

test("what is not newer is dropped", () => {
  const watch = new Subscription(["gold"]);
  assert.ok(watch.take(update("gold", 5)));
  assert.equal(watch.take(update("gold", 5)), null);
  assert.equal(watch.take(update("gold", 4)), null);
  assert.equal(watch.take({ op: "del", key: "gold", rev: "4" }), null);
  assert.ok(watch.take({ op: "del", key: "gold", rev: "6" }));
  assert.equal(watch.take(update("gold", 5)), null);
  assert.ok(watch.take(update("gold", 10)));
});

test("only what was asked for is taken", () => {
  const watch = new Subscription(["gold"], { prefixes: ["crypto."], categories: ["metal"] });
  assert.ok(watch.take(update("crypto.btc", 1)));
  assert.ok(watch.take(update("silver", 2, { category: "metal" })));
  assert.equal(watch.take(update("oil", 3)), null);
  assert.equal(watch.take({ op: "del", key: "oil", rev: "4" }), null);
});

test("a resume names what was seen, with the rev's own digits", () => {
  const watch = new Subscription(["gold", "oil"], { maxRate: 5 });
  assert.deepEqual(JSON.parse(watch.frames(null)[0]), { op: "sub", keys: ["gold", "oil"], mode: "latest", max_rate: 5 });
  watch.take(update("gold", "9223372036854775807"));
  assert.match(watch.frames("e1")[0], /"since":\{"gold":9223372036854775807\},"epoch":"e1"\}$/);
});

test("another epoch begins anew", () => {
  const watch = new Subscription(["gold"]);
  watch.take(update("gold", 50));
  watch.forgetRevs();
  assert.ok(watch.take(update("gold", 3)));
});

test("no frame is larger than the server takes", () => {
  const keys = Array.from({ length: 1000 }, (_, i) => `vàng-${i}`.padEnd(100, "à"));
  const watch = new Subscription(keys);
  for (const key of keys) watch.take(update(key, "9223372036854775807"));
  const frames = watch.frames("epoch-of-thirty-six-characters-long-");
  for (const frame of frames) assert.ok(Buffer.byteLength(frame) <= 4096);
  assert.deepEqual(frames.flatMap((frame) => JSON.parse(frame).keys), keys);
});

test("a broad watch learns at the end of a snapshot what was deleted meanwhile", () => {
  const watch = new Subscription([], { prefixes: [""] });
  watch.take(update("gold", 1));
  watch.take(update("oil", 2));
  watch.frames("e1");
  assert.equal(watch.take({ ...update("gold", 1), op: "snap" }), null);
  assert.deepEqual(watch.settle({ keys: [], absent: [] }), [
    { op: "absent", key: "oil" },
    { op: "ready", keys: [], recovered: true },
  ]);
});

test("a key whose deletion was told is not told as absent, too", () => {
  const watch = new Subscription(["gold"]);
  watch.take({ op: "del", key: "gold", rev: "4" });
  assert.deepEqual(watch.settle({ keys: ["gold"], absent: ["gold"] }).map(({ op }) => op), ["ready"]);
});

test("an absent key is told as absent", () => {
  const watch = new Subscription(["later"]);
  assert.deepEqual(watch.settle({ keys: ["later"], absent: ["later"], recovered: false }), [
    { op: "absent", key: "later" },
    { op: "ready", keys: ["later"], recovered: false },
  ]);
});
