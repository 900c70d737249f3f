/* Title and favicon: a pinned tab shows the value and where it went. */

import { byId } from "/page.js";
import { colour } from "/theme.js";
import { isPrice } from "/viewer-candles.js";

const TITLE_MOST = 60;
const EVERY_MS = 500;
const SIZE = 64;
const COLOURS = { "▲": "--up", "▼": "--down" };
const UNITS = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
let canvas = null;
let drawn = "";
let timer = null;

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

/** mark: ▲, ▼, =, or what says that the value may be old. value: null while there is none. */
export function showInTab(key, value, mark) {
  document.title = value === null ? `${key} · kvcast` : `${mark} ${value.slice(0, TITLE_MOST)} · ${key}`;
  clearTimeout(timer);
  timer = setTimeout(() => draw(mark, value === null ? "–" : brief(value)), drawn ? EVERY_MS : 0);
}

function draw(mark, text) {
  const ink = colour(COLOURS[mark] ?? "--muted");
  const ground = colour("--bg");
  const wanted = [mark, text, ink, ground].join();
  if (wanted === drawn) return;
  drawn = wanted;
  canvas ??= Object.assign(document.createElement("canvas"), { width: SIZE, height: SIZE });
  const paint = canvas.getContext("2d");
  paint.fillStyle = ground;
  paint.fillRect(0, 0, SIZE, SIZE);
  paint.fillStyle = ink;
  paint.textAlign = "center";
  paint.textBaseline = "middle";
  paint.font = "bold 34px sans-serif";
  paint.fillText(mark, SIZE / 2, 17, SIZE);
  paint.font = "bold 36px sans-serif";
  paint.fillText(text, SIZE / 2, 47, SIZE);
  byId("icon").href = canvas.toDataURL("image/png");
}
