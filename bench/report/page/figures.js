// Figures of one task, drawn from the same data as the table: every seed, and scores over K.

const ROW = 24;
const MOST = 40;
const PRINTED = 12;
const KINDS = 8;
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

function showFigures(now, { columns, lines }) {
  const names = [...new Set(columns.map(taskName))];
  const wanted = [now.task, now.sort].find((name) => names.includes(name)) ?? names[0] ?? "";
  replace("figure-task", options(names, wanted));
  const at = columns.findIndex((column) => taskName(column) === wanted);
  seedsFigure(now, columns[at], at, lines);
  scalingFigure(now, columns[at], lines);
  showBeyond(now, columns[at], at, lines);
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

function picture(width, height, caption, ...children) {
  return s(
    "svg",
    { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-labelledby": caption },
    ...children,
  );
}

function cut(text, width) {
  const fits = Math.max(6, Math.floor(width / 7.2));
  return text.length > fits ? `${text.slice(0, fits - 1)}…` : text;
}

function seedsFigure(now, column, at, lines) {
  const drawn = at < 0 ? [] : lines.filter((line) => typeof line.cells[at]?.mean === "number");
  const printed = new Set(drawn.filter((line) => line.paper).slice(0, PRINTED));
  const some = drawn
    .filter((line) => !line.paper || printed.has(line))
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
        { class: line.paper ? "printed" : null, x: left, y: y + 4, "text-anchor": "end" },
        cut(line.label, left),
        s("title", {}, line.label),
      ),
      s("line", { class: "rule", x1: left + 8, x2: right, y1: y, y2: y }),
      line.paper
        ? mark(2, x(one.mean), y, `${line.paper.paper}: ${fixed(one.mean)}`, 4)
        : [
            s(
              "line",
              { class: "mean", x1: x(one.mean), x2: x(one.mean), y1: y - 9, y2: y + 9 },
              s("title", {}, `mean ${fixed(one.mean)}`),
            ),
            seeds.map((run) => mark(0, x(run.test), y, `seed ${run.seed}: ${fixed(run.test)}`)),
          ],
    ];
  });
  const name = s("text", { class: "axis", x: right, y: bottom + 32, "text-anchor": "end" }, `${column.metric} × 100`);
  box.replaceChildren(picture(width, bottom + 38, "seeds-caption", axis, rows, name));
  replace(
    "seeds-caption",
    h("bdi", {}, taskName(column)),
    ": every dot is a split seed, the bar their mean",
    some.some(({ line }) => line.paper) && "; a diamond is a published number",
    drawn.length > some.length && `; ${some.length} of ${drawn.length} rows`,
    ".",
  );
}

function seedsOf(now, line, column) {
  if (line.paper || !now.block) return [];
  const block = data.blocks.indexOf(now.block);
  return runs.filter(
    (run) => run.block === block && run.row === line.id && run.column === column.id && run.test !== null,
  );
}

function scalingFigure(now, column, lines) {
  const series =
    !column || !now.block
      ? []
      : lines
          .filter((line) => !line.paper)
          .map((line) => ({ line, points: pointsOf(now, line, column) }))
          .filter(({ points }) => points.length);
  const known = [...new Set(series.flatMap(({ points }) => points.map((point) => point.k)))].sort((a, b) => a - b);
  byId("scaling-figure").parentElement.hidden = known.length < 2;
  if (known.length < 2) {
    byId("seeds-caption").append(" A curve over K needs runs of two or more K by one protocol.");
    return;
  }
  const box = byId("scaling-figure");
  const width = Math.max(260, Math.min(680, box.clientWidth));
  const some = series.slice(0, KINDS);
  const [left, right, bottom] = [36, width - 14, 250];
  const domain = range(
    some.flatMap(({ points }) => points.flatMap((p) => [p.mean - (p.std ?? 0), p.mean + (p.std ?? 0)])),
  );
  const y = scale(domain, bottom, 10);
  const at = scale([Math.log2(known[0]), Math.log2(known.at(-1))], left + 14, right - 14);
  const x = (k) => at(Math.log2(k));
  const axes = [
    ticks(...domain, 6).map((value) => [
      s("line", { class: "grid", x1: left, x2: right, y1: y(value), y2: y(value) }),
      s("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, String(value)),
    ]),
    known.map((k) => s("text", { x: x(k), y: bottom + 18, "text-anchor": "middle" }, String(k))),
    s("text", { class: "axis", x: right, y: bottom + 34, "text-anchor": "end" }, "K, examples a label"),
  ];
  const curves = some.map(({ points }, kind) => {
    const edge = (sign) => points.map((p) => `${x(p.k)},${y(p.mean + sign * (p.std ?? 0))}`);
    return [
      s("polygon", { class: `band c${kind}`, points: [...edge(1), ...edge(-1).reverse()].join(" ") }),
      s("polyline", { class: `curve c${kind}`, points: points.map((p) => `${x(p.k)},${y(p.mean)}`).join(" ") }),
      points.map((p) => mark(kind, x(p.k), y(p.mean), `${some[kind].line.label}, K = ${p.k}: ${fixed(p.mean)}`)),
    ];
  });
  box.replaceChildren(picture(width, bottom + 40, "scaling-caption", axes, curves), legend(some));
  replace(
    "scaling-caption",
    h("bdi", {}, taskName(column)),
    `, ${column.metric} × 100 by K: mean and ± std over split seeds`,
    series.length > KINDS && `; the first ${KINDS} of ${series.length} rows`,
    ".",
  );
}

function pointsOf(now, line, column) {
  return data.blocks
    .filter((block) => variant(block) === variant(now.block))
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

function legend(some) {
  return h(
    "ul",
    { class: "legend" },
    some.map(({ line }, kind) =>
      h(
        "li",
        {},
        s(
          "svg",
          { width: 28, height: 14, "aria-hidden": "true" },
          s("line", { class: `curve c${kind}`, x1: 0, x2: 28, y1: 7, y2: 7 }),
          mark(kind, 14, 7, null),
        ),
        " ",
        h("bdi", {}, line.label),
      ),
    ),
  );
}
