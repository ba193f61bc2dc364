// The list of methods, and a page for each: paper, settings, label words, cost, and its runs (runs.js).

function ran(name) {
  return runs.filter((run) => run.method === name);
}

/** A name that leads to the method's page, if there is one. */
function methodLink(name, text = name) {
  const shown = h("bdi", {}, text);
  const title = hasOwn(data.methods, name) ? data.methods[name].summary : null;
  return title !== null || ran(name).length ? h("a", { href: methodAddress(name), title }, shown) : shown;
}

function showMethods() {
  const names = [...new Set([...Object.keys(data.methods), ...runs.map((run) => run.method)])].sort();
  const numeric = ["runs", "tasks"];
  replace(
    "methods",
    heads(["method", "what it does", "paper", ...numeric], numeric),
    h(
      "tbody",
      {},
      names.map((name) => {
        const mine = ran(name);
        const info = hasOwn(data.methods, name) ? data.methods[name] : {};
        return h(
          "tr",
          {},
          h("th", { scope: "row" }, methodLink(name, breakable(name))),
          cell(info.summary ?? "not installed where this page was made", { class: "prose" }),
          cell(info.paper ?? "", { class: "prose" }),
          cell(mine.length || "–", { class: "number" }),
          cell(new Set(mine.map((run) => run.task)).size || "–", { class: "number" }),
        );
      }),
    ),
  );
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
  replace(
    "method",
    h(
      "p",
      {},
      h("a", { href: address({ view: "methods", method: null }) }, "All methods"),
      hasOwn(data.pages.methods, name) && [
        " · ",
        h("a", { href: data.pages.methods[name] }, "its page: equations, settings, evidence, BibTeX"),
      ],
    ),
    info ? about(info, name) : h("p", { class: "notice" }, "This method was not installed where this page was made."),
    runsOf(name, asked),
  );
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
      [
        "Code",
        info.code &&
          `${info.code}${stale ? `; ${stale} of ${plural(mine.length, "run")} stale: made by older code` : ""}`,
      ],
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
    const known = mine
      .map((run) => run[name])
      .filter((value) => typeof value === "number")
      .sort((a, b) => a - b);
    return known.length ? (known[(known.length - 1) >> 1] + known[known.length >> 1]) / 2 : null;
  };
  const [seconds, memory] = [median("seconds"), median("memory")];
  return (
    seconds !== null &&
    `${fixed(seconds)} s${memory === null ? "" : `, ${fixed(memory, 0)} MiB at the peak`} (medians over ${plural(mine.length, "run")}; search and test together)`
  );
}

/** The label words that runs used, by task; those of several runs alike once. */
function labelWords(mine) {
  const used = new Map();
  for (const run of mine) {
    const words = data.values[run.details]?.label_words;
    if (words) used.set(`${run.task} ${short(words)}`, [run.task, short(words)]);
  }
  const all = [...used.values()].sort();
  return (
    all.length &&
    h(
      "details",
      {},
      h("summary", {}, plural(all.length, "set")),
      h(
        "ul",
        {},
        all.map(([task, words]) => h("li", {}, task, ": ", h("bdi", {}, words))),
      ),
    )
  );
}

function settingsTable(info) {
  if (!info.settings.length) return h("p", {}, "No settings.");
  return h(
    "div",
    { class: "scroll", role: "region", "aria-label": "Settings", tabindex: 0 },
    h(
      "table",
      {},
      caption("Settings"),
      heads(["setting", "default", "may be", "searched"]),
      h(
        "tbody",
        {},
        info.settings.map(([name, value, allowed, searched]) =>
          h(
            "tr",
            {},
            h("th", { scope: "row" }, name),
            cell(h("code", {}, value)),
            cell(allowed),
            cell(searched || "–"),
          ),
        ),
      ),
    ),
  );
}

function presets(info) {
  const all = Object.entries(info.presets);
  return (
    all.length > 0 &&
    h(
      "details",
      {},
      h("summary", {}, plural(all.length, "preset")),
      pairs(all.map(([typed, settings]) => [h("code", {}, typed), h("code", {}, settings)])),
    )
  );
}
