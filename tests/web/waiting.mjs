/* Waiting for what must come to pass, with a deadline that only bounds a hang; and time as it was asked for. */

import assert from "node:assert/strict";

export async function until(condition, what, withinMs = 30_000) {
  const deadline = Date.now() + withinMs;
  while (!condition()) {
    assert.ok(Date.now() < deadline, `waited in vain for ${what}`);
    await new Promise((done) => setTimeout(done, 10));
  }
}

/**
 * The waits, in ms, that are asked for while `act` runs. They are what a busy machine does not change. Random numbers are
 * `random` meanwhile, where that is given.
 */
export async function waitsAskedFor(act, random = null) {
  const [realTimeout, realRandom] = [globalThis.setTimeout, Math.random];
  const waits = [];
  globalThis.setTimeout = (run, ms, ...rest) => {
    waits.push(ms);
    return realTimeout(run, ms, ...rest);
  };
  if (random !== null) Math.random = () => random;
  try {
    await act();
  } finally {
    globalThis.setTimeout = realTimeout;
    Math.random = realRandom;
  }
  return waits;
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
