/* The console's HTTP calls, and what a person needs to hear when one fails. */

import { elements, entryOf, members } from "/frames.js";
import { knows, t } from "/i18n.js";

const bytes = new TextEncoder();
const UNKNOWN = ["no_answer", "outcome_unknown"];

/** A refused or failed call. text: the body of the answer; retryAfter: seconds. */
export class CallError extends Error {
  constructor(code, message, { status = 0, text = "", retryAfter = 0 } = {}) {
    super(message);
    Object.assign(this, { code, status, text, retryAfter });
  }

  /** Whether the same request may pass later. */
  get passing() {
    return this.status === 0 || this.status === 429 || this.status === 503;
  }

  /** Whether it may have been applied all the same; repeated with its Idempotency-Key it is not applied twice. */
  get unknown() {
    return UNKNOWN.includes(this.code);
  }
}

/** Why the server refused something: its own English sentence, where no text has the code's name. */
export function reasonOf({ code, message }) {
  const name = `admin.reason.${code}`;
  return knows(name) ? t(name) : message;
}

/** What happened, what was kept, what to do. */
export function explain(error) {
  if (!(error instanceof CallError)) return error.message;
  const name = `admin.error.${error.code}`;
  const params = { message: reasonOf(error), status: error.status, seconds: error.retryAfter };
  return t(knows(name) ? name : error.status === 400 ? "admin.error.refused" : "admin.error.other", params);
}

/** Header text is Latin-1 in a browser; the server reads these bytes as UTF-8. */
function headerText(text) {
  return String.fromCharCode(...bytes.encode(text));
}

export class Calls {
  constructor(token) {
    this.token = token;
  }

  /** The text of the answer. Throws CallError, or AbortError when `signal` says so. */
  async text(method, path, { body, headers = {}, signal } = {}) {
    const sent = { Authorization: `Bearer ${headerText(this.token)}`, ...headers };
    if (body !== undefined && !sent["Content-Type"]) sent["Content-Type"] = "application/json";
    let response, text;
    try {
      response = await fetch(path, { method, headers: sent, body, signal, cache: "no-store" });
      text = await response.text();
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new CallError("no_answer", error.message);
    }
    if (response.ok) return text;
    throw refusal(response, text);
  }

  /** The parsed answer; not for values, which JSON.parse would round. */
  async json(method, path, options) {
    return JSON.parse(await this.text(method, path, options));
  }

  /** {key, value, category, rev, expiresAt?}; value and rev as text. Never older than leastRev, which a cache may be. */
  async get(key, leastRev = "0") {
    return entryOf(await this.text("GET", `/get/${encodeURIComponent(key)}?min_rev=${leastRev}`));
  }

  /** A page of entries; parameters: prefix, category, cursor, limit. */
  async page(parameters, signal) {
    const query = new URLSearchParams({ values: "1" });
    for (const [name, value] of Object.entries(parameters)) if (value) query.set(name, value);
    const answer = members(await this.text("GET", `/keys?${query}`, { signal }));
    return { entries: elements(answer.get("data")).map(entryOf), next: JSON.parse(answer.get("next")) };
  }

  /** Write one key: value is JSON text. condition: headers such as If-Match. Returns {rev}, as text. */
  async write({ key, value, category, ttl }, condition, id) {
    const rest = JSON.stringify({ key, ...(category && { category }), ...(ttl && { ttl }) });
    const answer = await this.text("POST", "/add", {
      body: `${rest.slice(0, -1)},"value":${value}}`, headers: { ...condition, "Idempotency-Key": id },
    });
    return { rev: members(answer).get("rev") };
  }

  remove(key, rev) {
    return this.text("DELETE", `/keys/${encodeURIComponent(key)}`, { headers: { "If-Match": `"${rev}"` } });
  }
}

function refusal(response, text) {
  let error = {};
  try {
    error = JSON.parse(text).error ?? {};
  } catch {
    // not from kvcast: a proxy in between
  }
  const retryAfter = Number(response.headers.get("Retry-After")) || 0;
  const code = error.code ?? (response.status === 502 || response.status === 504 ? "no_answer" : "other");
  return new CallError(code, error.message ?? response.statusText, { status: response.status, text, retryAfter });
}

/** What a 412 says is current: {value, rev, updatedAt}, or null when there is no such key now. */
export function currentOf(error) {
  const detail = members(members(error.text).get("error")).get("detail");
  const current = members(detail).get("current");
  if (current === "null") return null;
  const found = members(current);
  return { value: JSON.parse(found.get("value")), rev: found.get("rev"), updatedAt: JSON.parse(found.get("updatedAt")) };
}
