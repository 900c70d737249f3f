import assert from "node:assert/strict";
import { test } from "node:test";

import { EVERY, Subscription, UNLIMITED } from "../../web/subscription.js";

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
  assert.ok(watch.take({ op: "del", key: "silver", rev: "5" }));
});

test("prefix and category may be one name or several", () => {
  const watch = new Subscription([], { prefix: "crypto.", category: ["metal", "energy"] });
  assert.deepEqual(watch.prefixes, ["crypto."]);
  assert.deepEqual([...watch.categories], ["metal", "energy"]);
});

test("names are compared as the server does, in NFC", () => {
  assert.ok(new Subscription(["va\u0300ng"]).take(update("vàng", 1)));
});

test("strengths compare: each one, all newest, some a second, and what a hidden tab can use", () => {
  const paced = new Subscription(["gold"], { maxRate: 5 });
  assert.equal(paced.strength, 5);
  paced.ceiling = 1;
  assert.equal(paced.strength, 1);
  assert.equal(new Subscription(["gold"]).strength, UNLIMITED);
  assert.equal(Object.assign(new Subscription(["gold"], { mode: "every" }), { ceiling: 1 }).strength, EVERY);
  assert.ok(EVERY > UNLIMITED);
});

test("what makes no sense is refused where it is written", () => {
  for (const options of [{ mode: "all" }, { maxRate: 0 }, { maxRate: -1 }, { mode: "every", maxRate: 5 }]) {
    assert.throws(() => new Subscription(["gold"], options), TypeError);
  }
});

test("it goes on from what was seen, with the rev's own digits", () => {
  const watch = new Subscription(["gold", "oil"]);
  watch.take(update("gold", "9223372036854775807"));
  assert.equal(watch.resumeRev("gold"), "9223372036854775807");
  assert.equal(watch.resumeRev("oil"), undefined);
});

test("mode every goes on from before the first tick of a key that was absent", () => {
  const watch = new Subscription(["later"], { mode: "every" });
  assert.equal(watch.resumeRev("later"), undefined);
  watch.gone("later");
  watch.began = true;
  assert.equal(watch.resumeRev("later"), "0");
});

test("another epoch begins anew, and mode every knows that it missed something", () => {
  const watch = new Subscription(["gold"], { mode: "every" });
  watch.take(update("gold", 50));
  watch.began = true;
  watch.forgetRevs();
  assert.equal(watch.resumeRev("gold"), undefined);
  assert.ok(watch.missed);
  assert.ok(watch.take(update("gold", 3)));
});

test("absence is told once", () => {
  const watch = new Subscription(["gold", "oil"]);
  assert.deepEqual(watch.gone("gold"), { op: "absent", key: "gold" });
  assert.equal(watch.gone("gold"), null);
  watch.take({ op: "del", key: "oil", rev: "4" });
  assert.equal(watch.gone("oil"), null, "its deletion was told");
  watch.take(update("oil", 5));
  assert.deepEqual(watch.gone("oil"), { op: "absent", key: "oil" });
  assert.equal(watch.take(update("oil", 5)), null, "an old value does not come back");
});

test("a description restores it", () => {
  const watch = new Subscription(["gold"], { prefixes: ["crypto."], mode: "every" });
  watch.take(update("gold", 7));
  watch.began = true;
  const restored = Subscription.resumed(structuredClone(watch.description()));
  assert.deepEqual(restored.description(), watch.description());
  assert.equal(restored.take(update("gold", 7)), null);
});
