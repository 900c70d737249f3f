/* Asking again and again, for where no stream gets through. Deletions are seen as absence; ticks may be skipped. */

import { Calls } from "./calls.js";
import { elements, entryOf, members } from "./frames.js";
import { EVERY, FIELDS } from "./subscription.js";

const ROUND_MS = 1000;
const ANSWER_MOST_MS = 8000;
const ADDRESS_MOST = 7000; // characters: servers and proxies take a request line of 8 KiB
const KEYS_MOST = 100;
const EPOCH_EVERY = 10; // rounds
const CODES = { 401: 4401, 403: 4403, 429: 4429, 503: 1013 };

export class PollLink {
  #calls;
  #sink;
  #requests = new Map(); // request -> whether it was answered once
  #epoch = null;
  #rounds = 0;
  #timer = null;
  #abort = new AbortController();

  constructor({ base, token, sink }) {
    this.#calls = new Calls(base, token);
    this.#sink = sink;
    this.#run();
  }

  ask(request) {
    this.drop(request);
    this.#requests.set(request, false);
  }

  drop(dropped) {
    for (const request of this.#requests.keys()) {
      for (const field of FIELDS) request[field] = request[field].filter((name) => !dropped[field].includes(name));
      if (!FIELDS.some((field) => request[field].length)) this.#requests.delete(request);
    }
  }

  ping() {
    return false;
  }

  close() {
    this.#sink = null;
    clearTimeout(this.#timer);
    this.#abort.abort();
  }

  async #run() {
    await null; // whoever constructs this knows it before it fails
    const began = Date.now();
    try {
      if (this.#rounds % EPOCH_EVERY === 0) await this.#greet();
      for (const [request, told] of [...this.#requests]) if (this.#sink) await this.#round(request, told);
      this.#sink?.message({ op: "hb" });
    } catch (error) {
      if (this.#sink) return this.#lost((error.code !== "unknown" && CODES[error.status]) || 1006);
    }
    this.#rounds += 1;
    // A round that takes long costs the server much: leave it four times as long in peace.
    const wait = Math.max(ROUND_MS, 4 * (Date.now() - began));
    if (this.#sink) this.#timer = setTimeout(() => this.#run(), this.#requests.size ? wait : 50);
    return undefined;
  }

  async #greet() {
    const epoch = JSON.parse((await this.#text("stats")).get("epoch"));
    if (this.#epoch !== null && this.#epoch !== epoch) return this.#lost(1012);
    if (this.#epoch === null) this.#sink?.message({ op: "hello", epoch, heartbeat: 10 });
    this.#epoch = epoch;
    return undefined;
  }

  async #round(request, told) {
    const op = told ? "upd" : "snap";
    const absent = [];
    request.mark = this.#sink.mark();
    try {
      for (const query of queries(request.keys)) {
        const answer = await this.#text(`mget?${query}`);
        this.#tell(op, answer);
        absent.push(...JSON.parse(answer.get("absent")));
      }
      for (const prefix of request.prefixes) await this.#pages(op, { prefix });
      for (const category of request.categories) await this.#pages(op, { category });
    } catch (error) {
      if (error.status !== 400) throw error;
      this.#requests.delete(request);
      this.#sink?.refused(request, { op: "error", code: error.code, message: error.message });
      return;
    }
    if (!this.#requests.has(request)) return; // dropped meanwhile
    this.#requests.set(request, true);
    this.#sink?.settled(request, { absent, recovered: request.strength !== EVERY });
  }

  async #pages(op, named) {
    for (let cursor = null; this.#sink; ) {
      const query = new URLSearchParams({ ...named, values: "1", ...(cursor && { cursor }) });
      const answer = await this.#text(`keys?${query}`);
      this.#tell(op, answer);
      cursor = JSON.parse(answer.get("next"));
      if (!cursor) return;
    }
  }

  #tell(op, answer) {
    for (const { key, value, rev, updatedAt, category } of elements(answer.get("data")).map(entryOf)) {
      this.#sink?.message({ op, key, value, rev, updatedAt, category });
    }
  }

  async #text(path) {
    const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(ANSWER_MOST_MS)]);
    return members(await (await this.#calls.fetch(path, { signal })).text());
  }

  #lost(code) {
    const sink = this.#sink;
    this.close();
    sink?.closed(code);
  }
}

/** Queries that name all `keys`, each short enough for an address. */
function* queries(keys) {
  let some = [];
  let size = 0;
  for (const key of keys) {
    const part = `key=${encodeURIComponent(key)}`;
    if (some.length && (some.length === KEYS_MOST || size + part.length >= ADDRESS_MOST)) {
      yield some.join("&");
      [some, size] = [[], 0];
    }
    some.push(part);
    size += part.length + 1;
  }
  if (some.length) yield some.join("&");
}
