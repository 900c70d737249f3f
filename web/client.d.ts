/** Types of client.js. docs/javascript-client.md explains them with examples. */

/** connecting: not yet; live: what is told is the newest; stale: it may be old; offline: no way to the server now. */
export type State = "connecting" | "live" | "stale" | "offline";

/** A key's value. value and rev are text: the JSON as it was written, and a whole number of up to 63 bits. */
export interface Entry {
  key: string;
  value: string;
  category: string;
  rev: string;
  /** RFC 3339, UTC, microseconds. */
  updatedAt: string;
}

/** snap: what was there; upd: what was written since. */
export interface Change extends Entry {
  op: "snap" | "upd";
}

export interface Deletion {
  op: "del";
  key: string;
  rev: string;
}

/** The key does not exist, or not any more; it stays watched. */
export interface Absence {
  op: "absent";
  key: string;
}

/** All that was there has been told. recovered: false when ticks are missing, which matters in mode "every". */
export interface Ready {
  op: "ready";
  keys: string[];
  recovered: boolean;
}

/** The server refused a name of this watch; the rest of it is served. */
export interface Refusal {
  op: "error";
  code: string;
  message: string;
}

export type WatchEvent = Change | Deletion | Absence | Ready | Refusal;

interface Names {
  /** Keys that begin so, present and future; "" is every key. */
  prefix?: string | string[];
  prefixes?: string[];
  category?: string | string[];
  categories?: string[];
}

/** The newest of each key; what is in between may be left out. */
export interface LatestOptions extends Names {
  mode?: "latest";
  /** Changes a second and key; all of them without it. */
  maxRate?: number;
}

/** Each change, in order, through losses; `ready` with recovered: false says where some are missing. */
export interface EveryOptions extends Names {
  mode: "every";
  maxRate?: undefined;
}

export type WatchOptions = LatestOptions | EveryOptions;

/** A value that JSON can hold. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

interface Conditions {
  category?: string;
  /** Seconds until the key goes by itself. */
  ttl?: number;
  /** Write only over this rev; else KvcastError with status 412. */
  ifRev?: string | number;
  /** Write only when there is no such key; else KvcastError with status 412. */
  createOnly?: boolean;
}

export interface SetOptions extends Conditions {
  raw?: false;
}

/** The value is JSON text and is kept to the letter: "2345.60" stays 2345.60. */
export interface RawSetOptions extends Conditions {
  raw: true;
}

export interface Written {
  key: string;
  rev: string;
  updatedAt: string;
}

export interface ConnectOptions {
  /** Of the server, "https://kv.example", or of its socket, "wss://kv.example/ws"; by default this page's server. */
  url?: string | URL;
  /** For writing, and for reading where the server asks for it. */
  token?: string | null;
  onState?: (state: State, reason: string) => void;
  /** Whether the tabs of this browser share one socket; default true. */
  shared?: boolean;
}

export interface Connection {
  readonly state: State;
  /** A sentence for people; empty while all is well. */
  readonly reason: string;
  /** How changes come now: a WebSocket, server-sent events, polling, or not. */
  readonly carrier: "SocketLink" | "EventLink" | "PollLink" | null;
  /** The server's clock, Unix milliseconds. */
  now(): number;
  /** Watch keys (before they exist, too), prefixes and categories. Returns what ends it. Throws TypeError. */
  watch(keys: string | readonly string[], options: WatchOptions | null | undefined, handler: (event: WatchEvent) => void): () => void;
  /** Resolves when the write is committed. Rejects with KvcastError; SyntaxError when raw text is no JSON. */
  set(key: string, value: Json, options?: SetOptions): Promise<Written>;
  set(key: string, value: string, options: RawSetOptions): Promise<Written>;
  /** The entry, never older than what this connection wrote; null when there is none. Rejects with KvcastError. */
  get(key: string): Promise<Entry | null>;
  /** Watchers are told. Rejects with KvcastError, status 404 when there is none. */
  delete(key: string, options?: { ifRev?: string | number }): Promise<Written>;
  /** Close for good. */
  close(reason?: string): void;
}

/** What the server refused, or that it did not answer. The message is a sentence for people. */
export class KvcastError extends Error {
  /** For programs: "precondition_failed", "unauthorized", ...; "unreachable" when there was no answer. */
  readonly code: string;
  /** The HTTP status; 0 when there was no answer. */
  readonly status: number;
  readonly detail: unknown;
  readonly retryAfterSeconds: number | null;
  /** Whether the same call may do better later. */
  readonly passing: boolean;
}

export function connect(options?: ConnectOptions): Connection;
