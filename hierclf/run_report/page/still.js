// Charts that do not move: calibration and the trials; tables that sort.
function showReliability(level, found) {
  const host = document.querySelector(`[data-chart="reliability ${level}"]`);
  const plot = chart(host, {
    label: `probability against accuracy, ${level} level`, x: [0, 1], y: [0, 1],
    xLabel: "probability of the predicted class, %", yLabel: "found right, %", xText: inPercent,
  });
  path(plot, [[0, 0], [1, 1]], { class: "diagonal" });
  for (const p of found.points) {
    path(plot, [[p.prob, p.low], [p.prob, p.high]], { class: "curve" });
    const r = 3 + 7 * Math.sqrt(p.n / found.n);
    const dot = draw(plot.svg, "circle", { class: "dot", cx: plot.x(p.prob), cy: plot.y(p.right), r });
    draw(dot, "title", {}, `${p.n} images: ${inPercent(p.prob)} % sure, ${inPercent(p.right)} % right`);
  }
}

function showPanel(host, panel) {
  if (!panel.points.length) return note(host, "no trial reported an objective");
  const on = (v) => (panel.log ? Math.log10(v) : v);
  const ends = [on(panel.low), on(panel.high)], ys = panel.points.map((p) => p.y);
  const pad = 0.15 * (Math.max(...ys) - Math.min(...ys)) || 0.02, room = 0.04 * (ends[1] - ends[0]);
  const decades = niceTicks(ends[0], ends[1], 6).filter((t) => Number.isInteger(t));
  const plot = chart(host, {
    label: `objective against ${panel.name}`, x: [ends[0] - room, ends[1] + room],
    y: [Math.max(0, Math.min(...ys) - pad), Math.min(1, Math.max(...ys) + pad)],
    xLabel: panel.log ? `${panel.name} (log scale)` : panel.name, yLabel: "objective, %",
    xTicks: panel.choices.length ? panel.choices.map((_, i) => i) : panel.log ? decades : undefined,
    xText: panel.choices.length ? (i) => panel.choices[i].slice(0, 12) : panel.log ? (t) => plain(10 ** t) : plain,
    yText: (v) => plain(100 * v),
  });
  const best = Math.max(...panel.points.filter((p) => p.status === "finished").map((p) => p.y));
  for (const p of panel.points) {
    const name = p.status === "finished" && p.y === best ? "trial best" : `trial ${p.status.replaceAll(" ", "-")}`;
    const dot = draw(plot.svg, "circle", { class: name, cx: plot.x(on(p.x)), cy: plot.y(p.y), r: 5 });
    draw(dot, "title", {}, `${plain(p.x)}: ${(100 * p.y).toFixed(1)}, ${p.status}`);
  }
}

function sortable(table) {
  table.querySelectorAll("th button").forEach((button) => {
    const head = button.closest("th"), index = [...head.parentNode.children].indexOf(head);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("th").forEach((th) => th.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const body = table.tBodies[0], key = (row) => row.cells[index].dataset.value ?? row.cells[index].textContent;
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === "" || y === "") return (x === "") - (y === ""); // what was not measured stays last
        const order = Number.isNaN(Number(x)) ? x.localeCompare(y) : Number(x) - Number(y);
        return down ? -order : order;
      });
      body.append(...rows);
    });
  });
}

const page = JSON.parse(document.querySelector("#data").textContent);
new Playground(page.playground);
for (const level of LEVELS) showReliability(level, page.reliability[level]);
page.panels.forEach((panel, i) => showPanel(document.querySelector(`[data-chart="trials ${i}"]`), panel));
document.querySelectorAll("table.sortable").forEach(sortable);
