// Which part is shown, and what the controls do.

const VIEWS = {
  board: showBoard,
  published: showPublished,
  methods: showMethods,
  method: showMethod,
  about: showAbout,
};
const title = document.title;

function render() {
  const { view } = selection();
  const shown = Object.keys(VIEWS).includes(view) ? view : "board";
  for (const name of Object.keys(VIEWS)) byId(`${name}-view`).hidden = name !== shown;
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.hash === `#view=${shown === "method" ? "methods" : shown}`;
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (shown !== "board" && byId("cell").open) byId("cell").close();
  VIEWS[shown]();
  const heading = byId(`${shown}-title`).textContent;
  document.title = shown === "board" ? title : `${heading} · ${title}`;
  return shown;
}

function showAbout() {
  const environments = new Map();
  for (const run of runs) environments.set(run.environment, (environments.get(run.environment) ?? 0) + 1);
  replace(
    "about",
    h("h3", {}, "How to read them"),
    h(
      "ul",
      {},
      [
        "A run is one task, method, student, K and split seed; its settings are chosen on the dev set and it is tested once.",
        "Scores are the task's headline metric × 100; ± is the standard deviation over split seeds, with the protocol's ddof.",
        "Entries are ranked by their mean over tasks that all of them were run on; who lacks one stands below a line.",
        "Whether an entry is distinguishable from the first is decided by the paired tests of bench compare, over split seeds and, where test labels are at hand, test items, with Holm's correction.",
        "Runs of different K, protocol, limit or test set stand in different tables or columns, and no mean goes across them.",
        "† marks runs of an older version of a method's code. Failed runs are counted, never left out.",
      ].map((text) => h("li", {}, text)),
    ),
    Object.keys(data.models).length > 0 && [
      h("h3", {}, "Models"),
      pairs(Object.entries(data.models).map(([name, { parameters, what }]) => [name, `${fixed(parameters)} M parameters: ${what}`])),
    ],
    h("h3", {}, "Protocols"),
    pairs([...new Set(data.blocks.map(protocolName))].map((name) => [name, protocolTitle(name)])),
    h("h3", {}, "Where they were made"),
    [...environments]
      .sort((a, b) => b[1] - a[1])
      .map(([number, count]) => {
        const { packages, ...rest } = data.values[number];
        return h(
          "details",
          { open: environments.size === 1 },
          h(
            "summary",
            {},
            `${plural(count, "run")}: ${short(rest.device)}, ${plural(rest.threads ?? 0, "thread")}, commit ${String(rest.commit ?? "unknown").slice(0, 8)}`,
          ),
          pairs(Object.entries({ ...rest, ...packages }).map(([name, value]) => [name, short(value)])),
        );
      }),
    data.damaged.length > 0 && [
      h("h3", {}, "Damaged files, left out"),
      h(
        "ul",
        { class: "warning" },
        data.damaged.map((text) => h("li", {}, text)),
      ),
    ],
  );
}

function showSummary() {
  const count = (what) => new Set(runs.map(what)).size;
  const failed = runs.filter((run) => run.status === "failed").length;
  const stale = runs.filter((run) => run.stale).length;
  replace(
    "summary",
    `${plural(runs.length, "run")} of ${plural(
      count((run) => run.method),
      "method",
    )} on ${plural(
      count((run) => run.task),
      "task",
    )}`,
    stale > 0 && `, ${stale.toLocaleString("en")} by an older version of the method's code (†)`,
    failed > 0 && `, ${failed} failed`,
    data.damaged.length > 0 && `, ${plural(data.damaged.length, "damaged file")} left out`,
    ".",
    data.short > 0 &&
      ` Of more than ${data.short.toLocaleString("en")} runs, trials, warnings and details are left out: each run leads to its record.`,
  );
  replace(
    "made",
    `Made by fewbench ${data.version}: `,
    h("code", {}, "bench leaderboard"),
    ". This file holds all it shows and asks the network for nothing.",
  );
}

function onChange(id, changes) {
  byId(id).addEventListener("change", (event) => go(changes(event.target)));
}

onChange("k", ({ value }) => ({ k: value, protocol: null }));
for (const id of ["protocol", "model", "size", "since", "cost", "sort"])
  onChange(id, ({ value }) => ({ [id]: value, ...(id === "sort" ? { order: value === "method" ? "up" : null } : {}) }));
for (const id of ["figure-task", "curve-task"]) onChange(id, ({ value }) => ({ task: value }));
onChange("all-tasks", ({ checked }) => ({ tasks: checked ? "all" : null }));
onChange("earlier", ({ checked }) => ({ rows: checked ? "all" : null }));
for (const name of Object.keys(SWITCHES))
  onChange(`show-${name}`, ({ checked }) => {
    const { columns } = chosen();
    if (checked) columns.add(name);
    else columns.delete(name);
    return { columns: [...columns].join(" ") || "none" };
  });
for (const [id, name] of [["published-paper", "paper"], ["published-backbone", "backbone"], ["published-k", "pk"], ["published-metric", "metric"]])
  onChange(id, ({ value }) => ({ [name]: value }));
byId("filter").addEventListener("input", (event) => go({ filter: event.target.value }, true));
for (const form of document.forms) form.addEventListener("submit", (event) => event.preventDefault());
for (const ending of Object.keys(FORMATS)) byId(`as-${ending}`).addEventListener("click", () => download(ending));
byId("more-rows").addEventListener("click", showMoreRows);
byId("cell").addEventListener("close", () => {
  if (selection().cell) go({ cell: null });
});
byId("cell-close").addEventListener("click", () => byId("cell").close());
byId("published-link").hidden = data.published.length === 0;
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});
addEventListener("popstate", () => {
  const shown = render();
  if (shown === "board") return;
  byId(`${shown}-title`).focus();
  scrollTo(0, 0);
});
addEventListener("resize", () => {
  if (!byId("board-view").hidden) showFigures(chosen(), table(chosen()));
});
PHONE.addEventListener("change", () => {
  if (!byId("board-view").hidden) showBoard();
});
showSummary();
render();
