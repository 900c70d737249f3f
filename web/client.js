/**
 * The browser's client: watches keys through one socket that all tabs share, and finds its way back by itself.
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
 * docs/javascript-client.md tells the rest, client.d.ts the types.
 */

import { attend } from "./attention.js";
import { Calls, KvcastError } from "./calls.js";
import { Session } from "./session.js";
import { openWorkerPort, SharedSession } from "./shared.js";
import { Subscription, UNLIMITED } from "./subscription.js";

export { KvcastError };

const HIDDEN_RATE = 1; // changes a second and key that a hidden tab asks for
const WORKER_LIVES = 3; // a worker that dies so often in a row is left for a socket of our own
const REPLACE_AFTER_MS = 300;
const SETTLED_MS = 60_000;

class Connection {
  #base;
  #token;
  #onState;
  #calls;
  #session = null;
  #watches = new Map(); // Subscription -> handler
  #written = new Map(); // key -> rev of the last write here
  #epoch = null;
  #workerLives;
  #bornAt = 0;
  #ceiling = UNLIMITED;
  #stopAttending;
  #final = false;
  state = "connecting";
  reason = "";

  constructor({ base, token, onState, shared }) {
    this.#base = base;
    this.#token = token;
    this.#onState = onState;
    this.#calls = new Calls(base, token);
    this.#workerLives = shared && globalThis.SharedWorker ? WORKER_LIVES : 0;
    this.#open();
    this.#stopAttending = attend({
      show: () => this.#show(true),
      hide: () => this.#show(false),
      wake: () => this.#session?.wake(),
      doubt: (reason) => this.#session?.doubt(reason),
      suspend: () => this.#suspend(),
      resume: () => this.#open(),
    });
  }

  /** The server's clock as Unix milliseconds. */
  now() {
    return Date.now() + (this.#session?.clockOffsetMs ?? 0);
  }

  /** How the changes come: "SocketLink", "EventLink", "PollLink", or null while they do not. */
  get carrier() {
    return this.#session?.carrier ?? null;
  }

  /** Watch keys, prefixes and categories; returns a function that ends it. */
  watch(keys, options, handler) {
    const subscription = new Subscription(keys, options ?? {});
    subscription.ceiling = this.#ceiling;
    this.#watches.set(subscription, handler);
    this.#session?.watch(subscription, this.#handlerOf(subscription));
    return () => {
      if (this.#watches.delete(subscription)) this.#session?.unwatch(subscription);
    };
  }

  /** Write `value`; resolves with {key, rev, updatedAt} when it is committed. Rejects with KvcastError. */
  async set(key, value, options) {
    const written = await this.#calls.set(key, value, options);
    this.#written.set(written.key, written.rev);
    return written;
  }

  /** {key, value, category, rev, updatedAt}, or null; never older than what this connection wrote. */
  get(key) {
    return this.#calls.get(key, { minRev: this.#written.get(key.normalize("NFC")) });
  }

  /** Delete `key`; resolves like `set`. */
  async delete(key, options) {
    const deleted = await this.#calls.delete(key, options);
    this.#written.delete(deleted.key);
    return deleted;
  }

  /** Close for good. */
  close(reason = "Closed.") {
    if (this.#final) return;
    this.#final = true;
    this.#stopAttending();
    this.#session?.close(reason);
    this.#become("offline", reason);
  }

  #open() {
    if (this.#final || this.#session) return;
    const onState = (state, reason) => this.#become(state, reason);
    const options = { base: this.#base, token: this.#token, onState, isVisible: !globalThis.document?.hidden };
    let died = false;
    const onDead = () => {
      if (!died) this.#replace();
      died = true;
    };
    const port = this.#workerLives > 0 ? openWorkerPort(onDead) : null;
    this.#bornAt = Date.now();
    this.#session = port
      ? new SharedSession(port, { ...options, onDead })
      : new Session({ ...options, onEpoch: () => { this.#epoch = this.#session?.epoch ?? null; } });
    if (!port) this.#workerLives = 0;
    for (const subscription of this.#watches.keys()) {
      this.#session.watch(subscription, this.#handlerOf(subscription), this.#epoch);
    }
    if (options.isVisible === false) this.#session.setWatched(false);
  }

  /** The worker died, or was never there: go on from what was seen. */
  #replace() {
    if (this.#final) return;
    if (Date.now() - this.#bornAt < SETTLED_MS) this.#workerLives -= this.#session.isWelcome ? 1 : WORKER_LIVES;
    this.#suspend();
    this.#become(this.state === "live" ? "stale" : this.state, "Connecting again.");
    // At once, the browser would hand us the port of the worker that is just ending.
    setTimeout(() => this.#open(), REPLACE_AFTER_MS);
  }

  #suspend() {
    const session = this.#session;
    this.#session = null;
    if (!session) return;
    this.#epoch = session.epoch ?? this.#epoch;
    session.quit();
  }

  #handlerOf(subscription) {
    return (event) => this.#watches.get(subscription)?.(event);
  }

  #become(state, reason) {
    if (state === this.state && reason === this.reason) return;
    this.state = state;
    this.reason = reason;
    this.#onState(state, reason);
  }

  #show(isVisible) {
    this.#ceiling = isVisible ? UNLIMITED : HIDDEN_RATE;
    for (const subscription of this.#watches.keys()) {
      subscription.ceiling = this.#ceiling;
      this.#session?.retune(subscription);
    }
    this.#session?.setWatched(isVisible);
  }
}

/**
 * Connect. url: of the server, or of its socket, default this page's server; token: for writing, and where reads need
 * one; onState(state, reason): `connecting`, `live`, `stale` (what is shown may be old) or `offline`; shared: whether
 * tabs share one socket, default true.
 */
export function connect({ url = "/", token = null, onState = () => {}, shared = true } = {}) {
  const base = new URL(url, globalThis.location?.href);
  base.protocol = base.protocol.replace(/^ws/, "http");
  base.pathname = base.pathname.replace(/\/(ws)?$/, "") + "/";
  base.search = base.hash = "";
  return new Connection({ base: base.href, token, onState, shared });
}
