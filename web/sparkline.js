/* A line as small as a word: the last ticks of a key, drawn to fill its box, in the colour of its direction. */

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 100;
const HEIGHT = 20;
const EDGE = 1.5; // the line's own width stays inside

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [attribute, text] of Object.entries(attributes)) made.setAttribute(attribute, text);
  return made;
}

/** An empty sparkline; what it shows is said in words beside it, so it is hidden from screen readers. */
export function sparkline() {
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  svg.append(shape("polyline", { "vector-effect": "non-scaling-stroke" }));
  svg.classList.add("sparkline");
  return svg;
}

/** The `points` of a polyline through `numbers`, oldest first; "" for fewer than two. */
export function points(numbers) {
  if (numbers.length < 2) return "";
  const low = Math.min(...numbers);
  const span = Math.max(...numbers) - low;
  const step = WIDTH / (numbers.length - 1);
  const height = HEIGHT - 2 * EDGE;
  return numbers
    .map((number, i) => {
      const share = span > 0 ? (number - low) / span : 0.5;
      return `${(i * step).toFixed(1)},${(HEIGHT - EDGE - share * height).toFixed(1)}`;
    })
    .join(" ");
}

/** Draw `numbers` into what `sparkline` made. */
export function drawSparkline(svg, numbers) {
  svg.firstChild.setAttribute("points", points(numbers.filter(Number.isFinite)));
}
