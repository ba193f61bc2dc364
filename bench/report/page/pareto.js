// The opening figure: how good each ranked entry is, against what it costs, and which no other beats on both.

const COSTS = {
  seconds: ["seconds of a run", "seconds of a whole run: search, training and test"],
  ms: ["latency", "ms of one example, at batch 1"],
  "MB on disk": ["size on disk", "MB on disk"],
  "M parameters": ["parameters", "million parameters"],
};

function showPareto(now, { ranked, partial, panel }) {
  const entrants = [...ranked, ...(panel ? [] : partial)].filter((line) => !line.isBaseline);
  const lines = entrants.filter((line) => line.average !== null);
  const known = Object.keys(COSTS).filter((name) => lines.filter((line) => line.measured.has(name)).length > 1);
  const usual = known.find((name) => lines.every((line) => line.measured.has(name)) && name !== "seconds") ?? known[0];
  const cost = known.includes(now.cost) ? now.cost : usual;
  byId("pareto").hidden = known.length === 0;
  if (!known.length) return;
  replace("cost", named(known.map((name) => [name, COSTS[name][0]]), cost));
  const points = lines
    .filter((line) => line.measured.has(cost))
    .map((line) => ({ line, x: line.measured.get(cost).mean, y: line.average }));
  drawPareto(points, frontOf(points), cost);
  const missing = lines.length - points.length;
  replace(
    "pareto-caption",
    `Average over the ranked tasks, against ${COSTS[cost][1]}. No entry is both better and cheaper than those on the line (Pareto front).`,
    missing > 0 && ` ${plural(missing, "entry is", "entries are")} not measured.`,
    cost === "seconds" && " Runs were made on several machines.",
  );
}

/** The points that no other equals or beats on both, from cheap to good. */
function frontOf(points) {
  const sorted = [...points].sort((a, b) => a.x - b.x || b.y - a.y);
  const front = [];
  for (const point of sorted) if (!front.length || point.y > front.at(-1).y) front.push(point);
  return front;
}

function drawPareto(points, front, cost) {
  const box = byId("pareto-figure");
  const width = Math.max(260, Math.min(820, box.clientWidth));
  const [left, right, top, bottom] = [40, width - 16, 12, 215];
  const xs = points.map((p) => p.x);
  const isLog = Math.min(...xs) > 0 && Math.max(...xs) / Math.min(...xs) > 8;
  const turn = isLog ? Math.log10 : (value) => value;
  const [low, high] = [Math.min(...xs.map(turn)), Math.max(...xs.map(turn))];
  const edge = (high - low || 1) * 0.08;
  const at = scale([low - edge, high + edge], left, right);
  const x = (value) => at(turn(value));
  const domain = range(points.map((p) => p.y));
  const y = scale(domain, bottom, top);
  const marks = isLog ? powers(low - edge, high + edge) : ticks(low - edge, high + edge, width / 90);
  const models = [...new Set(points.map((p) => p.line.student))].sort();
  const steps = front.flatMap((p, n) => (n ? [`${x(p.x)},${y(front[n - 1].y)}`, `${x(p.x)},${y(p.y)}`] : [`${x(p.x)},${y(p.y)}`]));
  const last = front.at(-1);
  if (last) steps.push(`${right},${y(last.y)}`);
  box.replaceChildren(
    picture(
      width,
      bottom + 42,
      "pareto-caption",
      ticks(...domain, 5).map((value) => [
        s("line", { class: "grid", x1: left, x2: right, y1: y(value), y2: y(value) }),
        s("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, String(value)),
      ]),
      marks.map((value) => s("text", { x: x(value), y: bottom + 18, "text-anchor": "middle" }, String(value))),
      s("text", { class: "axis", x: right, y: bottom + 36, "text-anchor": "end" }, COSTS[cost][1]),
      s("polyline", { class: "front", points: steps.join(" ") }),
      points.map((p) => pointMark(p, models, x, y, cost)),
      labels(points, front, x, y, left, right),
    ),
    unseen(`On the line, from cheap to good: ${front.map((p) => pointSaid(p, cost)).join("; ")}.`),
    models.length > 1 ? modelsLegend(models) : "",
  );
}

function pointSaid({ line, x: value, y: average }, cost) {
  return `${line.label}${line.student ? ` (${line.student})` : ""}: ${fixed(average)}, ${short(value)} ${COSTS[cost][0]}`;
}

function pointMark(point, models, x, y, cost) {
  return mark(models.indexOf(point.line.student), x(point.x), y(point.y), pointSaid(point, cost), 5);
}

/** Names beside the points, those of the front first, where they overlap neither a point nor another name. */
function labels(points, front, x, y, left, right) {
  const taken = points.map((p) => [x(p.x) - 6, x(p.x) + 6, y(p.y)]);
  const ordered = [...[...front].reverse(), ...points.filter((p) => !front.includes(p))];
  return ordered.map((point) => {
    const { line } = point;
    const wide = line.label.length * 7;
    const spots = [
      [x(point.x) + 9, y(point.y) - 7, "start"],
      [x(point.x) - 9, y(point.y) - 7, "end"],
      [x(point.x) + 9, y(point.y) + 12, "start"],
      [x(point.x) - 9, y(point.y) + 12, "end"],
    ];
    const free = spots.find(([at, row, anchor]) => {
      const [from, to] = anchor === "end" ? [at - wide, at] : [at, at + wide];
      if (from < left || to > right) return false;
      return !taken.some(([a, b, other]) => a < to && from < b && Math.abs(other - row + 4) < 11);
    });
    if (!free) return null;
    const [at, row, anchor] = free;
    taken.push(anchor === "end" ? [at - wide, at, row - 4] : [at, at + wide, row - 4]);
    const kind = front.includes(point) ? "label" : "label faint";
    return s("text", { class: kind, x: at, y: row, "text-anchor": anchor }, line.label);
  });
}

/** Round numbers on a logarithmic scale between two exponents. */
function powers(low, high) {
  const all = [];
  for (let power = Math.floor(low); power <= Math.ceil(high); power++)
    for (const digit of [1, 2, 5]) all.push(Number((digit * 10 ** power).toPrecision(1)));
  const inside = all.filter((value) => Math.log10(value) >= low && Math.log10(value) <= high);
  return inside.length > 8 ? inside.filter((value) => String(value).replace(/[0.]/g, "") === "1") : inside;
}

function modelsLegend(models) {
  return h(
    "ul",
    { class: "legend" },
    models.map((name, kind) =>
      h("li", {}, s("svg", { width: 16, height: 14, "aria-hidden": "true" }, mark(kind, 8, 7, null)), " ", h("bdi", {}, name || "no model")),
    ),
  );
}
