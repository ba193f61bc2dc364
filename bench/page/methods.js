// The list of methods, and a page for each: paper, settings, runs and their trials.

const MANY = 200;

function ran(name) {
  return runs.filter((run) => run.method === name);
}

/** A name that leads to the method's page, if there is one. */
function methodLink(name, text = name) {
  const shown = h("bdi", {}, text);
  return hasOwn(data.methods, name) || ran(name).length ? h("a", { href: methodAddress(name) }, shown) : shown;
}

function showMethods() {
  const names = [...new Set([...Object.keys(data.methods), ...runs.map((run) => run.method)])].sort();
  const numeric = ["runs", "tasks"];
  replace("methods", heads(["method", "what it does", "paper", ...numeric], numeric), h("tbody", {}, names.map((name) => {
    const mine = ran(name);
    const info = hasOwn(data.methods, name) ? data.methods[name] : {};
    return h("tr", {},
      h("th", { scope: "row" }, methodLink(name)),
      cell(info.summary ?? "not installed where this page was made", { class: "prose" }), cell(info.paper ?? "", { class: "prose" }),
      cell(mine.length || "–", { class: "number" }), cell(new Set(mine.map((run) => run.task)).size || "–", { class: "number" }));
  })));
}

function showMethod() {
  const asked = selection();
  const name = asked.method ?? "";
  const info = hasOwn(data.methods, name) ? data.methods[name] : null;
  replace("method-title", h("bdi", {}, name));
  if (!info && !ran(name).length) {
    replace("method", h("p", {}, "There is no method of this name here."));
    return;
  }
  replace("method", h("p", {}, h("a", { href: address({ view: "methods", method: null }) }, "All methods")),
    info ? about(info, name) : h("p", { class: "notice" }, "This method was not installed where this page was made."), runsOf(name, asked));
}

function about(info, name) {
  const mine = ran(name);
  const stale = mine.filter((run) => run.stale).length;
  return [
    h("p", { class: "lead" }, info.summary),
    pairs([
      ["Paper", info.paper],
      ["Needs", info.needs.join(", ")],
      ["Tasks", info.kinds.join(", ")],
      ["Models", info.backbones.join(", ")],
      ["Code", info.code && `${info.code}${stale ? `; ${stale} of ${plural(mine.length, "run")} stale: made by older code` : ""}`],
      ["Label words", labelWords(mine)],
      ["Cost of a run", cost(mine)],
    ]),
    settingsTable(info),
    presets(info),
  ];
}

/** The median time and memory of whole runs, as their records have them. */
function cost(mine) {
  const median = (name) => {
    const known = mine.map((run) => run[name]).filter((value) => typeof value === "number").sort((a, b) => a - b);
    return known.length ? (known[(known.length - 1) >> 1] + known[known.length >> 1]) / 2 : null;
  };
  const [seconds, memory] = [median("seconds"), median("memory")];
  return seconds !== null && `${fixed(seconds)} s${memory === null ? "" : `, ${fixed(memory, 0)} MiB at the peak`} (medians over ${plural(mine.length, "run")}; search and test together)`;
}

/** The label words that runs used, by task; those of several runs alike once. */
function labelWords(mine) {
  const used = new Map();
  for (const run of mine) {
    const words = data.values[run.details]?.label_words;
    if (words) used.set(`${run.task} ${short(words)}`, [run.task, short(words)]);
  }
  const all = [...used.values()].sort();
  return all.length && h("details", {}, h("summary", {}, plural(all.length, "set")), h("ul", {}, all.map(([task, words]) => h("li", {}, task, ": ", h("bdi", {}, words)))));
}

function settingsTable(info) {
  if (!info.settings.length) return h("p", {}, "No settings.");
  return h("div", { class: "scroll", role: "region", "aria-label": "Settings", tabindex: 0 }, h("table", {}, caption("Settings"),
    heads(["setting", "type", "default", "searched"]),
    h("tbody", {}, info.settings.map(([name, type, value, searched]) =>
      h("tr", {}, h("th", { scope: "row" }, name), cell(h("code", {}, type)), cell(h("code", {}, value)), cell(searched || "–"))))));
}

function presets(info) {
  const all = Object.entries(info.presets);
  return all.length > 0 && h("details", {}, h("summary", {}, plural(all.length, "preset")), pairs(all.map(([name, preset]) => [name, short(preset)])));
}

const wantedOf = { task: (run) => run.task, k: (run) => String(run.k), protocol: (run) => variant(data.blocks[run.block]),
  row: (run) => data.rows[run.row].label, student: (run) => data.rows[run.row].student };

function runsOf(name, asked) {
  const limits = Object.keys(wantedOf).filter((key) => asked[key] !== undefined && asked[key] !== "");
  const all = ran(name);
  const shown = all.filter((run) => limits.every((key) => wantedOf[key](run) === asked[key]));
  if (!all.length) return h("p", { class: "notice" }, "No run of it is stored.");
  const numeric = ["K", "seed", "dev", "test", "seconds", "MiB"];
  const body = h("tbody");
  const more = h("button", { type: "button", class: "more", onclick: () => grow() });
  let drawn = 0;
  const grow = () => {
    body.append(...shown.slice(drawn, drawn + MANY).map(runRow).flat());
    drawn = Math.min(shown.length, drawn + MANY);
    more.hidden = drawn === shown.length;
    more.textContent = `Show more (${shown.length - drawn})`;
  };
  grow();
  return [
    h("h3", { id: "runs-title" }, "Runs"),
    limits.length > 0 && h("p", {}, `${shown.length} of ${plural(all.length, "run")}: ${limits.map((key) => asked[key]).join(" · ")}. `,
      h("a", { href: methodAddress(name) }, "All its runs")),
    h("div", { class: "scroll", role: "region", "aria-labelledby": "runs-title", tabindex: 0 },
      h("table", { id: "runs" }, caption("Scores × 100 by the task's headline metric; settings are those chosen on dev."),
        heads(["run", "task", ...numeric.slice(0, 2), "protocol", "student", ...numeric.slice(2), "settings"], numeric), body)),
    more,
  ];
}

function runRow(run) {
  const detail = h("tr", { id: `more-${run.key}`, class: "detail", hidden: true });
  const toggle = h("button", { type: "button", "aria-expanded": "false", "aria-controls": detail.id, onclick: () => {
    const open = detail.hidden;
    if (open && !detail.firstChild) detail.append(h("td", { colspan: 11 }, details(run)));
    detail.hidden = !open;
    toggle.setAttribute("aria-expanded", String(open));
  } }, run.key.slice(0, 8));
  const status = run.status === "failed" ? h("span", { class: "tag failed" }, "failed") : run.stale ? h("span", { class: "tag" }, "stale") : null;
  const { student } = data.rows[run.row];
  return [h("tr", {}, h("th", { scope: "row" }, toggle, status), cell(h("bdi", {}, run.task)), ...[run.k, run.seed].map((n) => cell(n, { class: "number" })),
    cell(variant(data.blocks[run.block])), cell(h("bdi", {}, student || "–")), ...[fixed(run.dev), fixed(run.test), fixed(run.seconds), fixed(run.memory, 0)].map((text) => cell(text, { class: "number" })),
    cell(h("bdi", {}, short(data.values[run.settings]) || "–"), { class: "prose" })), detail];
}

function details(run) {
  const { packages, ...environment } = data.values[run.environment] ?? {};
  const told = Object.entries(data.values[run.details] ?? {}).map(([name, value]) => [name.replaceAll("_", " "), h("bdi", {}, short(value))]);
  const measured = run.measured === null ? [] : Object.entries(data.values[run.measured]).map(([name, scores]) => [name, short(scores)]);
  return [
    run.error && h("p", { class: "warning" }, `Failed: ${run.error}`),
    run.warnings.length > 0 && h("ul", { class: "warning" }, run.warnings.map((text) => h("li", {}, text))),
    pairs([["Record", [h("a", { href: run.file }, decodeURIComponent(run.file.split("/").at(-1))), h("code", {}, ` bench show ${run.key.slice(0, 8)}`)]],
      ...told, ...measured, ["environment", short(environment)], ["packages", short(packages ?? "")]]),
    trials(run),
  ];
}

function trials(run) {
  if (run.trials.length < 2) return null;
  return h("table", { class: "trials" }, caption(`${run.trials.length} trials; the best on dev is tested`),
    heads(["settings", "dev", "step", "seed"], ["dev", "step", "seed"]),
    h("tbody", {}, run.trials.map(([settings, dev, step, seed], number) => h("tr", { class: number === run.chosen ? "chosen" : null },
      h("th", { scope: "row" }, short(data.values[settings]) || "–", number === run.chosen && h("span", { class: "tag" }, "chosen")),
      ...[fixed(dev), short(step), seed].map((text) => cell(text, { class: "number" }))))));
}
