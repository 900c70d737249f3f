import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { decodeFrame, elements, isNewer, members } from "../../web/frames.js";

const wire = JSON.parse(await readFile(new URL("../wire/server-frames.json", import.meta.url), "utf8"));

for (const { name, text, objects } of wire) {
  test(`wire example: ${name}`, () => assert.deepEqual(decodeFrame(text), objects));
}

test("a value is cut out exactly as it was written", () => {
  for (const value of [
    "2345.60", "-0.0", "1e400", "123456789012345678901234567890", "true", "null", '""', '"a\\"b"', '"\\\\"', '"}]{["', '"\\\\\\""',
    "[]", "{}", '{"a": [1.0, "]"], "value": 7}', '[ 1 ,{"b":"\\\\"} ]', '"\u2028<script>"', '"vàng"',
  ]) {
    for (const text of [`{"value":${value},"key":"k"}`, `{ "key" : "k" , "value" : ${value} }`, `\n{"key":"k","value":\t${value}\n}`]) {
      assert.equal(members(text).get("value"), value, text);
      assert.equal(elements(`[${text}, ${text}]`).length, 2);
    }
  }
});

test("a member named value inside a value is not taken for it", () => {
  assert.equal(members('{"value":{"value":1.50},"key":"value"}').get("value"), '{"value":1.50}');
  assert.equal(members('{"\\u0076alue":3.10}').get("value"), "3.10");
});

test("random JSON comes apart as JSON.parse reads it", () => {
  let seed = 7;
  const random = (most) => (seed = (seed * 48271) % 2147483647) % most;
  const make = (depth) => {
    const kind = random(depth > 3 ? 4 : 6);
    if (kind === 0) return random(1000) / 8;
    if (kind === 1) return [null, true, false][random(3)];
    if (kind < 4) return Array.from({ length: random(8) }, () => '"\\{}[],: \nàx'[random(12)]).join("");
    if (kind === 4) return Array.from({ length: random(4) }, () => make(depth + 1));
    return Object.fromEntries(Array.from({ length: random(4) }, () => [`k"${random(99)}\\`, make(depth + 1)]));
  };
  for (let round = 0; round < 500; round += 1) {
    const object = { a: make(0), value: make(0), "\\": make(0) };
    for (const indent of [0, 1]) {
      const cut = members(JSON.stringify(object, null, indent));
      assert.deepEqual(Object.fromEntries([...cut].map(([name, raw]) => [name, JSON.parse(raw)])), object);
    }
  }
});

test("what is no JSON is refused", () => {
  for (const text of ["", "{", "[", '{"a"', '{"a":}', '{"a":1', '{"a":"}', '{"a":1}x', "[1", "[1]]", '{a:1}', '{"a":[1}']) {
    assert.throws(() => decodeFrame(text), SyntaxError, text);
  }
});

test("revs compare as whole numbers of any size", () => {
  assert.ok(isNewer("10", "9"));
  assert.ok(isNewer("9007199254740993", "9007199254740992"));
  assert.ok(!isNewer("9", "10"));
  assert.ok(!isNewer("9", "9"));
});
