// The runs of a method: a line each, which opens to label words, environment, trials and the record.

const MANY = 200;

const wantedOf = {
  task: (run) => taskName(data.columns[run.column]),
  k: (run) => String(run.k),
  protocol: (run) => variant(data.blocks[run.block]),
  row: (run) => data.rows[run.row].label,
  student: (run) => data.rows[run.row].student,
};

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
    body.append(
      ...shown
        .slice(drawn, drawn + MANY)
        .map(runRow)
        .flat(),
    );
    drawn = Math.min(shown.length, drawn + MANY);
    more.hidden = drawn === shown.length;
    more.textContent = `Show more (${shown.length - drawn})`;
  };
  grow();
  return [
    h("h3", { id: "runs-title" }, "Runs"),
    limits.length > 0 &&
      h(
        "p",
        {},
        `${shown.length} of ${plural(all.length, "run")}: ${limits.map((key) => asked[key]).join(" · ")}. `,
        h("a", { href: methodAddress(name) }, "All its runs"),
      ),
    h(
      "div",
      { class: "scroll", role: "region", "aria-labelledby": "runs-title", tabindex: 0 },
      h(
        "table",
        { id: "runs" },
        caption("Scores × 100 by the task's headline metric; settings are those chosen on dev."),
        heads(["run", "task", ...numeric.slice(0, 2), "protocol", "student", ...numeric.slice(2), "settings"], numeric),
        body,
      ),
    ),
    more,
  ];
}

function runRow(run) {
  const detail = h("tr", { id: `more-${run.key}`, class: "detail", hidden: true });
  const toggle = h(
    "button",
    {
      type: "button",
      "aria-expanded": "false",
      "aria-controls": detail.id,
      onclick: () => {
        const open = detail.hidden;
        if (open && !detail.firstChild) detail.append(h("td", { colspan: 11 }, details(run)));
        detail.hidden = !open;
        toggle.setAttribute("aria-expanded", String(open));
      },
    },
    run.key.slice(0, 8),
  );
  const status =
    run.status === "failed"
      ? h("span", { class: "tag failed" }, "failed")
      : run.stale
        ? h("span", { class: "tag" }, "stale")
        : null;
  const { student } = data.rows[run.row];
  return [
    h(
      "tr",
      {},
      h("th", { scope: "row" }, toggle, status),
      cell(h("bdi", {}, run.task)),
      ...[run.k, run.seed].map((n) => cell(n, { class: "number" })),
      cell(variant(data.blocks[run.block])),
      cell(h("bdi", {}, student || "–")),
      ...[fixed(run.dev), fixed(run.test), fixed(run.seconds), fixed(run.memory, 0)].map((text) =>
        cell(text, { class: "number" }),
      ),
      cell(h("bdi", {}, short(data.values[run.settings]) || "–"), { class: "prose" }),
    ),
    detail,
  ];
}

function details(run) {
  const { packages, ...environment } = data.values[run.environment] ?? {};
  const told = Object.entries(data.values[run.details] ?? {}).map(([name, value]) => [
    name.replaceAll("_", " "),
    h("bdi", {}, short(value)),
  ]);
  const measured =
    run.measured === null
      ? []
      : Object.entries(data.values[run.measured]).map(([name, scores]) => [name, short(scores)]);
  return [
    run.error && h("p", { class: "warning" }, `Failed: ${run.error}`),
    run.warnings.length > 0 &&
      h(
        "ul",
        { class: "warning" },
        run.warnings.map((text) => h("li", {}, text)),
      ),
    pairs([
      [
        "Record",
        [h("a", { href: run.file }, run.file.split("/").at(-1)), h("code", {}, ` bench show ${run.key.slice(0, 8)}`)],
      ],
      ...told,
      ...measured,
      ["environment", short(environment)],
      ["packages", short(packages ?? "")],
    ]),
    trials(run),
  ];
}

function trials(run) {
  if (run.trials.length < 2) return null;
  return h(
    "table",
    { class: "trials" },
    caption(`${run.trials.length} trials; the best on dev is tested`),
    heads(["settings", "dev", "step", "seed"], ["dev", "step", "seed"]),
    h(
      "tbody",
      {},
      run.trials.map(([settings, dev, step, seed], number) =>
        h(
          "tr",
          { class: number === run.chosen ? "chosen" : null },
          h(
            "th",
            { scope: "row" },
            short(data.values[settings]) || "–",
            number === run.chosen && h("span", { class: "tag" }, "chosen"),
          ),
          ...[fixed(dev), short(step), seed].map((text) => cell(text, { class: "number" })),
        ),
      ),
    ),
  );
}
