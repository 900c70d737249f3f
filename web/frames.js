/* The text of JSON, cut without being parsed: a value is shown as it was written, and a rev may have 63 bits. */

const SPACE = /[ \t\n\r]*/y;
const SCALAR = /[^\s,\]}]+/y;

function skip(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}

function expect(character, text, at) {
  if (text[at] !== character) throw new SyntaxError(`Expected ${character} at position ${at}.`);
  return at + 1;
}

/** The position after the string that begins at `at`. */
function endOfString(text, at) {
  let quote = at;
  for (;;) {
    quote = text.indexOf('"', quote + 1);
    if (quote < 0) throw new SyntaxError(`The string at position ${at} does not end.`);
    let slashes = 0;
    while (text[quote - 1 - slashes] === "\\") slashes += 1;
    if (slashes % 2 === 0) return quote + 1;
  }
}

/** The position after the array or object that begins at `at`. */
function endOfNested(text, at) {
  let depth = 0;
  for (let i = at; i < text.length; ) {
    const character = text[i];
    if (character === '"') {
      i = endOfString(text, i);
      continue;
    }
    if (character === "[" || character === "{") depth += 1;
    if (character === "]" || character === "}") depth -= 1;
    i += 1;
    if (depth === 0) return i;
  }
  throw new SyntaxError(`What begins at position ${at} does not end.`);
}

function endOfValue(text, at) {
  if (text[at] === '"') return endOfString(text, at);
  if (text[at] === "[" || text[at] === "{") return endOfNested(text, at);
  const end = skip(SCALAR, text, at);
  if (end === at) throw new SyntaxError(`Expected a value at position ${at}.`);
  return end;
}

function items(text, open, close, take) {
  let at = skip(SPACE, text, expect(open, text, skip(SPACE, text, 0)));
  if (text[at] !== close) {
    for (;;) {
      at = skip(SPACE, text, take(skip(SPACE, text, at)));
      if (text[at] !== ",") break;
      at += 1;
    }
  }
  at = skip(SPACE, text, expect(close, text, at));
  if (at !== text.length) throw new SyntaxError(`Nothing may follow position ${at}.`);
}

/** The JSON text of each member of the object `text`: `{"value": 1.50}` gives Map(value => "1.50"). */
export function members(text) {
  const found = new Map();
  items(text, "{", "}", (at) => {
    const colon = skip(SPACE, text, endOfString(text, expect('"', text, at) - 1));
    const start = skip(SPACE, text, expect(":", text, colon));
    const end = endOfValue(text, start);
    found.set(JSON.parse(text.slice(at, colon)), text.slice(start, end));
    return end;
  });
  return found;
}

/** The JSON text of each element of the array `text`. */
export function elements(text) {
  const found = [];
  items(text, "[", "]", (at) => {
    const end = endOfValue(text, at);
    found.push(text.slice(at, end));
    return end;
  });
  return found;
}

/** The object `text`; its members `value` and `rev` stay text. */
export function entryOf(text) {
  const entry = {};
  for (const [name, raw] of members(text)) entry[name] = name === "value" || name === "rev" ? raw : JSON.parse(raw);
  return entry;
}

/** What one WebSocket message holds, in order, each as `entryOf` takes it. */
export function decodeFrame(text) {
  return (text[skip(SPACE, text, 0)] === "[" ? elements(text) : [text]).map(entryOf);
}

/** Whether rev `a` is above rev `b`; both decimal text, because a Number is exact only below 2^53. */
export function isNewer(a, b) {
  return a.length === b.length ? a > b : a.length > b.length;
}
