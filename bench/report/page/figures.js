// Figures of one task, drawn from the same data as the table: scores over K of chosen methods, and every seed.

const ROW = 24;
const MOST = 40;
const KINDS = 8;
const FIRST = 5;
let moreCurves = false;
const SHAPES = [
  (r) => `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0`,
  (r) => `M${-r},${-r}h${2 * r}v${2 * r}h${-2 * r}z`,
  (r) => `M0,${-1.3 * r}L${1.3 * r},0L0,${1.3 * r}L${-1.3 * r},0z`,
  (r) => `M0,${-1.2 * r}L${1.2 * r},${r}H${-1.2 * r}z`,
  (r) => `M0,${1.2 * r}L${1.2 * r},${-r}H${-1.2 * r}z`,
  (r) => `M${-r},${-r}L${r},${r}M${-r},${r}L${r},${-r}`,
  (r) => `M${-1.3 * r},0H${1.3 * r}M0,${-1.3 * r}V${1.3 * r}`,
  (r) => `M${-r},${-r}H${r}L0,${r}z`,
];

function mark(kind, x, y, title, radius = 4) {
  return s(
    "path",
    { class: `mark c${kind % KINDS}`, d: SHAPES[kind % SHAPES.length](radius), transform: `translate(${x},${y})` },
    title && s("title", {}, title),
  );
}

function showFigures(now, shown) {
  const { columns } = shown;
  const lines = [...shown.ranked, ...shown.partial].flatMap((line) => [line, ...(line.isOpen ? line.variants : [])]);
  const names = [...new Set(columns.map(taskName))];
  const wanted = [now.task, now.sort].find((name) => names.includes(name)) ?? names[0] ?? "";
  replace("figure-task", options(names, wanted));
  const at = columns.findIndex((column) => taskName(column) === wanted);
  showPareto(now, shown);
  scalingFigure(now, columns, lines);
  seedsFigure(now, columns[at], at, lines);
}

/** Numbers at even steps that lie within a range, few enough to be read. */
function ticks(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((size) => size >= rough);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) =>
    Number(((first + i) * step).toPrecision(6)),
  );
}

function range(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const edge = Math.max((high - low) * 0.06, 0.5);
  return [low - edge, high + edge];
}

const scale =
  ([low, high], from, to) =>
  (value) =>
    from + ((value - low) / (high - low)) * (to - from);

/** A picture whose marks and labels are for the eye: what it shows is said beside it, or stands in a table. */
function picture(width, height, caption, ...children) {
  return s(
    "svg",
    { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-labelledby": caption },
    s("g", { "aria-hidden": "true" }, ...children),
  );
}

function cut(text, width) {
  const fits = Math.max(6, Math.floor(width / 7.2));
  return text.length > fits ? `${text.slice(0, fits - 1)}…` : text;
}

function seedsFigure(now, column, at, lines) {
  const drawn = at < 0 ? [] : lines.filter((line) => typeof line.cells[at]?.mean === "number");
  const some = drawn
    .slice(0, MOST)
    .map((line) => ({ line, one: line.cells[at], seeds: seedsOf(now, line, column) }));
  if (!some.length) {
    replace("seeds-figure");
    replace("seeds-caption", "No scores to draw.");
    return;
  }
  const box = byId("seeds-figure");
  const width = Math.max(260, Math.min(680, box.clientWidth));
  const [left, right, bottom] = [Math.min(200, width * 0.36), width - 14, some.length * ROW + 8];
  const domain = range(some.flatMap(({ one, seeds }) => [one.mean, ...seeds.map((run) => run.test)]));
  const x = scale(domain, left + 8, right);
  const axis = ticks(...domain, width / 80).map((value) => [
    s("line", { class: "grid", x1: x(value), x2: x(value), y1: 4, y2: bottom }),
    s("text", { x: x(value), y: bottom + 16, "text-anchor": "middle" }, String(value)),
  ]);
  const rows = some.map(({ line, one, seeds }, number) => {
    const y = number * ROW + ROW / 2 + 4;
    return [
      s(
        "text",
        { x: left, y: y + 4, "text-anchor": "end" },
        cut(fullName(line), left),
        s("title", {}, fullName(line)),
      ),
      s("line", { class: "rule", x1: left + 8, x2: right, y1: y, y2: y }),
      s(
        "line",
        { class: "mean", x1: x(one.mean), x2: x(one.mean), y1: y - 9, y2: y + 9 },
        s("title", {}, `mean ${fixed(one.mean)}`),
      ),
      seeds.map((run) => mark(0, x(run.test), y, `seed ${run.seed}: ${fixed(run.test)}`)),
    ];
  });
  const name = s("text", { class: "axis", x: right, y: bottom + 32, "text-anchor": "end" }, `${column.metric} × 100`);
  box.replaceChildren(picture(width, bottom + 38, "seeds-caption", axis, rows, name));
  replace(
    "seeds-caption",
    h("bdi", {}, taskName(column)),
    ": every dot is a split seed, the bar their mean",
    drawn.length > some.length && `; ${some.length} of ${drawn.length} rows`,
    ".",
  );
}

const fullName = (line) => (line.student ? `${line.label} · ${line.student}` : line.label);

function seedsOf(now, line, column) {
  const block = data.blocks.indexOf(now.block);
  return runs.filter(
    (run) => run.block === block && run.row === line.id && run.column === column.id && run.test !== null,
  );
}

/** Scores over K of the methods that the reader chose; at first of the best few that have two K or more. */
function scalingFigure(now, columns, lines) {
  const drawable = new Map(columns.map((column) => [column, seriesOf(now, column, lines)]).filter(([, all]) => all.length));
  byId("scaling").hidden = drawable.size === 0;
  if (!drawable.size) return;
  const all = [...drawable.keys()];
  const usual = all.reduce((best, one) => (drawable.get(one).length > drawable.get(best).length ? one : best));
  const column = all.find((one) => taskName(one) === now.task) ?? usual;
  const series = drawable.get(column);
  replace("curve-task", options(all.map(taskName), taskName(column)));
  const names = series.map(({ name }) => name);
  const wanted = now.curves ?? new Set(names.slice(0, FIRST));
  const some = series.filter(({ name }) => wanted.has(name)).slice(0, KINDS);
  const known = [...new Set((some.length ? some : series).flatMap(({ points }) => points.map((point) => point.k)))].sort((a, b) => a - b);
  byId("scaling-figure").replaceChildren(drawScaling(some, known), unseen(some.map(curveSaid).join(" ")));
  replace("scaling-legend", curvesChoice(series, some, wanted));
  replace(
    "scaling-caption",
    h("bdi", {}, taskName(column)),
    `, ${column.metric} × 100 by K, examples a label: mean and ± std over split seeds.`,
    wanted.size > KINDS && ` The first ${KINDS} chosen are drawn.`,
  );
}

function seriesOf(now, column, lines) {
  return lines
    .map((line) => ({ line, name: fullName(line), points: pointsOf(now, line, column) }))
    .filter(({ points }) => points.length > 1);
}

const curveSaid = ({ name, points }) => `${name}: ${points.map((p) => `${fixed(p.mean)} at K = ${p.k}`).join(", ")}.`;

function drawScaling(some, known) {
  const box = byId("scaling-figure");
  const width = Math.max(260, Math.min(820, box.clientWidth));
  const [left, right, bottom] = [40, width - 16, 215];
  const bounds = some.flatMap(({ points }) => points.flatMap((p) => [p.mean - (p.std ?? 0), p.mean + (p.std ?? 0)]));
  const domain = range(bounds.length ? bounds : [0, 100]);
  const y = scale(domain, bottom, 12);
  const at = scale([Math.log2(known[0]), Math.log2(known.at(-1))], left + 14, right - 14);
  const x = (k) => at(Math.log2(k));
  const axes = [
    ticks(...domain, 5).map((value) => [
      s("line", { class: "grid", x1: left, x2: right, y1: y(value), y2: y(value) }),
      s("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, String(value)),
    ]),
    known.map((k) => s("text", { x: x(k), y: bottom + 18, "text-anchor": "middle" }, String(k))),
    s("text", { class: "axis", x: right, y: bottom + 36, "text-anchor": "end" }, "K, examples a label"),
  ];
  const curves = some.map(({ points, name }, kind) => {
    const edge = (sign) => points.map((p) => `${x(p.k)},${y(p.mean + sign * (p.std ?? 0))}`);
    return [
      s("polygon", { class: `band c${kind}`, points: [...edge(1), ...edge(-1).reverse()].join(" ") }),
      s("polyline", { class: `curve c${kind}`, points: points.map((p) => `${x(p.k)},${y(p.mean)}`).join(" ") }),
      points.map((p) => mark(kind, x(p.k), y(p.mean), `${name}, K = ${p.k}: ${fixed(p.mean)}`)),
    ];
  });
  return picture(width, bottom + 42, "scaling-caption", axes, curves);
}

/** A switch for each curve, which is the legend too. */
function curvesChoice(series, some, wanted) {
  const switches = series.map(({ name }) => {
    const kind = some.findIndex((one) => one.name === name);
    const toggle = () => {
      const next = new Set(series.map((one) => one.name).filter((one) => wanted.has(one)));
      if (!next.delete(name)) next.add(name);
      moreCurves = true; // what was switched off stays in sight
      go({ curves: [...next].join("\n") || "none" }, true);
      [...byId("scaling-legend").querySelectorAll("button")].find((b) => b.dataset.name === name)?.focus();
    };
    return h(
      "button",
      { type: "button", "data-name": name, "aria-pressed": String(kind >= 0), onclick: toggle },
      kind >= 0 &&
        s(
          "svg",
          { width: 28, height: 14, "aria-hidden": "true" },
          s("line", { class: `curve c${kind}`, x1: 0, x2: 28, y1: 7, y2: 7 }),
          mark(kind, 14, 7, null),
        ),
      h("bdi", {}, name),
    );
  });
  const isDrawn = (_, place) => some.includes(series[place]);
  const others = switches.filter((one, place) => !isDrawn(one, place));
  if (!others.length) return switches;
  const fold = h("details", { open: moreCurves }, h("summary", {}, `${others.length} more`), h("div", { class: "switches" }, others));
  fold.addEventListener("toggle", () => (moreCurves = fold.open));
  return [switches.filter(isDrawn), fold];
}

function pointsOf(now, line, column) {
  return data.blocks
    .filter((block) => variant(block) === variant(now.block) && typeof block.k === "number")
    .flatMap((block) =>
      block.cells
        .filter(
          ([row, place, score]) =>
            row === line.id && taskName(data.columns[place]) === taskName(column) && score !== null,
        )
        .map(([, , score, std]) => ({ k: block.k, mean: score, std })),
    )
    .sort((a, b) => a.k - b.k);
}
