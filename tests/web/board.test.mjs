import assert from "node:assert/strict";
import { test } from "node:test";

import { step } from "../../web/board-keyboard.js";
import { Entry } from "../../web/board-entry.js";
import { BoardModel } from "../../web/board-model.js";
import { difference, isNumber, percent } from "../../web/decimals.js";
import { fold, ranges, words } from "../../web/fold.js";
import { points } from "../../web/sparkline.js";

const update = (key, value, { category = "metal", rev = "1" } = {}) =>
  ({ op: "upd", key, value, rev, category, updatedAt: "2026-01-05T12:00:00.000000Z" });

function board(items) {
  const model = new BoardModel();
  for (const [key, category] of items) model.put(update(key, "1", { category }));
  return model;
}

const names = ({ rows }) => rows.map(({ entry, group }) => entry?.key ?? `[${group.name}]`);

test("a difference is exact to the last digit that was written", () => {
  assert.deepEqual(difference("2345.20", "2345.60"), { sign: 1, text: "+0.40" });
  assert.deepEqual(difference("0.3", "0.1"), { sign: -1, text: "−0.2" });
  assert.deepEqual(difference("-0.05", "0.005"), { sign: 1, text: "+0.055" });
  assert.deepEqual(difference("1.0", "1.00"), { sign: 0, text: "0.00" });
  assert.deepEqual(difference("9007199254740993", "9007199254740994"), { sign: 1, text: "+1" });
  assert.deepEqual(difference("1e3", "1.5e3"), { sign: 1, text: "+500" });
  assert.equal(difference("1", "1e999").text, "");
});

test("a percentage is told where it means something", () => {
  assert.equal(percent("200", "201"), "+0.50%");
  assert.equal(percent("-200", "-201"), "−0.50%");
  assert.equal(percent("100000", "99999.99"), "0.00%");
  assert.equal(percent("1", "13.5"), "+1250%");
  assert.equal(percent("0", "5"), "");
});

test("only JSON numbers are numbers", () => {
  for (const text of ["0", "-0.0", "1.50", "1e400", "-2E-3"]) assert.ok(isNumber(text), text);
  for (const text of ['"1"', "null", "[1]", "true", "", undefined]) assert.ok(!isNumber(text), text);
});

test("text is found without case and diacritics, and where it stands is told", () => {
  assert.equal(fold("Đồng Vàng"), "dong vang");
  assert.deepEqual(words("  VÀNG  sjc "), ["vang", "sjc"]);
  assert.deepEqual(ranges("Vàng-SJC", ["vang", "sjc"]), [[0, 4], [5, 8]]);
  assert.deepEqual(ranges("aaa", ["aa", "a"]), [[0, 3]]);
  assert.deepEqual(ranges("va\u0300ng!", ["ang"]), [[1, 5]]);
  assert.deepEqual(ranges("x𝔸đ", ["d"]), [[3, 4]]);
});

test("keys stand in their categories, both in the order that people count", () => {
  const layout = board([["k10", "b"], ["k2", "b"], ["gold", "a"]]).layout(2);
  assert.deepEqual(names(layout), ["[a]", "gold", "[b]", "k2", "k10"]);
  assert.deepEqual(layout.rows.map(({ line, lane }) => [line, lane]), [[0, 0], [1, 0], [2, 0], [3, 0], [3, 1]]);
  assert.deepEqual(layout.lines, [0, 1, 2, 3]);
});

test("a key moves with its category, and an empty category goes", () => {
  const model = board([["gold", "a"], ["oil", "b"]]);
  assert.equal(model.put(update("oil", "2", { category: "b" })).moved, false);
  assert.equal(model.put(update("oil", "2", { category: "a" })).moved, true);
  assert.deepEqual(names(model.layout(1)), ["[a]", "gold", "oil"]);
  assert.equal(model.remove("gold"), true);
  assert.equal(model.remove("gold"), false);
  model.remove("oil");
  assert.deepEqual(model.layout(1), { rows: [], lines: [], found: 0 });
});

test("a search looks into folded categories, and leaves them folded", () => {
  const model = board([["gold", "a"], ["oil", "b"]]);
  model.toggleAll(true);
  assert.deepEqual(names(model.layout(1)), ["[a]", "[b]"]);
  model.find("OI b");
  assert.deepEqual(names(model.layout(1)), ["[b]", "oil"]);
  model.find("");
  assert.deepEqual(names(model.layout(1)), ["[a]", "[b]"]);
});

test("ticks from before go in front, once each, and only the newest sixty stay", () => {
  const entry = new Entry(update("gold", "3.0", { rev: "10" }));
  entry.put(update("gold", "4.0", { rev: "12" }));
  entry.remember([{ value: "1.0", rev: "8" }, { value: '"closed"', rev: "9" }, { value: "3.0", rev: "10" }]);
  assert.deepEqual(entry.ticks.map(({ value }) => value), ["1.0", "3.0", "4.0"]);
  assert.deepEqual(entry.movement, { sign: 1, text: "+3.0", share: "+300.0%" });
  for (let rev = 100; rev < 200; rev += 1) entry.put(update("gold", String(rev), { rev: String(rev) }));
  assert.equal(entry.ticks.length, 60);
  assert.equal(entry.ticks[0].value, "140");
});

test("what is no number has no trend, and begins one when it becomes one", () => {
  const entry = new Entry(update("gold", "1"));
  entry.put(update("gold", '"closed"', { rev: "2" }));
  assert.deepEqual(entry.movement, { sign: 0, text: "", share: "" });
  assert.deepEqual(entry.numbers, []);
  entry.put(update("gold", "5", { rev: "3" }));
  assert.deepEqual(entry.numbers, [5]);
});

test("a sparkline fills its box; one tick draws none, equal ones a level line", () => {
  assert.equal(points([1]), "");
  assert.equal(points([1, 3, 2]), "0.0,18.5 50.0,1.5 100.0,10.0");
  assert.equal(points([7, 7]), "0.0,10.0 100.0,10.0");
});

test("the keyboard walks lines and lanes", () => {
  const layout = board([["a1", "a"], ["a2", "a"], ["a3", "a"], ["b1", "b"]]).layout(2); // [a] a1 a2 a3 [b] b1
  const walk = (index, key) => step(layout, index, key, 2);
  assert.equal(walk(-1, "ArrowDown"), 0);
  assert.equal(walk(1, "ArrowRight"), 2);
  assert.equal(walk(2, "ArrowRight"), undefined);
  assert.equal(walk(2, "ArrowDown"), 3); // the next line is shorter
  assert.equal(walk(1, "ArrowDown"), 3);
  assert.equal(walk(3, "ArrowDown"), 4);
  assert.equal(walk(3, "ArrowLeft"), 0);
  assert.equal(walk(0, "PageDown"), 3);
  assert.equal(walk(5, "PageDown"), 5);
  assert.equal(walk(3, "ArrowUp"), 1);
  assert.equal(walk(0, "End"), 5);
  assert.equal(walk(5, "Home"), 0);
  assert.equal(walk(0, "Enter"), undefined);
  assert.equal(step({ rows: [], lines: [] }, -1, "ArrowDown", 2), undefined);
});
