/* CSV and NDJSON into elements of a batch, line by line, as `kvcast feed` takes them. No I/O and no page. */

import { members } from "./frames.js";

const KEYS = ["key", "symbol", "ticker"];
const VALUES = ["value", "price"];
const LINE_MOST_BYTES = 262_144;
const NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;
const LINE_FEED = 10;

/** A line that is left out; name and params: of the text that says why. */
export class BadLine extends Error {
  constructor(name, params = {}) {
    super(name);
    this.params = params;
  }
}

/** {number, bytes} of each line of a ReadableStream of bytes; blank ones are numbered and left out. */
export async function* linesOf(stream, onRead = () => {}) {
  let number = 0;
  let rest = new Uint8Array();
  for await (const chunk of chunksOf(stream)) {
    onRead(chunk.length);
    const data = rest.length ? joined(rest, chunk) : chunk;
    let start = 0;
    for (let end = data.indexOf(LINE_FEED); end >= 0; end = data.indexOf(LINE_FEED, start)) {
      number += 1;
      if (end > start) yield { number, bytes: data.subarray(start, end) };
      start = end + 1;
    }
    rest = data.slice(start);
  }
  if (rest.length) yield { number: number + 1, bytes: rest };
}

async function* chunksOf(stream) {
  const reader = stream.getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
  } finally {
    await reader.cancel();
  }
}

function joined(first, second) {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}

/** The text of a line. Throws BadLine. */
export function textOf({ number, bytes }) {
  if (bytes.length > LINE_MOST_BYTES) throw new BadLine("admin.line.too-long", { most: LINE_MOST_BYTES });
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: number !== 1 }).decode(bytes);
  } catch {
    throw new BadLine("admin.line.not-utf8");
  }
}

export function looksLikeJson(text) {
  return text.trimStart().startsWith("{");
}

/** The element of a batch that an NDJSON line gives; other members than key, value and category are left out. */
export function elementOfJson(text, defaultCategory = "") {
  let found;
  try {
    found = members(text.trim());
  } catch (error) {
    throw new BadLine("admin.line.not-json", { reason: error.message });
  }
  const value = found.get("value");
  if (found.get("key") === undefined || value === undefined) throw new BadLine("admin.line.incomplete");
  const given = found.get("category");
  const category = given === undefined || given === "null" || given === '""' ? quoted(defaultCategory) : given;
  return element(found.get("key"), value, category);
}

function quoted(text) {
  return text ? JSON.stringify(text) : "";
}

function element(key, value, category) {
  return `{"key":${key},"value":${value}${category && `,"category":${category}`}}`;
}

/** Reads CSV with a header, parted by comma, semicolon or tab. A quoted cell may go over several lines. */
export class Csv {
  #delimiter = null;
  #columns;
  #open = ""; // lines of a record whose quotes are still open

  /** The element that `text` completes, or null. Throws BadLine; on the header that one has `final` set. */
  take(text, defaultCategory = "") {
    const record = this.#open ? `${this.#open}\n${text}` : text;
    const { cells, isOpen } = split(record, this.#delimiter ?? delimiterOf(record));
    if (isOpen) {
      if (record.length > LINE_MOST_BYTES) throw this.#drop(new BadLine("admin.line.quote"));
      this.#open = record;
      return null;
    }
    this.#open = "";
    if (this.#delimiter === null) return this.#header(record, cells);
    const { key, value, category } = this.#columns;
    if (Math.max(key, value, category) >= cells.length) throw new BadLine("admin.line.columns", { count: cells.length });
    const written = cells[value];
    if (!written) throw new BadLine("admin.line.no-value");
    const named = quoted((category >= 0 && cells[category]) || defaultCategory);
    return element(JSON.stringify(cells[key]), NUMBER.test(written) ? written : JSON.stringify(written), named);
  }

  /** The file is over: throws BadLine when a quote was never closed. */
  end() {
    if (this.#open) throw this.#drop(new BadLine("admin.line.quote"));
  }

  #drop(error) {
    this.#open = "";
    return error;
  }

  #header(text, cells) {
    this.#delimiter = delimiterOf(text);
    const names = cells.map((name) => name.toLowerCase());
    const at = (wanted) => names.indexOf(wanted.find((name) => names.includes(name)));
    this.#columns = { key: at(KEYS), value: at(VALUES), category: at(["category"]) };
    for (const [column, wanted] of [["key", KEYS], ["value", VALUES]]) {
      if (this.#columns[column] < 0) {
        throw Object.assign(new BadLine("admin.line.header", { names: wanted.join(", "), header: text.slice(0, 80) }), { final: true });
      }
    }
    return null;
  }
}

function delimiterOf(header) {
  const count = (delimiter) => header.split(delimiter).length;
  return [",", ";", "\t"].reduce((best, one) => (count(one) > count(best) ? one : best));
}

/** A quote counts only where a cell begins, and doubled inside; so `5" pipe` needs none around it. */
function split(record, delimiter) {
  const cells = [""];
  let state = "start";
  for (const character of record) {
    if (state === "quoted") {
      if (character === '"') state = "closing";
      else cells[cells.length - 1] += character;
    } else if (character === '"' && state === "start") state = "quoted";
    else if (character === delimiter) {
      cells.push("");
      state = "start";
    } else {
      cells[cells.length - 1] += character;
      state = character === '"' && state === "closing" ? "quoted" : "inside";
    }
  }
  return { cells: cells.map((cell) => cell.trim()), isOpen: state === "quoted" };
}

/** A CSV cell that reads back as `text`. */
export function csvCell(text) {
  return /[",;\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
