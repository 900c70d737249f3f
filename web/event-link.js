/* Server-sent events, for where no WebSocket gets through, read with fetch, which can carry a token in a header. The
   stream's address says all that is watched and how, so another wish means another stream. */

import { Calls, KvcastError } from "./calls.js";
import { events } from "./event-stream.js";
import { decodeFrame } from "./frames.js";
import { EVERY, FIELDS, UNLIMITED } from "./subscription.js";

const ADDRESS_MOST = 7000; // characters: servers and proxies take a request line of 8 KiB
const GATHER_MS = 20; // what comes together is asked together
const CODES = { 401: 4401, 403: 4403, 429: 4429 };
const PARAMETERS = { keys: "key", prefixes: "prefix", categories: "category" };

export class EventLink {
  #calls;
  #sink;
  #abort = null;
  #epoch = null;
  #wanted; // per field a Map name -> strength; until the first request
  #requests = new Set();
  #unsettled = new Set();
  #suspects = []; // requests that were refused together, to be asked one by one
  #revs = new Map(); // mode every: key -> the rev from which another stream goes on, null until something is known
  #open = ""; // what the stream that runs was asked, but for revs
  #answer = null; // its end of snapshot
  #hasTold = false; // its snapshot has begun: what is asked from now on needs another stream
  #isOutdated = false; // it does not answer all that was asked
  #gathering = null;

  constructor({ base, token, sink, wanted }) {
    this.#calls = new Calls(base, token);
    this.#sink = sink;
    this.#wanted = wanted();
    this.#stream();
  }

  ask(request) {
    if (!this.#sink) return;
    this.drop(request);
    request.mark = this.#sink.mark();
    this.#requests.add(request);
    this.#unsettled.add(request);
    const isEvery = request.strength === EVERY;
    if (isEvery) for (const key of request.keys) this.#revs.set(key, request.since.get(key) ?? null);
    this.#isOutdated ||= this.#hasTold || (isEvery && request.since.size > 0);
    this.#gathering ??= setTimeout(() => this.#gathered(), GATHER_MS);
  }

  drop(dropped) {
    const isEmpty = (request) => FIELDS.every((field) => !request[field].length);
    for (const request of [...this.#requests, ...this.#suspects]) {
      for (const field of FIELDS) request[field] = request[field].filter((name) => !dropped[field].includes(name));
      if (isEmpty(request) && this.#requests.delete(request)) this.#unsettled.delete(request);
    }
    this.#suspects = this.#suspects.filter((request) => !isEmpty(request));
    for (const key of dropped.keys) this.#revs.delete(key);
  }

  ping() {
    return false;
  }

  close() {
    this.#sink = null;
    clearTimeout(this.#gathering);
    this.#abort?.abort();
  }

  /** [[name, strength]] of one field: as requested, or before any request as it will be. */
  #named(field) {
    if (!this.#requests.size) return [...this.#wanted[field]];
    return [...this.#requests].flatMap((request) => request[field].map((name) => [name, request.strength]));
  }

  /** One stream has one mode and one rate: the strongest that is asked for. Each watch takes of it what it wants. */
  #question() {
    const query = new URLSearchParams();
    let strongest = 0;
    for (const field of FIELDS) {
      for (const [name, strength] of this.#named(field).sort(([a], [b]) => (a < b ? -1 : 1))) {
        query.append(PARAMETERS[field], name);
        strongest = Math.max(strongest, strength);
      }
    }
    if (strongest === EVERY) query.set("mode", "every");
    else if (strongest < UNLIMITED) query.set("max_rate", Math.min(strongest, 1000));
    return query;
  }

  #address() {
    const query = this.#question();
    for (const [key, rev] of this.#revs) if (rev !== null) query.append("since", `${key}:${rev}`);
    if (query.has("since")) query.set("epoch", this.#epoch);
    return `sse?${query}`;
  }

  /** Another stream, unless the one that runs answers all that was asked. */
  #gathered() {
    this.#gathering = null;
    if (!this.#unsettled.size) return;
    if (this.#isOutdated || `${this.#question()}` !== this.#open) this.#reopen();
    else if (this.#answer) this.#settle();
  }

  #reopen() {
    if (!this.#sink) return;
    for (const request of this.#requests) request.mark = this.#sink.mark();
    this.#abort.abort();
    this.#stream();
  }

  async #stream() {
    const abort = new AbortController();
    this.#abort = abort;
    this.#open = `${this.#question()}`;
    this.#answer = null;
    this.#hasTold = this.#isOutdated = false;
    const address = this.#address();
    await null; // whoever constructs this knows it before it fails
    try {
      if (address.length > ADDRESS_MOST) throw new KvcastError("Too many names for an address.", { code: "too_long" });
      const response = await this.#calls.fetch(address, { signal: abort.signal, headers: { Accept: "text/event-stream" } });
      for await (const text of events(response.body)) {
        for (const message of decodeFrame(text)) {
          if (abort.signal.aborted) return;
          this.#handle(message);
        }
      }
      if (!abort.signal.aborted) this.#lost(1012);
    } catch (error) {
      if (abort.signal.aborted) return;
      if (error.status === 400 && this.#unsettled.size) this.#refuse({ op: "error", code: error.code, message: error.message });
      else this.#lost((error.code !== "unknown" && CODES[error.status]) || 1006); // a proxy's 403 is not ours
    }
  }

  #handle(message) {
    if (message.op === "hello") this.#greet(message);
    else if (message.op === "error") this.#refuse(message);
    else if (message.op === "subbed") this.#take(message);
    else {
      this.#hasTold ||= message.op !== "hb";
      // What an outdated stream tells of a key may be beyond what a request still lacks.
      if (!this.#isOutdated && this.#revs.has(message.key)) this.#revs.set(message.key, message.rev);
      this.#sink.message(message);
    }
  }

  #greet(hello) {
    if (this.#epoch !== null && this.#epoch !== hello.epoch) return this.#lost(1012);
    const op = this.#epoch === null ? "hello" : "hb";
    this.#epoch = hello.epoch;
    return this.#sink.message({ ...hello, op });
  }

  /** The end of the snapshot names all keys; one that names another set says that ticks of these are missing. */
  #take(message) {
    this.#hasTold = true;
    if (this.#answer === null && message.keys.length === this.#named("keys").length) {
      this.#answer = message;
      if (this.#gathering === null) this.#settle();
    } else if (!message.recovered) this.#sink.missed({ keys: message.keys, prefixes: [], categories: [] });
  }

  #settle() {
    for (const [key, rev] of this.#revs) if (rev === null) this.#revs.set(key, "0");
    for (const request of [...this.#requests]) {
      // Wide names cannot say where they go on, and between two streams nobody listened.
      const isTorn = request.strength === EVERY && !this.#unsettled.has(request) && request.prefixes.length + request.categories.length;
      if (isTorn) this.#sink?.missed({ keys: [], prefixes: request.prefixes, categories: request.categories });
      const absent = this.#answer.absent.filter((key) => request.keys.includes(key));
      this.#sink?.settled(request, { absent, recovered: this.#answer.recovered });
    }
    this.#unsettled.clear();
    if (this.#suspects.length) this.ask(this.#suspects.shift());
  }

  /** A stream is refused as a whole: leave all but one of the new requests aside, until the bad one is alone. */
  #refuse(error) {
    if (error.code.endsWith("unavailable") || error.code === "overloaded" || !this.#unsettled.size) return this.#lost(1013);
    const [first, ...others] = this.#unsettled;
    this.#isOutdated = true;
    for (const request of this.#unsettled) this.#requests.delete(request);
    this.#unsettled.clear();
    this.#suspects.push(...others);
    if (others.length) this.ask(first);
    else {
      this.#sink.refused(first, error); // which may ask for its halves
      if (this.#suspects.length) this.ask(this.#suspects.shift());
      if (this.#gathering === null && this.#requests.size) this.#reopen(); // for what was served before
    }
  }

  #lost(code) {
    const sink = this.#sink;
    this.close();
    sink?.closed(code);
  }
}
