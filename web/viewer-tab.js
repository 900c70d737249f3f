/* Title and favicon: a pinned tab shows the value and where it went. */

import { byId } from "/page.js";
import { colour } from "/theme.js";
import { isPrice } from "/viewer-candles.js";

const TITLE_MOST = 60;
const EVERY_MS = 250;
const SIZE = 64;
const COLOURS = { "▲": "--up", "▼": "--down" };
const UNITS = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
let canvas = null;
let drawn = "";
let wanted = null; // what the next draw shows

/** At most four characters: "2346", "97k", "0.85". */
export function brief(value) {
  if (!isPrice(value)) return value.replace(/^"/, "").slice(0, 3);
  const size = Math.abs(Number(value));
  const [unit, letter] = size < 9999.5 ? [1, ""] : UNITS.find(([least]) => size >= 0.9995 * least);
  const scaled = size / unit;
  const digits = letter ? 3 : 4;
  const whole = String(Math.round(scaled)).length;
  const text = scaled.toFixed(Math.max(0, digits - whole - 1)).slice(0, digits);
  return (Number(value) < 0 ? "-" : "") + text.replace(/\.$/, "") + letter;
}

/** mark: ▲, ▼, =, or what says that the value may be old. value: null while there is none. At most four times a second. */
export function showInTab(key, value, mark) {
  if (!wanted) setTimeout(draw, drawn ? EVERY_MS : 0);
  wanted = { key, value, mark };
}

function draw() {
  const { key, value, mark } = wanted;
  wanted = null;
  document.title = value === null ? `${key} · kvcast` : `${mark} ${value.slice(0, TITLE_MOST)} · ${key}`;
  paint(mark, value === null ? "–" : brief(value));
}

function paint(mark, text) {
  const ink = colour(COLOURS[mark] ?? "--muted");
  const ground = colour("--bg");
  const picture = [mark, text, ink, ground].join();
  if (picture === drawn) return;
  drawn = picture;
  canvas ??= Object.assign(document.createElement("canvas"), { width: SIZE, height: SIZE });
  const brush = canvas.getContext("2d");
  brush.fillStyle = ground;
  brush.fillRect(0, 0, SIZE, SIZE);
  brush.fillStyle = ink;
  brush.textAlign = "center";
  brush.textBaseline = "middle";
  brush.font = "bold 34px sans-serif";
  brush.fillText(mark, SIZE / 2, 17, SIZE);
  brush.font = "bold 36px sans-serif";
  brush.fillText(text, SIZE / 2, 47, SIZE);
  byId("icon").href = canvas.toDataURL("image/png");
}
