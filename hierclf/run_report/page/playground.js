// The threshold playground: two sliders, the figures and charts that follow them.
class Playground {
  constructor(table) {
    this.table = table;
    this.held = new HeldOut(table);
    this.at = { super: 0, sub: 0 };
    this.deployed = Object.fromEntries(LEVELS.map((level) => [level, this.steps(level, table[level].deployed)]));
    this.range = Object.fromEntries(LEVELS.map((level) => [level, this.rangeOf(level)]));
    this.curves = {};
    for (const level of LEVELS) {
      const slider = this.slider(level);
      [slider.min, slider.max] = this.range[level];
      slider.addEventListener("input", () => this.move({ [level]: Number(slider.value) }));
      slider.addEventListener("change", () => this.remember());
    }
    document.querySelector("#deployed").addEventListener("click", () => {
      this.move(this.deployed);
      this.remember();
    });
    addEventListener("hashchange", () => this.follow());
    this.pending = true; // the first time at once, without waiting for a frame
    this.move(this.deployed);
    this.follow();
    this.show();
  }

  slider(level) { return document.querySelector(`#${level}_tau`); }
  tau(level, step) { return this.table[level].tau + step * this.table[level].unit; }
  steps(level, tau) { return Math.round((tau - this.table[level].tau) / this.table[level].unit); }

  rangeOf(level) {
    const sorted = Int16Array.from(this.held.margin[level]).sort();
    const ends = [quantile(sorted, 0.001), quantile(sorted, 0.999), 0, this.deployed[level]];
    const pad = 100, step = 10;
    return [step * Math.floor((Math.min(...ends) - pad) / step), step * Math.ceil((Math.max(...ends) + pad) / step)];
  }

  // Take thresholds from the address: report.html#super_tau=1.2&sub_tau=0.5
  follow() {
    const given = new URLSearchParams(location.hash.slice(1)), to = {};
    for (const level of LEVELS) {
      const tau = given.has(`${level}_tau`) ? Number(given.get(`${level}_tau`)) : NaN;
      if (Number.isFinite(tau)) to[level] = this.steps(level, tau);
    }
    if (Object.keys(to).length) this.move(to);
  }

  remember() {
    const text = LEVELS.map((level) => `${level}_tau=${this.text(level)}`).join("&");
    history.replaceState(null, "", `#${text}`);
  }

  text(level) { return String(Number(this.tau(level, this.at[level]).toPrecision(8))); }

  move(to) {
    const before = this.at;
    this.at = { ...this.at, ...to };
    if (before.super !== this.at.super) delete this.curves.sub; // a novel super-class implies a novel sub-class
    for (const level of LEVELS) {
      this.slider(level).value = this.at[level];
      document.querySelector(`#${level}_tau_text`).textContent = plain(this.tau(level, this.at[level]));
    }
    document.querySelector("#taus").textContent = LEVELS.map((level) => `--${level}-tau=${this.text(level)}`).join(" ");
    document.querySelector("#deployed").disabled = LEVELS.every((level) => this.at[level] === this.deployed[level]);
    if (!this.pending) {
      this.pending = true;
      setTimeout(() => this.show());
    }
  }

  show() {
    this.pending = false;
    const figures = this.held.figures(this.at);
    for (const node of document.querySelectorAll("#playground [data-figure]")) this.showFigure(node, figures[node.dataset.figure]);
    for (const node of document.querySelectorAll("#playground [data-counted]")) {
      const [level, kind] = node.dataset.counted.split(" ");
      const { right, images, classes } = this.held.counted(Number(kind), level, this.at);
      node.textContent = images ? `${right} of ${images} images, ${classes} ${classes === 1 ? "class" : "classes"}` : "none held out";
    }
    for (const level of LEVELS) {
      this.showTradeOff(level, figures);
      this.showHistogram(level);
    }
  }

  showFigure(node, figure) {
    const say = (name, text) => { node.querySelector(`.${name}`).textContent = text; };
    say("expected", figure ? (100 * figure.expected).toFixed(1) : "-");
    say("ends", figure ? `${(100 * figure.low).toFixed(0)} to ${(100 * figure.high).toFixed(0)}` : "nothing held out");
    const [bar, mark] = node.querySelectorAll("rect.bar, rect.mark");
    bar.setAttribute("x", figure ? 100 * figure.low : 0);
    bar.setAttribute("width", figure ? 100 * (figure.high - figure.low) : 0);
    mark.setAttribute("x", figure ? 100 * figure.expected - 0.75 : -9);
  }

  curve(level) {
    if (!this.curves[level]) {
      const sorted = Int16Array.from(this.held.margin[level]).sort();
      const grid = new Set(Array.from({ length: 49 }, (_, i) => Math.round(quantile(sorted, i / 48))));
      const steps = [sorted[0] - 1, ...grid];
      this.curves[level] = steps.map((step) => this.held.point(level, { ...this.at, [level]: step }));
    }
    return this.curves[level];
  }

  showTradeOff(level, figures) {
    const host = document.querySelector(`[data-chart="trade_off ${level}"]`), curve = this.curve(level);
    if (curve.includes(null)) return note(host, "nothing of this level was held out");
    const plot = chart(host, {
      label: `seen against unseen accuracy, ${level} level`, x: [0, 1], y: [0, 1],
      xLabel: "unseen accuracy, %", yLabel: "seen accuracy, %", xText: inPercent,
    });
    path(plot, curve.map((p) => [p.unseen, p.seen]), { class: "curve" });
    const at = (point, attributes) => draw(plot.svg, "circle", { cx: plot.x(point.unseen), cy: plot.y(point.seen), r: 5, ...attributes });
    at(this.held.point(level, this.deployed), { class: "deployed" });
    const seen = figures[`${level}_seen`], unseen = figures[`${level}_unseen`];
    for (const [x, y, dx, dy] of [[unseen.low, seen.expected, unseen.high, seen.expected], [unseen.expected, seen.low, unseen.expected, seen.high]]) {
      path(plot, [[x, y], [dx, dy]], { class: "chosen-band" });
    }
    at({ seen: seen.expected, unseen: unseen.expected }, { class: "chosen" });
  }

  showHistogram(level) {
    const host = document.querySelector(`[data-chart="histogram ${level}"]`), [low, high] = this.range[level];
    const bins = 36, width = (high - low) / bins;
    const heights = [KNOWN, NEAR, FAR].map((kind) => {
      const { rows, weight } = this.held.groups[level][kind], height = new Float64Array(bins);
      rows.forEach((i, j) => {
        const bin = Math.floor((this.held.margin[level][i] - low) / width);
        height[Math.max(0, Math.min(bins - 1, bin))] += weight[j];
      });
      return height;
    });
    const most = Math.max(...heights.flatMap((height) => [...height])) || 1;
    const tau = (step) => this.tau(level, step);
    const plot = chart(host, {
      label: `scores of known and novel images, ${level} level`, x: [tau(low), tau(high)], y: [0, 1.05 * most],
      xLabel: "novelty score (higher = more novel)", yLabel: "images of a kind, %",
    });
    heights.forEach((height, kind) => {
      if (!this.held.groups[level][kind].rows.length) return;
      const points = [[tau(low), 0]];
      height.forEach((h, bin) => points.push([tau(low + bin * width), h], [tau(low + (bin + 1) * width), h]));
      points.push([tau(high), 0]);
      path(plot, points, { class: `kind ${["known", "near", "far"][kind]}` });
    });
    const line = (step, name) => path(plot, [[tau(step), 0], [tau(step), 1.05 * most]], { class: name });
    const inside = (step) => Math.max(low, Math.min(high, step));
    line(inside(this.deployed[level]), "deployed-line");
    line(inside(this.at[level]), "chosen-line");
  }
}
