/* JSON for reading: strings without their quotes and escapes, objects indented, numbers to the digit as written. No DOM. */

import { elements, members } from "./frames.js";

const INDENT = "  ";

/** The readable form of the JSON text `value`. */
export function pretty(value) {
  return value.startsWith('"') ? JSON.parse(value) : indented(value, "");
}

function indented(value, margin) {
  const inner = margin + INDENT;
  if (value.startsWith("{")) {
    const lines = [...members(value)].map(([name, text]) => `${inner}${JSON.stringify(name)}: ${indented(text, inner)}`);
    return lines.length ? `{\n${lines.join(",\n")}\n${margin}}` : "{}";
  }
  if (value.startsWith("[")) {
    const lines = elements(value).map((text) => inner + indented(text, inner));
    return lines.length ? `[\n${lines.join(",\n")}\n${margin}]` : "[]";
  }
  return value;
}
