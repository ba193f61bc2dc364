// The leaderboard: what it says in one sentence, its tabs, controls, caption and notes.

const PHONE = matchMedia("(max-width: 40rem)");
let arranged = null;
const SWITCHES = { statistics: "statistics", loyalty: "loyalty", robustness: "robustness", cost: "cost" };

function showBoard() {
  const now = chosen();
  arrange();
  const shown = table(now);
  showTabs(now);
  showControls(now, shown);
  showHeadline(now, shown);
  showGloss(now, shown);
  showRows(now, shown);
  replace("notes", notes(shown, now));
  showFigures(now, shown);
  showOpened(now, shown);
}

/** On a phone the cards come before the second figure, and the filters are folded until they are asked for. */
function arrange() {
  if (arranged === PHONE.matches) return;
  arranged = PHONE.matches;
  if (arranged) byId("seeds").before(byId("scaling"));
  else byId("pareto").after(byId("scaling"));
  byId("filters").open = !arranged;
}

function showTabs(now) {
  const tabs = suites();
  const move = (event) => {
    const at = tabs.findIndex((tab) => tab.name === chosen().suite.name);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    choose(tabs.at(to % tabs.length).name);
  };
  const choose = (suite) => {
    go({ suite, k: null, protocol: null, sort: null, order: null });
    byId("suites").querySelector("[aria-selected=true]").focus();
  };
  replace(
    "suites",
    tabs.map((tab, number) => {
      const active = tab.name === now.suite.name;
      return h(
        "button",
        {
          type: "button",
          role: "tab",
          id: `suite-${number}`,
          title: tab.title,
          "aria-controls": "panel",
          "aria-selected": String(active),
          tabindex: active ? 0 : -1,
          onkeydown: move,
          onclick: () => choose(tab.name),
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

function named(entries, selected) {
  return entries.map(([value, text]) => h("option", { value, selected: value === selected }, text));
}

function showControls(now, { lines, panel, columns }) {
  replace("k", options(now.sizes, now.k));
  replace("protocol", now.block ? options(now.blocks.map(variant), variant(now.block)) : h("option", {}, "none"));
  byId("protocol").disabled = now.blocks.length < 2;
  replace("model", named([["", "all models"], ...now.models.map((name) => [name, name])], now.model));
  byId("model").parentElement.hidden = now.models.length < 2;
  const known = [...new Set(lines.map(sizeOf).filter((size) => size !== null))].sort((a, b) => a - b);
  const steps = known.map((size) => [String(Math.ceil(size * 10) / 10), `up to ${Math.ceil(size * 10) / 10} M`]);
  replace("size", named([["", "any size"], ...new Map(steps)], now.size === null ? "" : String(now.size)));
  byId("size").parentElement.hidden = known.length === 0;
  byId("since").parentElement.hidden = !runs.some((run) => run.date);
  for (const name of ["since", "filter"]) if (byId(name).value !== now[name]) byId(name).value = now[name];
  const others = panel ? usedColumns(now) - columns.filter((column) => column.isRanked || column.atChance).length : 0;
  byId("all-tasks").checked = now.all;
  byId("all-tasks").parentElement.hidden = others <= 0;
  for (const name of Object.keys(SWITCHES)) {
    byId(`show-${name}`).checked = now.columns.has(name);
    byId(`show-${name}`).parentElement.hidden = name !== "statistics" && measuredNames(lines, [name]).length === 0;
  }
  byId("show-statistics").parentElement.hidden = !panel;
  byId("earlier").checked = now.earlier;
  byId("earlier").parentElement.hidden = !lines.some(isEarlier) || lines.every(isEarlier);
  replace("sort", named(sortable(columns, panel), now.sort));
}

function usedColumns(now) {
  const used = new Set((now.block?.cells ?? []).map(([, column]) => column));
  return [...used].filter((number) => now.suite.tasks === null || inTabColumn(now.suite, number)).length;
}

function sortable(columns, panel) {
  const usual = panel ? [["", "average"]] : [["", "mean of its tasks"]];
  return [...usual, ["method", "method"], ...columns.map((column) => [taskName(column), taskName(column)])];
}

/** The names of measured columns, by the switches that show them. */
function measuredNames(lines, switches) {
  const kinds = {
    loyalty: (name) => name.includes("loyalty"),
    robustness: (name) => /after-attack|queries/.test(name),
    cost: (name) => name === "seconds" || !/loyalty|accuracy|queries/.test(name),
  };
  const used = new Set(lines.flatMap((line) => [...line.measured.keys()]));
  const ordered = [...data.beyond.columns.map(([name]) => name), "seconds"].filter((name) => used.has(name));
  return ordered.filter((name) => switches.some((one) => hasOwn(kinds, one) && kinds[one](name)));
}

/** What a visitor should know after ten seconds: who leads, of how many, and who cannot be distinguished. */
function showHeadline(now, { panel, lines, columns }) {
  if (!now.block) return say("headline", "Nothing is stored of this selection; bench run makes some.");
  const tasks = now.suite.tasks;
  if (!panel && columns.length > 0 && columns.every((column) => column.atChance))
    return say("headline", "Nothing is ranked here: every task with runs is at chance, so differences on it are noise.");
  if (!panel) {
    const ran = tasks && new Set(columns.map((c) => c.task)).size;
    return say(
      "headline",
      "Nothing is ranked here. ",
      tasks
        ? `No method has runs on all ${tasks.length} tasks of ${now.suite.name}: ${plural(ran, "task has", "tasks have")} some.`
        : "No method has a sound score: failed, doubled and outdated runs do not count.",
    );
  }
  const [first, ...rest] = panel.rows.map(([row, ...values]) => ({ ...data.rows[row], ...rankOf(values) }));
  const same = rest.filter((line) => line.verdict === "same");
  const open = rest.filter((line) => line.verdict === "open");
  const names = columns.filter((column) => column.isRanked).map((column) => column.name.split("@")[0]);
  say(
    "headline",
    `${examples(now.k)}, `,
    h("strong", {}, h("bdi", {}, first.label)),
    present([
      first.student && [" on ", h("bdi", {}, first.student)],
      modelSizes.has(first.student) && ` (${fixed(modelSizes.get(first.student))} M parameters)`,
      ` leads at ${fixed(first.average)}, `,
    ]),
    `the mean of ${plural(names.length, "task")}`,
    names.length <= 6 && ` (${names.join(", ")})`,
    `, among ${plural(panel.rows.length, "ranked entry", "ranked entries")}${panel.student && ` on ${panel.student}`}. `,
    rest.length > 0 &&
      h(
        "span",
        {},
        same.length
          ? `${plural(same.length, "other")} cannot be distinguished from it`
          : open.length
            ? "Whether another is as good cannot be told"
            : "It is distinguishable from every other",
        open.length > 0 && same.length > 0 && `; of ${open.length} it cannot be told`,
        ` (${evidence(panel, lines)}).`,
      ),
    bestOfOthers(first, rest),
  );
}

/** What the names in the headline stand for, for those who see them for the first time. */
function showGloss(now, { panel }) {
  const first = panel && data.rows[panel.rows[0][0]];
  const method = first && hasOwn(data.methods, first.method) && data.methods[first.method];
  const protocol = now.block && protocolName(now.block);
  const said = [
    method && [first.method, method.summary],
    first && knownModel(first.student) && [first.student, `${modelSaid(first.student)}.`],
    protocol && protocolTitle(protocol) && [`protocol ${protocol}`, `${protocolTitle(protocol)}.`],
  ];
  replace("gloss", said.some(Boolean) && pairs(said.filter(Boolean)));
}

const modelSaid = (name) => `${fixed(knownModel(name).parameters)} M parameters: ${knownModel(name).what}`;

/** K in words. */
function examples(k) {
  if (k === "full") return "With all training examples";
  const total = /^total-(.+)$/.exec(k);
  return total ? `With ${total[1]} examples in all` : `With ${plural(Number(k), "example")} a label`;
}

/** The best entry of each student but the leader's, where several are ranked. */
function bestOfOthers(first, rest) {
  const best = new Map();
  for (const line of rest) if (line.student && !best.has(line.student)) best.set(line.student, line);
  best.delete(first.student);
  return [...best.values()].map((line) => [
    " Best on ",
    h("bdi", {}, line.student),
    modelSizes.has(line.student) && ` (${fixed(modelSizes.get(line.student))} M)`,
    ": ",
    h("strong", {}, h("bdi", {}, line.label)),
    `, ${fixed(line.average)}.`,
  ]);
}

/** What the paired tests rest on. */
function evidence(panel, lines) {
  const seeds = new Set(
    lines
      .filter((line) => line.ranked)
      .flatMap((line) => line.cells)
      .filter(Boolean)
      .map((c) => c.n),
  );
  const [low, high] = [Math.min(...seeds), Math.max(...seeds)];
  const counted = low === high ? plural(low, "seed") : `${low} to ${high} seeds`;
  const by = panel.by_items ? "paired by seed and test item" : "paired by seed";
  return `tests ${by}, over ${counted} × ${plural(panel.columns.length, "task")}, with Holm's correction, at 0.05`;
}

function described(now, { panel, columns, lines }) {
  if (!now.block) return ["Nothing is stored."];
  const parts = [`${now.suite.title}`, `K = ${now.k}`, now.block.protocol];
  const students = new Set(lines.filter((line) => line.student).map((line) => line.student));
  if (students.size === 1) parts.push(`student ${[...students][0]}`);
  const counts = new Set(lines.flatMap((line) => line.cells.filter((c) => c?.n).map((c) => c.n)));
  const n = usualCount(lines);
  const others = counts.size > 1 ? ", or as many as stand in brackets" : "";
  parts.push(n === 1 ? `one split seed${others}` : `mean ± std over ${n} split seeds${others}, ddof ${now.block.ddof}`);
  if (panel && now.model && panel.student === "") parts.push("ranks are among all models");
  if (now.suite.tasks) {
    const ran = now.suite.tasks.filter((one) => columns.some((c) => inSuite({ tasks: [one] }, c.task, c.source)));
    if (ran.length < now.suite.tasks.length)
      parts.push(`${ran.length} of the suite's ${now.suite.tasks.length} tasks have runs`);
  }
  const warning = comparable(now.block)
    ? null
    : h("strong", { class: "warning" }, ` Not comparable: ${variant(now.block).split(" · ").slice(1).join(", ")}.`);
  return present([`${parts.join(" · ")}.`, warning]);
}

function notes({ panel, lines, columns }, now) {
  const cells = lines.flatMap((line) => line.cells);
  const said = [
    panel &&
      (now.suite.tasks
        ? `Ranked: entries with a run on every task of the suite${panel.chance.length ? " that is not at chance" : ""}.`
        : `Ranked: entries with a run on ${panel.columns.length === 1 ? "the task that ranks" : `each of the ${panel.columns.length} tasks that rank`} the most scores${panel.student && ` of ${panel.student}`}.`) +
        " Settings of a method are folded under it and have no rank of their own.",
    columns.some((column) => column.atChance) &&
      `At chance: ${columns
        .filter((column) => column.atChance)
        .map(taskName)
        .join(", ")}. None of these models' methods that train is above the majority class there, at any K (one-sided t-tests over seeds, Holm, 0.05); such a task counts in no mean and no rank.`,
    panel?.rows.some((row) => row[2] === "same") &&
      "≈ 1: not distinguishable from the first by bench compare (the first is the best of several by its own score, so this is no proof of equality).",
    panel?.rows.some((row) => row[2] === "open") && "? too few seeds or pairs to tell it from the first.",
    panel?.critical !== null &&
      panel &&
      `Average ranks over ${plural(panel.ranked_tasks, "task")}: two that differ by less than ${fixed(panel.critical, 2)} (Nemenyi's critical difference, 0.05) are not significantly apart; Friedman's p that all are alike: ${panel.friedman < 0.001 ? "below 0.001" : fixed(panel.friedman, 3)}.`,
    panel?.why_no_ranks && `${panel.why_no_ranks.charAt(0).toUpperCase()}${panel.why_no_ranks.slice(1)}.`,
    now.columns.has("statistics") &&
      panel &&
      "Win rate: the share of tasks and other entries that it beats. Difference to the first with its 95 % interval, which is of one comparison alone: it may leave out 0 where the test, corrected for all comparisons, does not tell the two apart.",
    "A score opens its seeds, interval, settings and command. Bold is the best of a column, underlined the second.",
    columns.length > 0 &&
      cells.some((c) => c?.stale) &&
      "† made by an older version of the method's code: bench run --force redoes it",
    cells.some((c) => c?.codes) &&
      "¶ its runs were made by different versions of the method's code: bench run --force redoes them",
    cells.some((c) => c?.doubled?.length) && "§ a seed with several runs counts in no mean",
    cells.some((c) => c?.changed?.length) &&
      "(earlier …) made from another definition, rows, constants or defaults than today's: no answer to today's question",
    cells.some((c) => !c) && "– no run stored: bench run with that method and task",
    cells.some((c) => c?.failed) && "failed runs: bench run --retry-failed redoes them; the method's page says why",
    now.columns.has("loyalty") && "Loyalty is to the run of the method's own teacher, in hundredths.",
    now.columns.has("cost") &&
      "Cost is of one example on the machine that measured it (ms at batch 1); seconds are of a whole run: search, training, test.",
    (now.columns.has("loyalty") || now.columns.has("robustness") || now.columns.has("cost")) &&
      "Measured columns are means over the tasks shown that were measured.",
  ];
  return said.filter(Boolean).map((text) => h("li", {}, text));
}
