/* The console's import takes what tests/wire/ticks.json says, as kvcast/ticks.py does. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { BadLine, Csv, csvCell, elementOfJson, linesOf, looksLikeJson, textOf } from "../../web/admin-ticks.js";

const EXAMPLES = JSON.parse(readFileSync(new URL("../wire/ticks.json", import.meta.url), "utf8"));

/** A stream of `bytes`, in chunks of `size`. */
function streamOf(bytes, size) {
  return new ReadableStream({
    start(controller) {
      for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size));
      controller.close();
    },
  });
}

async function read(bytes, size = 1024, category = "") {
  const elements = [];
  const refused = [];
  let take = null;
  for await (const line of linesOf(streamOf(bytes, size))) {
    try {
      const text = textOf(line);
      if (!text.trim()) continue;
      const csv = new Csv();
      take ??= looksLikeJson(text) ? (one) => elementOfJson(one, category) : (one) => csv.take(one, category);
      const found = take(text);
      if (found !== null) elements.push(found);
    } catch (error) {
      if (!(error instanceof BadLine) || error.final) throw error;
      refused.push(line.number);
    }
  }
  return { elements, refused };
}

const encode = (text) => new TextEncoder().encode(text);

for (const { name, text, elements, refused } of EXAMPLES) {
  test(name, async () => {
    for (const size of [1, 7, 4096]) assert.deepEqual(await read(encode(text), size), { elements, refused });
  });
}

test("a line that is not UTF-8, and one that is too long, are refused alone", async () => {
  const bad = [...encode("key,value\na,"), 0xff, ...encode(`\nb,${"9".repeat(262_144)}\nc,1\n`)];
  assert.deepEqual(await read(new Uint8Array(bad), 65_536), { elements: ['{"key":"c","value":1}'], refused: [2, 3] });
});

test("a category is given where a line has none", async () => {
  const { elements } = await read(encode("key,value,category\na,1,\nb,2,own\n"), 64, "chung");
  assert.deepEqual(elements, ['{"key":"a","value":1,"category":"chung"}', '{"key":"b","value":2,"category":"own"}']);
  assert.deepEqual((await read(encode('{"key":"a","value":1}'), 64, "chung")).elements, [elements[0]]);
});

test("a header without a key or a value ends the import", async () => {
  for (const header of ["name,value", "key,amount"]) {
    await assert.rejects(read(encode(`${header}\na,1\n`)), (error) => error instanceof BadLine && error.final);
  }
});

test("a quote that never closes is told at the end", () => {
  const csv = new Csv();
  csv.take("key,value");
  assert.equal(csv.take('a,"open'), null);
  assert.throws(() => csv.end(), BadLine);
});

test("a cell reads back as it was", () => {
  for (const text of ["a", "1,5", 'say "hi"', "two\nlines", "a;b", ""]) {
    const csv = new Csv();
    csv.take("key,value");
    const found = csv.take(`k,${csvCell(text || "x")}`);
    assert.equal(JSON.parse(found).value, text || "x");
  }
});
