// The data, and what is selected of it. The selection stands in the address, so that a view can be linked to.

const data = JSON.parse(byId("data").textContent);
const runs = data.runs.rows.map((row) => Object.fromEntries(data.runs.fields.map((name, i) => [name, row[i]])));
const hasOwn = Object.hasOwn;
data.published.forEach((row, number) => (row.id = `published ${number}`));

/** The address as a selection; `go` writes it. */
function selection() {
  return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
}

function address(changes) {
  const wanted = Object.entries({ ...selection(), ...changes }).filter(([, value]) => value !== null && value !== "");
  return `#${new URLSearchParams(wanted)}`;
}

function methodAddress(name, more = {}) {
  return `#${new URLSearchParams({ view: "method", method: name, ...more })}`;
}

/** Change the selection. `quietly` leaves no step to go back to: for what is typed. */
function go(changes, quietly = false) {
  const next = address(changes);
  if (next === location.hash) return;
  if (quietly) history.replaceState(null, "", next);
  else history.pushState(null, "", next);
  render();
}

function variant(block) {
  const limit = block.limit === null ? "" : ` · ${block.limit} drawn test rows`;
  return `${block.protocol}${limit}${block.drop_leaks ? " · without leaked test rows" : ""}`;
}

const comparable = (block) => block.limit === null && !block.drop_leaks;

/** A column's own name: no two columns share one, for the same task may have been asked in several ways. */
const taskName = (column) => column.name;

function inSuite(suite, task, source) {
  return suite.tasks.some((member) => member === task || member === `${task}@${source}`);
}

/** Suites of which something was run, in front all tasks together. */
function suites() {
  const used = data.suites.filter((suite) => data.columns.some((c) => inSuite(suite, c.task, c.source)));
  return [{ name: "all", title: "All tasks", tasks: null }, ...used];
}

/** Every K of which there are runs or published rows: numbers first, in order. */
function sizes() {
  const known = new Set([
    ...data.blocks.map((b) => String(b.k)),
    ...data.published.map((row) => row.k).filter(Boolean),
  ]);
  return [...known].sort((a, b) => (Number(a) || Infinity) - (Number(b) || Infinity) || a.localeCompare(b));
}

/** What is shown, of what the address asks for: where it asks for nothing or for what is not there, the usual. */
function chosen() {
  const asked = selection();
  const tabs = suites();
  const counts = (k) => data.blocks.filter((b) => String(b.k) === k).reduce((sum, b) => sum + b.cells.length, 0);
  const known = sizes();
  const usual = known.reduce((best, k) => (counts(k) > counts(best) ? k : best), known[0] ?? "");
  const k = known.includes(asked.k) ? asked.k : usual;
  const blocks = data.blocks.filter((block) => String(block.k) === k);
  const sizesOf = [...blocks].sort((a, b) => comparable(b) - comparable(a) || b.cells.length - a.cells.length);
  return {
    suite: tabs.find((tab) => tab.name === asked.suite) ?? tabs[0],
    k,
    blocks,
    block: blocks.find((block) => variant(block) === asked.protocol) ?? sizesOf[0] ?? null,
    published: asked.published !== "no",
    filter: asked.filter ?? "",
    sort: asked.sort ?? "",
    up: asked.order === "up",
    task: asked.task ?? "",
  };
}

/** The columns shown, those that most rows have first, and the lines: ours of a block, and the papers' for the same K. */
function table(now) {
  const fits = (task, source) => now.suite.tasks === null || inSuite(now.suite, task, source);
  const used = new Map();
  for (const [, column] of now.block?.cells ?? []) used.set(column, (used.get(column) ?? 0) + 1);
  let columns = data.columns
    .map((column, id) => ({ ...column, id }))
    .filter((c) => used.has(c.id) && fits(c.task, c.source))
    .sort((one, other) => used.get(other.id) - used.get(one.id));
  const printed = now.published ? data.published.filter((row) => row.k === now.k || row.k === "") : [];
  if (!now.block) columns = printedColumns(printed).filter((column) => fits(column.task, ""));
  const lines = [...ours(now.block, columns), ...printed.map((row) => theirs(row, columns))];
  const filled = lines.filter((line) => line.cells.some((cell) => cell !== null));
  const words = now.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = filled.filter((line) => words.every((word) => line.searched.includes(word)));
  return { columns, lines: sorted(shown, columns, now), all: filled.length };
}

function printedColumns(printed) {
  const known = new Map();
  for (const row of printed) for (const [task, metric] of row.cells) known.set(`${task} ${metric}`, { task, metric });
  return [...known.values()].map(({ task, metric }) => ({
    task,
    metric,
    source: "",
    template: "",
    title: "",
    mark: "",
    name: task,
    id: `${task} ${metric}`,
  }));
}

function ours(block, columns) {
  if (!block) return [];
  const places = new Map(columns.map((column, place) => [column.id, place]));
  const lines = new Map();
  for (const [row, column, mean, std, n, failed, stale, codes, doubled, changed] of block.cells) {
    if (!places.has(column)) continue;
    if (!lines.has(row)) {
      const { label, method, student, teacher } = data.rows[row];
      lines.set(row, {
        id: row,
        label,
        method,
        student,
        teacher,
        cells: columns.map(() => null),
        searched: `${label} ${student}`.toLowerCase(),
      });
    }
    lines.get(row).cells[places.get(column)] = { mean, std, n, failed, stale, codes, doubled, changed };
  }
  return [...lines.values()].map((line) => ({ ...line, average: average(line.cells) }));
}

const otherSource = (task, source) => (source ? `${task}@${source}` : "source of the data not stated");

function theirs(row, columns) {
  const cells = columns.map((column) => {
    const found = row.cells.find(([task, metric]) => task === column.task && metric === column.metric);
    if (!found) return null;
    const [, , mean, std, n, note, source] = found;
    const other = column.source && source !== column.source ? otherSource(column.task, source) : "";
    return { mean, std, n, failed: 0, stale: 0, note: [note, other].filter(Boolean).join("; ") };
  });
  const searched = `${row.label} ${row.paper} ${row.backbone} ${row.method} published`.toLowerCase();
  return { id: row.id, label: row.label, paper: row, student: row.backbone, cells, average: average(cells), searched };
}

/** The mean over columns; null where one is missing, as in `bench table`. */
function average(cells) {
  const whole = cells.filter(
    (cell) => cell && cell.mean !== null && !cell.failed && !cell.doubled?.length && !cell.changed?.length,
  );
  return whole.length === cells.length && cells.length > 1
    ? whole.reduce((sum, cell) => sum + cell.mean, 0) / cells.length
    : null;
}

function mean(line) {
  const means = line.cells.filter((cell) => cell && cell.mean !== null).map((cell) => cell.mean);
  return means.length ? means.reduce((a, b) => a + b) / means.length : null;
}

/** Lines in the order asked for: what has no value stands last either way; names settle ties. */
function sorted(lines, columns, now) {
  const place = columns.findIndex((column) => taskName(column) === now.sort);
  const value =
    now.sort === "method"
      ? (line) => line.label
      : place >= 0
        ? (line) => line.cells[place]?.mean ?? null
        : now.sort === "average"
          ? (line) => line.average
          : mean;
  const sign = now.up ? 1 : -1;
  const order = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b);
  const apart = (line) => (now.sort === "" && line.paper ? 1 : 0); // unless asked for a column, the papers' stand below ours
  return [...lines].sort((a, b) => {
    if (apart(a) !== apart(b)) return apart(a) - apart(b);
    const [x, y] = [value(a), value(b)];
    if (x === null || y === null) return (x === null) - (y === null) || a.label.localeCompare(b.label);
    return sign * order(x, y) || a.label.localeCompare(b.label);
  });
}
