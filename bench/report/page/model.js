// The data, and what is selected of it. The selection stands in the address, so that a view can be linked to.

const data = JSON.parse(byId("data").textContent);
const runs = data.runs.rows.map((row) => Object.fromEntries(data.runs.fields.map((name, i) => [name, row[i]])));
const hasOwn = Object.hasOwn;

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
  const leaks = block.drop_leaks ? " · without leaked test rows" : "";
  return block.protocol + limit + leaks + (block.arithmetic ? ` · computed in ${block.arithmetic}` : "");
}

const protocolName = (block) => block.protocol.split(" ")[0];

const protocolTitle = (name) => (hasOwn(data.protocols, name) ? data.protocols[name] : null);

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

/** Every K of some blocks: numbers first, in order. */
function sizes(blocks) {
  const known = new Set(blocks.map((b) => String(b.k)));
  return [...known].sort((a, b) => (Number(a) || Infinity) - (Number(b) || Infinity) || a.localeCompare(b));
}

/** How much the ranks of a block in a suite compare: pairs of entries, on each task. */
function weight(block, suite) {
  const one = data.panels.find((p) => data.blocks[p.block] === block && p.suite === suite.name && p.student === "");
  return one ? one.rows.length ** 2 * one.columns.length : 0;
}

const switched = (text) => new Set((text ?? "").split(" ").filter(Boolean));

/** What is shown, of what the address asks for: where it asks for nothing or for what is not there, the usual. */
function chosen() {
  const asked = selection();
  const tabs = suites();
  const suite = tabs.find((tab) => tab.name === asked.suite) ?? tabs[0];
  const inTab = (block) => suite.tasks === null || block.cells.some(([, c]) => inTabColumn(suite, c));
  const order = (a, b) =>
    comparable(b) - comparable(a) || weight(b, suite) - weight(a, suite) || b.cells.length - a.cells.length;
  const all = data.blocks.filter(inTab).sort(order);
  const known = sizes(all);
  const k = known.includes(asked.k) ? asked.k : String(all[0]?.k ?? "");
  const blocks = all.filter((block) => String(block.k) === k);
  const block = blocks.find((one) => variant(one) === asked.protocol) ?? blocks[0] ?? null;
  const models = modelsOf(block);
  return {
    suite,
    sizes: known,
    k,
    blocks,
    block,
    models,
    model: models.includes(asked.model) ? asked.model : "",
    size: Number(asked.size) || null,
    since: asked.since ?? "",
    filter: asked.filter ?? "",
    all: asked.tasks === "all",
    earlier: asked.rows === "all",
    columns: asked.columns === undefined ? new Set(["statistics"]) : switched(asked.columns),
    open: new Set((asked.open ?? "").split("\n").filter(Boolean)),
    sort: asked.sort ?? "",
    up: asked.order === "up",
    task: asked.task ?? "",
    cost: asked.cost ?? "",
    curves: asked.curves === undefined ? null : new Set(asked.curves.split("\n").filter(Boolean)),
  };
}

function inTabColumn(suite, number) {
  const { task, source } = data.columns[number];
  return inSuite(suite, task, source);
}

function modelsOf(block) {
  const rows = new Set((block?.cells ?? []).map(([row]) => data.rows[row].student));
  return [...rows].filter(Boolean).sort();
}

/** The ranks shown: of the chosen model alone, if it has some, else of all. */
function panelOf(now) {
  const block = data.blocks.indexOf(now.block);
  const all = data.panels.filter((panel) => panel.block === block && panel.suite === now.suite.name);
  return all.find((panel) => panel.student === now.model) ?? all.find((panel) => panel.student === "") ?? null;
}

/** The columns and lines of a selection: ranked lines, baselines among them, and lines that lack a task. */
function table(now) {
  const panel = panelOf(now);
  const columns = columnsOf(now, panel);
  const lines = linesOf(now, panel, columns);
  const hidden = now.earlier || lines.every(isEarlier) ? () => false : isEarlier;
  const shown = lines.filter((line) => fits(line, now) && !hidden(line));
  const folded = fold(shown, now);
  const order = inOrder(columns, now);
  return {
    panel,
    columns,
    lines,
    ranked: folded.filter((line) => line.isRanked).sort(order),
    partial: folded.filter((line) => !line.isRanked).sort(order),
    shown: shown.length,
  };
}

/** The tasks that are ranked, the others of the suite (those most lines have first), and apart those at chance. */
function columnsOf(now, panel) {
  const used = new Map();
  for (const [, column] of now.block?.cells ?? []) used.set(column, (used.get(column) ?? 0) + 1);
  const ranked = panel?.columns ?? [];
  const others = [...used.keys()]
    .filter((number) => !ranked.includes(number))
    .filter((number) => now.suite.tasks === null || inTabColumn(now.suite, number))
    .sort((one, other) => used.get(other) - used.get(one) || one - other);
  const chance = new Set(panel?.chance ?? now.block?.chance ?? []);
  const hidden = others.filter((number) => !chance.has(number) && (!panel || now.all));
  const entrants = new Set((panel?.rows ?? []).map(([row]) => row));
  const isHeld = (number) => now.block.cells.some(([row, column]) => column === number && entrants.has(row));
  const apart = others.filter((number) => chance.has(number) && (!panel || now.all || isHeld(number)));
  return [...ranked, ...hidden, ...apart].map((id) => ({
    ...data.columns[id],
    id,
    isRanked: ranked.includes(id),
    atChance: chance.has(id),
  }));
}

function linesOf(now, panel, columns) {
  if (!now.block) return [];
  const places = new Map(columns.map((column, place) => [column.id, place]));
  const ranks = new Map((panel?.rows ?? []).map(([row, ...rest], place) => [row, { ...rankOf(rest), rank: place + 1 }]));
  const baselines = new Map(panel?.baselines ?? []);
  const measurements = measurementsOf(now, columns);
  const lines = new Map();
  for (const [row, column, mean, std, n, failed, stale, codes, doubled, changed, low, high, command] of now.block.cells) {
    if (!places.has(column)) continue;
    if (!lines.has(row)) {
      const { label, method, student, teacher } = data.rows[row];
      const ranked = ranks.get(row) ?? null;
      lines.set(row, {
        id: row,
        label,
        method,
        student,
        teacher,
        group: [method, student, teacher].join(" "),
        ranked,
        isBaseline: student === "",
        isRanked: ranked !== null || baselines.has(row),
        average: ranked?.average ?? baselines.get(row) ?? null,
        measured: measurements.get(row) ?? new Map(),
        cells: columns.map(() => null),
        searched: `${label} ${student} ${teacher}`.toLowerCase(),
      });
    }
    const one = { mean, std, n, failed, stale, codes, doubled, changed, low, high, command, column };
    lines.get(row).cells[places.get(column)] = one;
  }
  for (const line of lines.values()) line.average ??= panel ? averageOf(line, columns) : null;
  return [...lines.values()];
}

/** True of a line without a score that answers today's question. */
const isEarlier = (line) => line.cells.every((one) => !one || one.changed.length > 0);

function rankOf([average, verdict, difference, low, high, p, pairs, winRate, averageRank]) {
  return { average, verdict, difference, low, high, p, pairs, winRate, averageRank };
}

/** The mean over the ranked tasks, of a line that has them all and is folded under another. */
function averageOf(line, columns) {
  const cells = line.cells.filter((_, place) => columns[place].isRanked);
  const sound = cells.every((c) => c && c.mean !== null && !c.failed && !c.doubled.length && !c.changed.length);
  return sound && cells.length ? cells.reduce((sum, c) => sum + c.mean, 0) / cells.length : null;
}

/** By row and name: the mean over tasks of what was measured, and of the seconds that runs took. */
function measurementsOf(now, columns) {
  const block = data.blocks.indexOf(now.block);
  const shown = new Set(columns.map((column) => column.id));
  const values = new Map();
  const add = (row, name, value) => {
    if (!values.has(row)) values.set(row, new Map());
    if (!values.get(row).has(name)) values.get(row).set(name, []);
    values.get(row).get(name).push(value);
  };
  for (const [b, row, column, means] of data.beyond.cells) {
    if (b !== block || !shown.has(column)) continue;
    means.forEach((mean, place) => mean && add(row, data.beyond.columns[place][0], mean[0]));
  }
  for (const run of runs)
    if (run.block === block && shown.has(run.column) && run.seconds !== null) add(run.row, "seconds", run.seconds);
  const mean = (numbers) => ({ mean: numbers.reduce((a, b) => a + b) / numbers.length, n: numbers.length });
  const averaged = (by) => new Map([...by].map(([name, numbers]) => [name, mean(numbers)]));
  return new Map([...values].map(([row, by]) => [row, averaged(by)]));
}

/** What is known of a model: its million parameters, and in words. */
const knownModel = (name) => (hasOwn(data.models, name) ? data.models[name] : null);

/** By model, the million parameters that were measured of it at most, or that it is known to have. */
const modelSizes = (() => {
  const known = new Map(Object.entries(data.models).map(([name, { parameters }]) => [name, parameters]));
  const place = data.beyond.columns.findIndex(([name]) => name === "M parameters");
  for (const [, row, , means] of data.beyond.cells) {
    const { student } = data.rows[row];
    const size = means[place]?.[0];
    if (size && !knownModel(student)) known.set(student, Math.max(size, known.get(student) ?? 0));
  }
  return known;
})();

/** A line's parameters, in millions: as measured, or else its model's. */
const sizeOf = (line) => line.measured.get("M parameters")?.mean ?? modelSizes.get(line.student) ?? null;

function fits(line, now) {
  const words = now.filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.every((word) => line.searched.includes(word))) return false;
  if (line.isBaseline) return true;
  if (now.model && line.student !== now.model) return false;
  if (now.size !== null && !(sizeOf(line) !== null && sizeOf(line) <= now.size)) return false;
  return !now.since || lastDate(now, line) >= now.since;
}

/** The day of a line's newest run; empty where records do not say. */
function lastDate(now, line) {
  const block = data.blocks.indexOf(now.block);
  return runs.reduce(
    (last, run) => (run.row === line.id && run.block === block && run.date > last ? run.date : last),
    "",
  );
}

/** Put lines of one method and one model under the one that is ranked, or has most scores. */
function fold(lines, now) {
  const groups = new Map();
  for (const line of lines) groups.set(line.group, [...(groups.get(line.group) ?? []), line]);
  const filled = (line) => line.cells.filter(Boolean).length;
  return [...groups.values()].map((members) => {
    const [head, ...variants] = members.sort(
      (a, b) =>
        (b.ranked !== null) - (a.ranked !== null) ||
        filled(b) - filled(a) ||
        (b.label === b.method) - (a.label === a.method) ||
        a.label.localeCompare(b.label),
    );
    return { ...head, variants, isOpen: now.open.has(head.group) };
  });
}

/** The order asked for: what has no value stands last either way; names settle ties. */
function inOrder(columns, now) {
  const place = columns.findIndex((column) => taskName(column) === now.sort);
  const mean = (line) => {
    const means = line.cells.filter((cell) => cell && cell.mean !== null).map((cell) => cell.mean);
    return means.length ? means.reduce((a, b) => a + b) / means.length : null;
  };
  const values = {
    "": (line) => line.average ?? mean(line),
    average: (line) => line.average,
    method: (line) => line.label,
    model: (line) => line.student || null,
    "win rate": (line) => line.ranked?.winRate ?? null,
    "average rank": (line) => (line.ranked?.averageRank ? -line.ranked.averageRank : null),
  };
  const value =
    place >= 0
      ? (line) => line.cells[place]?.mean ?? null
      : hasOwn(values, now.sort)
        ? values[now.sort]
        : (line) => line.measured.get(now.sort)?.mean ?? null;
  const sign = now.up ? 1 : -1;
  const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b);
  return (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === null || y === null) return (x === null) - (y === null) || a.label.localeCompare(b.label);
    return sign * compare(x, y) || (a.ranked?.rank ?? 0) - (b.ranked?.rank ?? 0) || a.label.localeCompare(b.label);
  };
}
