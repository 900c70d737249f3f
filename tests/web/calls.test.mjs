/* Writing and reading over HTTP: what is sent, what comes back to the letter, what is repeated. */

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { Calls, KvcastError } from "../../web/calls.js";
import { serve } from "./socket_server.mjs";

const cleanups = [];
afterEach(async () => {
  while (cleanups.length) await cleanups.pop()();
});

/** Calls to a server that gives `answers` in turn, and what it got. */
async function against(...answers) {
  const got = [];
  const server = await serve({
    onRequest: (request, response) => {
      let body = "";
      request.on("data", (data) => (body += data));
      request.on("end", () => {
        got.push({ method: request.method, url: request.url, headers: request.headers, body });
        const answer = answers.length > 1 ? answers.shift() : answers[0];
        if (!answer) return response.destroy();
        const [status, text, headers = {}] = answer;
        response.writeHead(status, { "Content-Type": "application/json", ...headers });
        return response.end(text);
      });
    },
  });
  cleanups.push(server.stop);
  return { got, calls: new Calls(`http://127.0.0.1:${server.port}/`, "t0ken") };
}

const WRITTEN = [200, '{"success":true,"key":"gold","rev":9007199254740993,"updatedAt":"2026-01-05T12:00:00.000000Z"}'];
const refusal = (status, code, more = "") => [status, `{"success":false,"error":{"code":"${code}","message":"No."${more}}}`];

test("a write carries the value as JSON, or its text to the letter", async () => {
  const { calls, got } = await against(WRITTEN);
  await calls.set("gold", { a: 1 }, { category: "metal", ttl: 60 });
  const written = await calls.set("gold", "2345.60", { raw: true });
  assert.equal(got[0].body, '{"key":"gold","category":"metal","ttl":60,"value":{"a":1}}');
  assert.equal(got[1].body, '{"key":"gold","value":2345.60}');
  assert.equal(got[0].headers.authorization, "Bearer t0ken");
  assert.deepEqual(written, { key: "gold", rev: "9007199254740993", updatedAt: "2026-01-05T12:00:00.000000Z" });
});

test("what is no JSON is refused before it is sent", async () => {
  const { calls, got } = await against(WRITTEN);
  await assert.rejects(calls.set("gold", "2345.60,", { raw: true }), SyntaxError);
  await assert.rejects(calls.set("gold", undefined), TypeError);
  assert.equal(got.length, 0);
});

test("conditions become headers, and a conflict is told with what is there", async () => {
  const { calls, got } = await against(refusal(412, "precondition_failed", ',"detail":{"rev":8}'));
  for (const options of [{ ifRev: "7" }, { createOnly: true }]) {
    await assert.rejects(calls.set("gold", 1, options), (error) => {
      assert.ok(error instanceof KvcastError);
      assert.deepEqual([error.status, error.code, error.detail, error.message], [412, "precondition_failed", { rev: 8 }, "No."]);
      return true;
    });
  }
  assert.equal(got.length, 2, "a conflict was repeated");
  assert.equal(got[0].headers["if-match"], '"7"');
  assert.equal(got[1].headers["if-none-match"], "*");
});

test("what failed in passing is repeated under the same Idempotency-Key", async () => {
  const { calls, got } = await against(null, refusal(503, "storage_unavailable"), WRITTEN);
  await calls.set("gold", 1);
  assert.equal(got.length, 3);
  assert.equal(new Set(got.map(({ headers }) => headers["idempotency-key"])).size, 1);
  assert.match(got[0].headers["idempotency-key"], /^[0-9a-f]{32}$/);
});

test("a server that does not answer is told as such, in words that say what is known", async () => {
  const { calls } = await against(null);
  await assert.rejects(calls.set("gold", 1), (error) => error.status === 0 && /not known/.test(error.message));
});

test("an entry comes back to the letter, an absent one as null", async () => {
  const { calls, got } = await against(
    [200, '{"key":"vàng","value":2345.60,"category":"metal","rev":7,"updatedAt":"2026-01-05T12:00:00.000000Z","source":"l1"}'],
    refusal(404, "key_not_found"),
  );
  assert.deepEqual(await calls.get("vàng", { minRev: "7" }), {
    key: "vàng", value: "2345.60", category: "metal", rev: "7", updatedAt: "2026-01-05T12:00:00.000000Z",
  });
  assert.equal(got[0].url, "/get/v%C3%A0ng?min_rev=7");
  assert.equal(await calls.get("vàng"), null);
});

test("a deletion names its key and its condition", async () => {
  const { calls, got } = await against(WRITTEN);
  assert.equal((await calls.delete("a@b+c", { ifRev: "4" })).rev, "9007199254740993");
  assert.deepEqual([got[0].method, got[0].url, got[0].headers["if-match"]], ["DELETE", "/keys/a%40b%2Bc", '"4"']);
});
