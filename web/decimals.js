/* What changed between two JSON numbers, exact to the last digit that was written. No DOM. */

const NUMBER = /^-?\d+(?:\.(\d+))?(?:[eE][+-]?\d+)?$/;
const MOST_DIGITS = 40;

export function isNumber(text) {
  return text !== undefined && NUMBER.test(text);
}

function scaled(text, places) {
  const [whole, fraction = ""] = text.split(".");
  return BigInt(whole + fraction.padEnd(places, "0"));
}

function isPlain(text) {
  return text.length <= MOST_DIGITS && !/[eE]/.test(text);
}

function signed(sign, digits) {
  if (sign === 0) return digits;
  return `${sign > 0 ? "+" : "\u2212"}${digits}`; // a minus as wide as the plus
}

function exactDifference(from, to) {
  const places = Math.max(...[from, to].map((text) => NUMBER.exec(text)[1]?.length ?? 0));
  const change = scaled(to, places) - scaled(from, places);
  const sign = change > 0n ? 1 : change < 0n ? -1 : 0;
  const digits = String(sign < 0 ? -change : change).padStart(places + 1, "0");
  const text = places ? `${digits.slice(0, -places)}.${digits.slice(-places)}` : digits;
  return { sign, text: signed(sign, text) };
}

/** {sign: -1, 0 or 1, text: "+0.40"} from one JSON number to another: "2345.20", "2345.60". */
export function difference(from, to) {
  if (isPlain(from) && isPlain(to)) return exactDifference(from, to);
  const change = Number(to) - Number(from);
  const sign = Math.sign(change) || 0;
  return { sign, text: Number.isFinite(change) ? signed(sign, String(Number(Math.abs(change).toPrecision(6)))) : "" };
}

/** "+0.53%", or "" where it says nothing: from zero, or beyond what a Number holds. */
export function percent(from, to) {
  const share = (100 * (Number(to) - Number(from))) / Math.abs(Number(from));
  if (!Number.isFinite(share)) return "";
  const size = Math.abs(share);
  const digits = size.toFixed(size < 100 ? 2 : size < 1000 ? 1 : 0);
  return `${signed(Number(digits) === 0 ? 0 : Math.sign(share), digits)}%`;
}
