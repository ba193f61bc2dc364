// A score opened: its seeds, interval, settings, what was measured, and the command that makes it.

const SEPARATOR = "\n";

function cellName(line, column) {
  return [line.label, line.student, line.teacher, taskName(column)].join(SEPARATOR);
}

/** Open the score that the address names, or close the one that is open. */
function showOpened(now, { columns, lines }) {
  const dialog = byId("cell");
  const wanted = selection().cell;
  for (const line of wanted ? lines : []) {
    const place = columns.findIndex((column) => cellName(line, column) === wanted);
    if (place < 0 || !line.cells[place]) continue;
    replace("cell-title", h("bdi", {}, line.label), " on ", h("bdi", {}, taskName(columns[place])));
    replace("cell-body", opened(now, line, line.cells[place], columns[place]));
    if (!dialog.open) dialog.showModal();
    return;
  }
  if (dialog.open) dialog.close();
}

function opened(now, line, one, column) {
  const block = data.blocks.indexOf(now.block);
  const mine = runs.filter((run) => run.block === block && run.row === line.id && run.column === column.id);
  const measurements = measuredOf(block, line, column);
  return [
    pairs([
      ["model", line.student && [h("bdi", {}, line.student), line.teacher && [", taught by ", h("bdi", {}, line.teacher)]]],
      ["the model is", knownModel(line.student) && modelSaid(line.student)],
      ["K, protocol", `${now.k} · ${variant(now.block)}`],
      ["mean", one.mean !== null && `${fixed(one.mean, 2)} (${column.metric} × 100)`],
      ["std", one.std !== null && one.n > 1 && `${fixed(one.std, 2)} over ${plural(one.n, "split seed")}, ddof ${now.block.ddof}`],
      ["95 % interval", one.low !== null && `${fixed(one.low, 2)} to ${fixed(one.high, 2)}, of the mean over seeds (Student's t)`],
      ["to the first", line.ranked?.difference != null && `${differenceText(line)} over the ranked tasks, ${shownP(line.ranked.p)}`],
      ...measurements,
    ]),
    seedsTable(mine),
    one.doubled.length > 0 && h("p", { class: "warning" }, `Several runs of one seed: ${one.doubled.join("; ")}`),
    h("h3", {}, "The command that makes it"),
    h("pre", { tabindex: 0, role: "region", "aria-label": "Command" }, h("code", {}, one.command)),
    one.command.includes(" ./") &&
      h("p", { class: "notes" }, "./ stands before a model or corpus of local files; the record has the hash of these."),
    h("p", {}, h("a", { href: methodAddress(line.method, wantedRuns(now, line, column)) }, "Trials and details of these runs")),
  ];
}

const shownP = (p) => (p == null ? "too few seeds for a p" : p < 0.001 ? "p below 0.001" : `p = ${fixed(p, 3)}`);

function wantedRuns(now, line, column) {
  return {
    row: line.label,
    student: line.student,
    task: taskName(column),
    k: now.k,
    protocol: variant(now.block),
  };
}

function measuredOf(block, line, column) {
  const found = data.beyond.cells.find(([b, row, c]) => b === block && row === line.id && c === column.id);
  if (!found) return [];
  const [, , , means] = found;
  return data.beyond.columns.map(([name, digits], place) => [
    name,
    means[place] && `${fixed(means[place][0], digits)} (${plural(means[place][1], "run")})`,
  ]);
}

function seedsTable(mine) {
  const numeric = ["seed", "dev", "test", "seconds"];
  const sorted = [...mine].sort((a, b) => a.seed - b.seed);
  return h(
    "div",
    { class: "scroll", role: "region", "aria-label": "Seeds", tabindex: 0 },
    h(
      "table",
      { class: "seeds" },
      caption("Every split seed"),
      heads([...numeric, "settings chosen on dev", "record"], numeric),
      h(
        "tbody",
        {},
        sorted.map((run) =>
          h(
            "tr",
            {},
            h("th", { scope: "row", class: "number" }, String(run.seed)),
            cell(fixed(run.dev), { class: "number" }),
            cell(run.status === "failed" ? h("span", { class: "failed" }, "failed") : fixed(run.test), { class: "number" }),
            cell(fixed(run.seconds), { class: "number" }),
            cell(h("bdi", {}, short(data.values[run.settings]) || "–"), { class: "prose" }),
            cell(h("a", { href: run.file }, run.key.slice(0, 8))),
          ),
        ),
      ),
    ),
  );
}
