/*
 * Server-sent events, for where no WebSocket gets through. Read with fetch, which can carry a token in a header.
 * The stream's address names all that is watched, so another name means another stream.
 */

import { Calls, KvcastError } from "./calls.js";
import { decodeFrame } from "./frames.js";
import { EVERY } from "./subscription.js";

const ADDRESS_MOST = 3500; // characters; the server takes a request line of 4094
const CODES = { 401: 4401, 403: 4403, 429: 4429 };

export class EventLink {
  #calls;
  #sink;
  #abort = null;
  #epoch = null;
  #names; // {keys, prefixes, categories}: Sets
  #open = ""; // the address of the stream that runs
  #unsettled = new Set();
  #settled = new Set();
  #timer = null;

  constructor({ base, token, sink, wanted }) {
    this.#calls = new Calls(base, token);
    this.#sink = sink;
    this.#names = Object.fromEntries(Object.entries(wanted()).map(([field, names]) => [field, new Set(names.keys())]));
    this.#stream();
  }

  ask(request) {
    for (const [field, names] of Object.entries(this.#names)) request[field].forEach((name) => names.add(name));
    request.mark = this.#sink.mark();
    this.#unsettled.add(request);
    this.#timer ??= setTimeout(() => this.#reopen(), 20);
  }

  drop(dropped) {
    for (const [field, names] of Object.entries(this.#names)) dropped[field].forEach((name) => names.delete(name));
  }

  ping() {
    return false;
  }

  close() {
    this.#sink = null;
    clearTimeout(this.#timer);
    this.#abort?.abort();
  }

  #address() {
    const { keys, prefixes, categories } = this.#names;
    const query = new URLSearchParams();
    for (const key of keys) query.append("key", key);
    for (const prefix of prefixes) query.append("prefix", prefix);
    for (const category of categories) query.append("category", category);
    return `sse?${query}`;
  }

  /** Another stream, unless the one that runs names all and its end of snapshot is still to come. */
  #reopen() {
    this.#timer = null;
    if (!this.#unsettled.size) return;
    if (this.#address() === this.#open) return;
    for (const request of [...this.#settled, ...this.#unsettled]) request.mark = this.#sink.mark();
    this.#abort.abort();
    this.#stream();
  }

  async #stream() {
    const abort = new AbortController();
    this.#abort = abort;
    this.#open = this.#address();
    await null; // whoever constructs this knows it before it fails
    try {
      if (this.#open.length > ADDRESS_MOST) throw new KvcastError("Too many names for an address.", { code: "too_long" });
      const response = await this.#calls.fetch(this.#open, { signal: abort.signal, headers: { Accept: "text/event-stream" } });
      for await (const text of events(response.body)) {
        if (abort.signal.aborted) return;
        for (const message of decodeFrame(text)) if (!abort.signal.aborted) this.#handle(message);
      }
      if (!abort.signal.aborted) this.#lost(1012);
    } catch (error) {
      if (abort.signal.aborted) return;
      if (error.status === 400 && this.#unsettled.size) this.#refuse({ op: "error", code: error.code, message: error.message });
      else this.#lost((error.code !== "unknown" && CODES[error.status]) || 1006); // a proxy's 403 is not ours
    }
  }

  #handle(message) {
    if (message.op === "hello") return this.#greet(message);
    if (message.op === "error") return this.#refuse(message);
    if (message.op !== "subbed") return this.#sink.message(message);
    this.#open = ""; // a further request needs a further snapshot
    for (const request of this.#unsettled) {
      // Here the server leaves ticks out for a slow reader, so nothing can be promised in mode every.
      const recovered = request.strength !== EVERY && message.recovered;
      this.#settled.add(request);
      this.#sink.settled(request, { absent: message.absent.filter((key) => request.keys.includes(key)), recovered });
    }
    this.#unsettled.clear();
  }

  #greet(hello) {
    if (this.#epoch !== null && this.#epoch !== hello.epoch) return this.#lost(1012);
    if (this.#epoch === null) this.#sink.message(hello);
    else this.#sink.message({ ...hello, op: "hb" });
    this.#epoch = hello.epoch;
  }

  /** One stream is refused as a whole, so each request is asked again by halves until the bad name is alone. */
  #refuse(error) {
    if (error.code.endsWith("unavailable") || error.code === "overloaded") return this.#lost(1013);
    const refused = [...this.#unsettled];
    this.#unsettled.clear();
    for (const request of refused) {
      this.drop(request);
      this.#sink?.refused(request, error);
    }
  }

  #lost(code) {
    const sink = this.#sink;
    this.close();
    sink?.closed(code);
  }
}

/** The data of each event of a stream. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const lines = part.split("\n").filter((line) => line.startsWith("data:"));
      if (lines.length) yield lines.map((line) => line.slice(5).trimStart()).join("\n");
    }
  }
}
