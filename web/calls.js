/* The HTTP calls of the client, with their retries. Values and revs stay text. */

import { entryOf } from "./frames.js";

const RETRY_FOR_MS = 5000;
const ANSWER_MOST_MS = 10_000;

/** What the server refused, or that it did not answer (status 0). The message is a sentence for people. */
export class KvcastError extends Error {
  constructor(message, { code = "unreachable", status = 0, detail = null, retryAfterSeconds = null } = {}) {
    super(message);
    Object.assign(this, { name: "KvcastError", code, status, detail, retryAfterSeconds });
  }

  get passing() {
    return this.status === 0 || this.status === 429 || this.status === 503;
  }
}

/** An id for one request; crypto.randomUUID is missing where a page came over plain HTTP. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function refusalOf(response) {
  const { error } = await response.json().catch(() => ({}));
  const retryAfter = Number(response.headers.get("Retry-After"));
  return new KvcastError(error?.message ?? `The server answered ${response.status}.`, {
    code: error?.code ?? "unknown", status: response.status, detail: error?.detail ?? null,
    retryAfterSeconds: Number.isFinite(retryAfter) && retryAfter > 0 ? retryAfter : null,
  });
}

export class Calls {
  #base;
  #token;

  constructor(base, token) {
    this.#base = base;
    this.#token = token;
  }

  /** The response of one call that was answered well. Throws KvcastError; an AbortError goes through. */
  async fetch(path, { method = "GET", headers = {}, body, signal } = {}) {
    const sent = { ...(this.#token ? { Authorization: `Bearer ${this.#token}` } : {}), ...headers };
    let response;
    try {
      response = await fetch(new URL(path, this.#base), { method, headers: sent, body, signal, cache: "no-store", credentials: "omit" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      const unknown = method === "GET" ? "" : " Whether it was saved is not known; it is safe to look and to try again.";
      throw new KvcastError(`The server did not answer.${unknown}`);
    }
    if (!response.ok) throw await refusalOf(response);
    return response;
  }

  /** The text of an answer; what failed in passing is repeated with full jitter, a write under one Idempotency-Key. */
  async text(path, { method = "GET", headers = {}, ...rest } = {}) {
    const deadline = Date.now() + RETRY_FOR_MS;
    const once = method === "GET" ? headers : { ...headers, "Idempotency-Key": newId() };
    for (let attempt = 0; ; attempt += 1) {
      try {
        const response = await this.fetch(path, { method, headers: once, signal: AbortSignal.timeout(ANSWER_MOST_MS), ...rest });
        return await response.text();
      } catch (error) {
        const wait = Math.max(1000 * (error.retryAfterSeconds ?? 0), Math.random() * Math.min(2000, 250 * 2 ** attempt));
        if (!error.passing || Date.now() + wait > deadline) throw error;
        await new Promise((done) => setTimeout(done, wait));
      }
    }
  }

  /**
   * Write a value: anything that JSON has, or with raw its JSON text, which is kept to the letter.
   * ttl in seconds; ifRev: only over this rev; createOnly: only when there is none.
   */
  async set(key, value, { category, ttl, ifRev, createOnly = false, raw = false } = {}) {
    const text = raw ? value : JSON.stringify(value);
    if (text === undefined) throw new TypeError("This value has no JSON; give null to write null.");
    if (raw) JSON.parse(text); // throws a SyntaxError before anything is sent
    const condition = ifRev === undefined ? createOnly && { "If-None-Match": "*" } : { "If-Match": `"${ifRev}"` };
    const body = `${JSON.stringify({ key, category, ttl }).slice(0, -1)},"value":${text}}`;
    const headers = { "Content-Type": "application/json", ...condition };
    return this.#written(await this.text("add", { method: "POST", headers, body }));
  }

  async delete(key, { ifRev } = {}) {
    const headers = ifRev === undefined ? {} : { "If-Match": `"${ifRev}"` };
    return this.#written(await this.text(`keys/${encodeURIComponent(key)}`, { method: "DELETE", headers }));
  }

  #written(text) {
    const { key, rev, updatedAt } = entryOf(text);
    return { key, rev, updatedAt };
  }

  /** The entry of `key`, never older than minRev, or null when there is none. */
  async get(key, { minRev } = {}) {
    try {
      const { value, category, rev, updatedAt } = entryOf(
        await this.text(`get/${encodeURIComponent(key)}${minRev === undefined ? "" : `?min_rev=${minRev}`}`),
      );
      return { key, value, category, rev, updatedAt };
    } catch (error) {
      if (error.code === "key_not_found") return null;
      throw error;
    }
  }
}
