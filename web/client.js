/**
 * The browser's client: one WebSocket that watches keys and finds its way back by itself.
 *
 *   import { connect } from "/client.js";
 *   const connection = connect({ onState: (state) => console.log(state) });
 *   connection.watch(["gold"], {}, ({ op, key, value }) => console.log(op, key, value));
 *
 * A handler gets, never older than what it got before:
 *   {op: "snap" | "upd", key, value, rev, updatedAt, category}   value and rev are text, as they were written
 *   {op: "del", key, rev}, {op: "absent", key}                   the key was deleted; it does not exist (yet)
 *   {op: "ready", keys, recovered}                               all that was there has been told
 *   {op: "error", code, message}                                 the server refused something
 */

import { decodeFrame } from "./frames.js";
import { Subscription } from "./subscription.js";

const SILENCE_MS = 25_000;
const SHORTEST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
const FINAL_CODES = new Map([
  [4400, "The server did not understand this page; reload it."],
  [4401, "Reading needs a token here; open the link that holds one."],
  [4403, "This token, or a page of this origin, may not read here."],
]);

const PASSING_CODES = new Set(["unavailable", "storage_unavailable", "outcome_unknown", "bus_unavailable", "overloaded"]);

class Connection {
  #url;
  #token;
  #onState;
  #socket = null;
  #watches = new Map(); // Subscription -> handler
  #unsettled = []; // {subscription, names} in the order of their frames
  #epoch = null;
  #heartbeatMs = 10_000;
  #clockOffsetMs = 0;
  #heardAt = 0;
  #failures = 0;
  #greeted = false; // this socket said hello
  #final = false; // connecting again would not help
  #retryTimer;
  #pulse;
  state = "connecting";
  reason = "";

  constructor(url, token, onState) {
    this.#url = url;
    this.#token = token;
    this.#onState = onState;
    this.#pulse = setInterval(() => this.#checkSilence(), 1000);
    globalThis.addEventListener?.("online", this.#wake);
    globalThis.document?.addEventListener("visibilitychange", this.#wake);
    this.#open();
  }

  /** The server's clock as Unix milliseconds. */
  now() {
    return Date.now() + this.#clockOffsetMs;
  }

  /** Watch keys, prefixes and categories; returns a function that ends it. */
  watch(keys, options, handler) {
    const subscription = new Subscription(keys, options);
    this.#watches.set(subscription, handler);
    if (this.#greeted) this.#subscribe(subscription);
    return () => this.#unwatch(subscription);
  }

  /** Close for good. */
  close(reason = "Closed.") {
    this.#final = true;
    clearInterval(this.#pulse);
    clearTimeout(this.#retryTimer);
    globalThis.removeEventListener?.("online", this.#wake);
    globalThis.document?.removeEventListener("visibilitychange", this.#wake);
    this.#drop();
    this.#become("offline", reason);
  }

  #open() {
    clearTimeout(this.#retryTimer);
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    this.#heardAt = Date.now();
    const current = (handle) => (event) => this.#socket === socket && handle(event);
    socket.onopen = current(() => {
      if (this.#token) socket.send(JSON.stringify({ op: "auth", token: this.#token }));
    });
    socket.onmessage = current(({ data }) => this.#receive(data));
    socket.onclose = current(({ code }) => this.#lost(code));
    socket.onerror = current(() => this.#lost(1006)); // Node 20 tells of no close after a failed attempt
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    this.#greeted = false;
    this.#unsettled = [];
    socket?.close();
  }

  #become(state, reason = "") {
    if (state === this.state && reason === this.reason) return;
    this.state = state;
    this.reason = reason;
    this.#onState(state, reason);
  }

  #receive(text) {
    this.#heardAt = Date.now();
    let messages;
    try {
      messages = decodeFrame(text);
    } catch (error) {
      console.error("kvcast: a frame that is not JSON; connecting again.", error);
      return this.#lost(1002);
    }
    for (const message of messages) if (this.#socket) this.#handle(message);
    if (this.state === "stale" && this.#greeted && !this.#unsettled.length) this.#become("live");
  }

  #handle(message) {
    if (message.op === "hello") return this.#hello(message);
    if (message.op === "hb") return this.#setClock(message.time);
    if (message.op === "subbed") return this.#settle(message);
    if (message.op === "error") return this.#refused(message);
    if (message.key !== undefined) {
      for (const [subscription, handler] of this.#watches) {
        const news = subscription.take(message);
        if (news) handler(news);
      }
    }
  }

  #hello({ epoch, heartbeat, time }) {
    this.#heartbeatMs = 1000 * heartbeat;
    this.#setClock(time);
    if (epoch !== this.#epoch) for (const subscription of this.#watches.keys()) subscription.forgetRevs();
    this.#epoch = epoch;
    this.#greeted = true;
    for (const subscription of this.#watches.keys()) this.#subscribe(subscription);
    if (!this.#unsettled.length) this.#settled();
  }

  #setClock(time) {
    this.#clockOffsetMs = 1000 * time - Date.now();
  }

  #subscribe(subscription) {
    for (const frame of subscription.frames(this.#epoch)) {
      this.#unsettled.push({ subscription, names: JSON.parse(frame).keys ?? [] });
      this.#socket.send(frame);
    }
  }

  #settle(message) {
    const named = message.keys ?? [];
    const at = this.#unsettled.findIndex(({ names }) => names.length === named.length && names[0] === named[0]);
    if (at < 0) return;
    const [{ subscription }] = this.#unsettled.splice(at, 1);
    const handler = this.#watches.get(subscription);
    if (handler) subscription.settle(message).forEach((event) => handler(event));
    if (!this.#unsettled.length) this.#settled();
  }

  /** The server answers in order, so an error is the answer to the oldest subscribe. */
  #refused(message) {
    if (PASSING_CODES.has(message.code)) return this.#lost(1013);
    const [refused] = this.#unsettled.splice(0, 1);
    this.#watches.get(refused?.subscription)?.(message);
    if (refused && !this.#unsettled.length) this.#settled();
  }

  #settled() {
    this.#failures = 0;
    this.#become("live");
  }

  #unwatch(subscription) {
    if (!this.#watches.delete(subscription) || !this.#greeted) return;
    const rest = [...this.#watches.keys()];
    const unused = (field) =>
      [...subscription[field]].filter((name) => !rest.some((other) => [...other[field]].includes(name)));
    const names = { keys: unused("keys"), prefixes: unused("prefixes"), categories: unused("categories") };
    this.#socket.send(JSON.stringify({ op: "unsub", ...names }));
  }

  #lost(code) {
    this.#drop();
    if (FINAL_CODES.has(code)) return this.close(FINAL_CODES.get(code));
    // Full jitter: thousands of browsers that lost one server must not come back in one instant.
    const bound = Math.min(LONGEST_WAIT_MS, 1000 * 2 ** this.#failures);
    const jittered = SHORTEST_WAIT_MS + Math.random() * (bound - SHORTEST_WAIT_MS);
    const wait = code === 4429 ? LONGEST_WAIT_MS : jittered;
    this.#become(this.state === "live" ? "stale" : "offline", "Connecting again.");
    this.#failures += 1;
    this.#retryTimer = setTimeout(() => this.#open(), wait);
  }

  #checkSilence() {
    if (!this.#socket) return;
    const silentMs = Date.now() - this.#heardAt; // not performance.now(), which may stand still in a sleeping laptop
    if (silentMs > SILENCE_MS) this.#lost(1006);
    else if (this.state === "live" && silentMs > 1.5 * this.#heartbeatMs) {
      this.#become("stale", "The server is silent.");
    }
  }

  #wake = () => {
    if (globalThis.document?.hidden || this.#final) return;
    if (this.#socket) this.#checkSilence();
    else this.#open();
  };
}

/**
 * Connect. url: of the socket, default `/ws` of this page's server; token: where reads need one;
 * onState(state, reason): `connecting`, `live`, `stale` (what is shown may be old) or `offline`.
 */
export function connect({ url = "/ws", token = null, onState = () => {} } = {}) {
  const address = new URL(url, globalThis.location?.href);
  address.protocol = address.protocol.replace(/^http/, "ws");
  return new Connection(address.href, token, onState);
}
