// Small charts in SVG; colours come from the style sheet, so that they follow light and dark.
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 360, HEIGHT = 250, LEFT = 44, RIGHT = 12, TOP = 10, BOTTOM = 40;

function draw(parent, tag, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  parent.appendChild(node);
  return node;
}

function niceTicks(low, high, most) {
  const raw = (high - low) / most, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) ticks.push(i * step);
  return ticks;
}

const plain = (x) => String(Number(x.toPrecision(3)));
const inPercent = (x) => String(Math.round(100 * x));

// An empty chart in a <figure>: { svg, x, y } with the scales. Redrawing replaces it.
function chart(host, { label, x, y, xLabel, yLabel, xTicks, xText = plain, yText = inPercent }) {
  host.querySelector("svg")?.remove();
  const svg = draw(host, "svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label });
  const scale = ([low, high], start, end) => (v) => start + ((v - low) / (high - low || 1)) * (end - start);
  const px = scale(x, LEFT, WIDTH - RIGHT), py = scale(y, HEIGHT - BOTTOM, TOP);
  for (const tick of niceTicks(y[0], y[1], 5)) {
    draw(svg, "line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: py(tick), y2: py(tick) });
    draw(svg, "text", { class: "tick", x: LEFT - 6, y: py(tick) + 3.5, "text-anchor": "end" }, yText(tick));
  }
  for (const tick of xTicks ?? niceTicks(x[0], x[1], 6)) {
    draw(svg, "line", { class: "grid", x1: px(tick), x2: px(tick), y1: TOP, y2: HEIGHT - BOTTOM });
    draw(svg, "text", { class: "tick", x: px(tick), y: HEIGHT - BOTTOM + 15, "text-anchor": "middle" }, xText(tick));
  }
  const middle = (TOP + HEIGHT - BOTTOM) / 2;
  draw(svg, "text", { class: "axis", x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, xLabel);
  draw(svg, "text", { class: "axis", x: 11, y: middle, "text-anchor": "middle", transform: `rotate(-90 11 ${middle})` }, yLabel);
  return { svg, x: px, y: py };
}

function path(plot, points, attributes) {
  const d = points.map(([a, b], i) => `${i ? "L" : "M"}${plot.x(a).toFixed(1)} ${plot.y(b).toFixed(1)}`).join("");
  return draw(plot.svg, "path", { d, ...attributes });
}

function note(host, text) {
  host.querySelector("svg")?.remove();
  if (!host.querySelector(".nothing")) {
    const line = document.createElement("p");
    line.className = "nothing";
    line.textContent = text;
    host.appendChild(line);
  }
}
