/* Waiting for what must come to pass, with a deadline. */

import assert from "node:assert/strict";

export async function until(condition, what, withinMs = 8000) {
  const deadline = Date.now() + withinMs;
  while (!condition()) {
    assert.ok(Date.now() < deadline, `waited in vain for ${what}`);
    await new Promise((done) => setTimeout(done, 10));
  }
}

/** Whether `condition` stays false for so long. */
export async function neverWithin(condition, ms) {
  const deadline = Date.now() + ms;
  while (Date.now() < deadline) {
    if (condition()) return false;
    await new Promise((done) => setTimeout(done, 10));
  }
  return true;
}
