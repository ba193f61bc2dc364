// The leaderboard: tabs, controls, the table and its notes.

function showBoard() {
  const now = chosen();
  showTabs(now);
  showControls(now);
  const shown = table(now);
  showTable(now, shown);
  showFigures(now, shown);
}

function showTabs(now) {
  const tabs = suites();
  const move = (event) => {
    const at = tabs.findIndex((tab) => tab.name === chosen().suite.name);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    go({ suite: tabs.at(to % tabs.length).name });
    byId("suites").querySelector("[aria-selected=true]").focus();
  };
  replace(
    "suites",
    tabs.map((tab) => {
      const active = tab.name === now.suite.name;
      return h(
        "button",
        {
          type: "button",
          role: "tab",
          id: `suite-${tabs.indexOf(tab)}`,
          title: tab.title,
          "aria-controls": "panel",
          "aria-selected": String(active),
          tabindex: active ? 0 : -1,
          onkeydown: move,
          onclick: () => {
            go({ suite: tab.name });
            byId("suites").querySelector("[aria-selected=true]").focus();
          },
        },
        tab.name,
      );
    }),
  );
  byId("panel").setAttribute("aria-labelledby", `suite-${tabs.findIndex((tab) => tab.name === now.suite.name)}`);
}

function options(names, selected) {
  return names.map((name) => h("option", { value: name, selected: name === selected }, name));
}

function showControls(now) {
  replace("k", options(sizes(), now.k));
  replace(
    "protocol",
    now.block ? options(now.blocks.map(variant), variant(now.block)) : h("option", {}, "published only"),
  );
  byId("protocol").disabled = now.blocks.length < 2;
  byId("published").checked = now.published;
  byId("published").parentElement.hidden = data.published.length === 0;
  if (byId("filter").value !== now.filter) byId("filter").value = now.filter;
}

let drawn = { key: "" }; // the rows as they are: another order needs no new ones

function showTable(now, shown) {
  const key = JSON.stringify([now.suite.name, now.k, now.block && variant(now.block), now.published, now.filter]);
  if (drawn.key !== key) drawn = { key, ...draw(now, shown) };
  const { columns, lines } = shown;
  const head = h(
    "tr",
    {},
    heading("method", "method", "", now),
    columns.map((c) => heading(taskName(c), c.task, columnNote(c), now, c.title)),
    drawn.averaged && heading("average", "average", "", now),
  );
  byId("board").tHead.replaceChildren(head);
  byId("board").tBodies[0].replaceChildren(...lines.map((line) => drawn.rows.get(line.id)));
}

/** Make the rows of a table, and write what is said of it: its caption, its size, its notes. */
function draw(now, { columns, lines, all }) {
  const counts = new Set(
    lines
      .filter((line) => !line.paper)
      .flatMap((line) => line.cells)
      .filter((c) => c?.n)
      .map((c) => c.n),
  );
  const view = {
    n: counts.size === 1 ? [...counts][0] : null,
    students: new Set(lines.filter((line) => !line.paper && line.student).map((line) => line.student)),
    averaged: columns.length > 1 && lines.some((line) => line.average !== null),
    places: columns.map((_, place) => ranks(lines, (line) => line.cells[place]?.mean)),
    footnotes: new Map(),
    now,
  };
  view.averages = ranks(lines, (line) => line.average);
  byId("board-caption").replaceChildren(...described(now, columns, view));
  const rows = new Map(lines.map((line) => [line.id, tableRow(line, columns, view)]));
  replace(
    "count",
    lines.length === all ? plural(all, "row") : `${lines.length} of ${plural(all, "row")} shown`,
    all === 0 && ": nothing is stored of this selection; bench run makes some",
  );
  replace("notes", notes(lines, view));
  return { rows, averaged: view.averaged };
}

function described(now, columns, view) {
  if (!now.block) return [`Published numbers for K = ${now.k}; nothing is stored of this K.`];
  const parts = [`${now.suite.title} · K = ${now.k} · ${now.block.protocol}`];
  if (view.students.size === 1) parts.push(`student ${[...view.students][0]}`);
  parts.push(
    view.n === 1
      ? "one split seed"
      : view.n
        ? `mean ± std over ${view.n} split seeds, ddof ${now.block.ddof}`
        : `mean ± std (split seeds), ddof ${now.block.ddof}`,
  );
  if (now.suite.tasks) {
    const covered = now.suite.tasks.filter((member) =>
      columns.some((c) => inSuite({ tasks: [member] }, c.task, c.source)),
    );
    if (covered.length < now.suite.tasks.length)
      parts.push(`${covered.length} of the suite's ${now.suite.tasks.length} tasks have runs`);
  }
  const warning = comparable(now.block)
    ? null
    : h("strong", { class: "warning" }, ` Not comparable: ${variant(now.block).split(" · ").slice(1).join(", ")}.`);
  return present([`${parts.join(" · ")}.`, warning]);
}

function columnNote(column) {
  return `${[column.source, column.template && `+${column.template}`, column.mark].filter(Boolean).join(" ")}\n${column.metric}`.trim();
}

function heading(name, text, below, now, title) {
  const active = now.sort === name;
  const turn = () => {
    const first = name === "method" ? "up" : null; // names go up first, scores down
    go({ sort: name, order: active ? (now.up ? null : "up") : first });
    [...byId("board").tHead.querySelectorAll("button")].find((b) => b.dataset.name === name)?.focus();
  };
  return h(
    "th",
    {
      scope: "col",
      class: name === "method" ? null : "number",
      "aria-sort": active ? (now.up ? "ascending" : "descending") : "none",
    },
    h("button", { type: "button", "data-name": name, title: title || null, onclick: turn }, text),
    below && h("small", {}, below),
  );
}

/** The place of each line of ours by its value as shown: 1, 2, or nothing. Published rows are of other backbones. */
function ranks(lines, value) {
  const shown = lines
    .filter((line) => !line.paper && typeof value(line) === "number")
    .map((line) => [line, value(line).toFixed(1)]);
  const best = [...new Set(shown.map(([, text]) => Number(text)))].sort((a, b) => b - a);
  return new Map(shown.length > 1 ? shown.map(([line, text]) => [line, best.indexOf(Number(text)) + 1]) : []);
}

function tableRow(line, columns, view) {
  return h(
    "tr",
    { class: line.paper ? "published" : null },
    rowHead(line, view),
    line.cells.map((one, place) => scoreCell(line, one, columns[place], view.places[place].get(line), view)),
    view.averaged &&
      cell(line.average === null ? "–" : h("b", {}, placed(fixed(line.average), view.averages.get(line))), {
        class: `number average${rankClass(view.averages.get(line))}`,
      }),
  );
}

function rowHead(line, view) {
  if (line.paper) {
    return h(
      "th",
      { scope: "row" },
      h("bdi", {}, line.label),
      h("span", { class: "tag" }, "published"),
      h("small", {}, [line.paper.paper, line.paper.backbone].filter(Boolean).join(" · ")),
      line.paper.method && h("small", {}, "our ", methodLink(line.paper.method.split(":")[0], line.paper.method)),
    );
  }
  return h(
    "th",
    { scope: "row" },
    methodLink(line.method, line.label),
    view.students.size > 1 && line.student && h("small", {}, h("bdi", {}, line.student)),
    line.teacher && h("small", {}, "from ", h("bdi", {}, line.teacher)),
  );
}

const rankClass = (number) => (number === 1 ? " best" : number === 2 ? " second" : "");

function placed(text, number) {
  return [text, number === 1 && unseen(" (best)"), number === 2 && unseen(" (second)")];
}

function scoreCell(line, one, column, number, view) {
  if (!one) return cell(["–", unseen(line.paper ? " not printed" : " no run")], { class: "number missing" });
  const parts = [];
  if (one.mean !== null) {
    parts.push(h("b", {}, placed(fixed(one.mean), number)));
    if (one.std !== null && (line.paper || one.n > 1)) parts.push(h("small", {}, ` ±${fixed(one.std)}`));
    if (one.stale) parts.push(h("sup", { title: "older code" }, "†", unseen(" stale")));
    if (one.codes) parts.push(h("sup", { title: "different versions of the code" }, "¶"));
    if (!line.paper && view.n === null) parts.push(h("small", { class: "n" }, ` (${one.n})`));
  }
  if (one.doubled?.length) parts.push(h("sup", { title: one.doubled.join("; ") }, "§"));
  if (one.failed) parts.push(h("small", { class: "failed" }, ` ${one.failed} failed`));
  if (one.note) parts.push(h("sup", {}, footnote(one.note, view)));
  const more = {
    row: line.label,
    student: line.student,
    task: taskName(column),
    k: view.now.k,
    protocol: view.now.block ? variant(view.now.block) : "",
  };
  const shown = line.paper ? parts : h("a", { href: methodAddress(line.method, more) }, parts);
  return cell(shown, { class: `number${rankClass(number)}` });
}

function footnote(note, view) {
  if (!view.footnotes.has(note)) view.footnotes.set(note, view.footnotes.size + 1);
  return `[${view.footnotes.get(note)}]`;
}

function notes(lines, view) {
  const cells = lines.flatMap((line) => line.cells.map((one) => ({ ...one, paper: line.paper, none: !one })));
  return [
    lines.length > 1 &&
      "Bold is the best of a column, underlined the second best, among the runs stored here. A score leads to its runs.",
    cells.some((one) => one.stale) && "† made by an older version of the method's code: bench run --force redoes it",
    cells.some((one) => one.codes) &&
      "¶ its runs were made by different versions of the method's code: bench run --force redoes them",
    cells.some((one) => one.doubled?.length) && "§ a seed with several runs counts in no mean",
    cells.some((one) => one.changed?.length) &&
      "(earlier …) made from another definition, rows, constants or defaults than today's: no answer to today's question",
    cells.some((one) => one.none && !one.paper) && "– no run stored: bench run with that method and task",
    cells.some((one) => one.failed) && "failed runs: bench run --retry-failed redoes them; the method's page says why",
    lines.some((line) => line.paper) &&
      "Published rows are what a paper prints: of another backbone, other splits and other code, so no comparison under equal conditions.",
  ]
    .filter(Boolean)
    .map((text) => h("li", {}, text))
    .concat(
      view.footnotes.size
        ? h(
            "li",
            {},
            "Footnotes of the papers' tables:",
            h(
              "ul",
              { class: "footnotes" },
              [...view.footnotes].map(([note, number]) => h("li", {}, `[${number}] ${note}`)),
            ),
          )
        : [],
    );
}
