/* Text as large as its box allows, measured, whatever its length. */

const SMALLEST_PX = 16;
const LEAST_ONE_LINE_PX = 30; // below it, lines that break read better than one small line
const PROBE_PX = 100;

/** Fit `node` into its own box, which the layout sizes; again whenever the box changes. Returns a function that fits anew. */
export function fitted(node) {
  const fit = () => {
    const width = node.clientWidth;
    const height = node.clientHeight;
    if (!width || !height || !node.textContent) return;
    node.dataset.lines = "one";
    const size = oneLineSize(node, width, height);
    if (size >= LEAST_ONE_LINE_PX) return set(node, size);
    node.dataset.lines = "many";
    set(node, manyLinesSize(node, height));
  };
  new ResizeObserver(fit).observe(node);
  return fit;
}

function set(node, size) {
  node.style.fontSize = `${size}px`;
}

function oneLineSize(node, width, height) {
  set(node, PROBE_PX);
  const range = document.createRange();
  range.selectNodeContents(node);
  const natural = range.getBoundingClientRect();
  return Math.floor(Math.min((PROBE_PX * width) / natural.width, (PROBE_PX * height) / natural.height));
}

/** The largest size whose lines the box holds; where none does, the smallest, and the box scrolls. */
function manyLinesSize(node, height) {
  let [low, high] = [SMALLEST_PX, 2 * LEAST_ONE_LINE_PX];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    set(node, middle);
    if (node.scrollHeight > height) high = middle - 1;
    else low = middle;
  }
  return low;
}
