import assert from "node:assert/strict";
import { test } from "node:test";

import { bucketFor, Candles, isPrice, readCandles } from "../../web/viewer-candles.js";
import { pretty } from "../../web/viewer-pretty.js";

test("an object is indented and its numbers keep their digits", () => {
  assert.equal(
    pretty('{"bid":2345.60,"big":123456789012345678901234567890,"of":[1e400,-0.0,{"a":"\\u0111 }"}],"none":{},"no":[]}'),
    `{
  "bid": 2345.60,
  "big": 123456789012345678901234567890,
  "of": [
    1e400,
    -0.0,
    {
      "a": "\\u0111 }"
    }
  ],
  "none": {},
  "no": []
}`);
});

test("a text is read without its quotes and escapes", () => {
  assert.equal(pretty('"\\u0111óng\\ncửa \\"sớm\\""'), 'đóng\ncửa "sớm"');
});

test("true, null and numbers are what they are", () => {
  for (const text of ["true", "null", "2345.60", "1e400"]) assert.equal(pretty(text), text);
});

test("a price is what the server's buckets take for a number", () => {
  for (const text of ["1", "-0.50", "1e5", "2E-3"]) assert.ok(isPrice(text), text);
  for (const text of ['"1"', "true", "1e1000", "1".repeat(65), "[1]"]) assert.ok(!isPrice(text), text);
});

test("candles keep the digits of the history and grow with live ticks", () => {
  const candles = new Candles(60);
  candles.replace(readCandles(
    '{"key":"gold","data":[{"start":"2026-01-31T12:00:00Z","open":10.00,"high":12.50,"low":9.90,"close":11.10,"count":3}]}'));
  const start = Date.parse("2026-01-31T12:00:00Z") / 1000;
  candles.add("12.60", start + 59);
  candles.add("9.9000", start + 60);
  candles.add("9.80", start + 61);
  assert.deepEqual(candles.sorted(), [
    { start, open: "10.00", high: "12.60", low: "9.90", close: "12.60", count: 4 },
    { start: start + 60, open: "9.9000", high: "9.9000", low: "9.80", close: "9.80", count: 2 },
  ]);
  assert.deepEqual(candles.summary(), { first: "10.00", last: "9.80", high: "12.60", low: "9.80", count: 6 });
});

test("high and low are exact where a double is not", () => {
  const candles = new Candles(1);
  candles.add("9007199254740992.1", 5);
  candles.add("9007199254740992.2", 5);
  candles.add("9007199254740992.0", 5);
  assert.equal(candles.summary().high, "9007199254740992.2");
  assert.equal(candles.summary().low, "9007199254740992.0");
});

test("what left the range is forgotten, what reaches into it stays", () => {
  const candles = new Candles(60);
  for (const at of [0, 60, 120]) candles.add("1", at);
  candles.dropBefore(60);
  assert.deepEqual(candles.sorted().map(({ start }) => start), [60, 120]);
});

test("no span needs more than 300 buckets, up to 300 days", () => {
  for (const days of [0, 0.001, 0.1, 1, 7, 90, 300]) assert.ok((days * 86_400) / bucketFor(days * 86_400) <= 300);
  assert.equal(bucketFor(1e12), 86_400);
});
