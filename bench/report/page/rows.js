// The rows of the leaderboard: a table, or on a phone a card for each method.

const SHOWN = 200;
let portion = { key: "", count: SHOWN };

function showRows(now, shown) {
  const key = JSON.stringify([now.suite.name, now.k, now.block && variant(now.block), now.model, now.filter]);
  if (portion.key !== key) portion = { key, count: SHOWN };
  const view = viewOf(now, shown);
  byId("board-caption").replaceChildren(...described(now, shown));
  byId("board-scroll").hidden = PHONE.matches;
  byId("cards").hidden = !PHONE.matches;
  if (PHONE.matches) showCards(view);
  else showTable(view);
  const total = shown.lines.length;
  const left = shown.ranked.length + shown.partial.length - portion.count;
  say("count", shown.shown === total ? plural(total, "row") : `${shown.shown} of ${plural(total, "row")} shown`);
  byId("more-rows").hidden = left <= 0;
  byId("more-rows").textContent = `Show more (${left})`;
}

function showMoreRows() {
  portion.count += SHOWN;
  showBoard();
}

function viewOf(now, shown) {
  const models = new Set(shown.lines.map((line) => line.student).filter(Boolean));
  const teachers = shown.lines.some((line) => line.teacher);
  const entrants = shown.ranked.filter((line) => !line.isBaseline);
  const compared = entrants.length ? entrants : shown.partial.filter((line) => !line.isBaseline);
  return {
    now,
    ...shown,
    extras: [ // of each: its name, the text of a line, and the numbers of a line by their names
      ...(now.columns.has("statistics") && shown.panel ? statistics(shown.panel) : []),
      ...measuredNames(shown.lines, [...now.columns]).map(measuredColumn),
    ],
    hasModels: models.size > 1 || teachers,
    count: usualCount(shown.lines),
    places: shown.columns.map((column, place) =>
      column.atChance ? new Map() : bestOf(compared, (line) => line.cells[place]?.mean),
    ),
  };
}

/** The number of seeds that most scores have. */
function usualCount(lines) {
  const counts = new Map();
  for (const { n } of lines.flatMap((line) => line.cells.filter((one) => one?.n))) counts.set(n, (counts.get(n) ?? 0) + 1);
  return [...counts].sort(([a, x], [b, y]) => y - x || b - a)[0]?.[0] ?? 0;
}

/** The place of each line by its value as shown: 1, 2, or nothing. */
function bestOf(lines, value) {
  const shown = lines.filter((line) => typeof value(line) === "number").map((line) => [line.id, fixed(value(line))]);
  const best = [...new Set(shown.map(([, text]) => Number(text.replace("\u2212", "-"))))].sort((a, b) => b - a);
  const at = (text) => best.indexOf(Number(text.replace("\u2212", "-"))) + 1;
  return new Map(shown.length > 1 ? shown.map(([id, text]) => [id, at(text)]) : []);
}

function statistics(panel) {
  const ranks = {
    name: "average rank",
    text: (line) => fixed(line.ranked?.averageRank),
    numbers: { "average rank": (line) => line.ranked?.averageRank },
  };
  return [
    {
      name: "to the first",
      sorted: false,
      text: differenceText,
      numbers: {
        "to the first": (line) => line.ranked?.difference,
        "to the first low": (line) => line.ranked?.low,
        "to the first high": (line) => line.ranked?.high,
        "to the first p": (line) => line.ranked?.p,
      },
    },
    {
      name: "win rate",
      text: (line) => (line.ranked?.winRate == null ? "–" : `${Math.round(line.ranked.winRate)} %`),
      numbers: { "win rate": (line) => line.ranked?.winRate },
    },
    ...(panel.critical === null ? [] : [ranks]),
  ];
}

function differenceText(line) {
  const { difference, low, high } = line.ranked ?? {};
  if (difference == null) return "–";
  const bounds = low == null ? "" : ` [${fixed(low)}, ${fixed(high)}]`;
  return `${fixed(difference)}${bounds}`;
}

function measuredColumn(name) {
  const digits = new Map(data.beyond.columns).get(name) ?? 0;
  const [what, recipe] = name.split(" (");
  return {
    name,
    head: what,
    below: recipe?.replace(")", ""),
    text: (line) => fixed(line.measured.get(name)?.mean, digits),
    numbers: { [name]: (line) => line.measured.get(name)?.mean },
  };
}

function showTable(view) {
  const { columns, now, extras, panel } = view;
  const head = h(
    "tr",
    {},
    h("th", { scope: "col", class: "rank" }, "#", unseen(" rank")),
    heading("method", "method", "", now),
    view.hasModels && heading("model", "model", "student < teacher", now),
    panel && heading("average", "average", "", now, "mean over the ranked tasks"),
    columns.map((c, place) => heading(taskName(c), c.task, columnNote(c), now, c.title, apart(columns, place))),
    extras.map((extra) =>
      extra.sorted === false
        ? h("th", { scope: "col", class: "number" }, extra.name)
        : heading(extra.name, extra.head ?? extra.name, extra.below, now),
    ),
  );
  byId("board").tHead.replaceChildren(head);
  const width = head.children.length;
  const [ranked, partial] = byId("board").tBodies;
  ranked.replaceChildren(...rowsOf(view.ranked.slice(0, portion.count), view));
  const rest = view.partial.slice(0, Math.max(0, portion.count - view.ranked.length));
  const rule = panel && rest.length > 0 && h("tr", {}, h("th", { class: "rule-row", colspan: width, scope: "rowgroup" }, h("span", {}, partialTitle(view))));
  partial.replaceChildren(...present([rule, rowsOf(rest, view)]));
}

function partialTitle({ panel }) {
  return panel.columns.length === 1 ? "Not ranked" : `Not ranked: without a run on some of the ${panel.columns.length} ranked tasks`;
}

function rowsOf(lines, view) {
  return lines.flatMap((line) => [
    tableRow(line, view, false),
    ...(line.isOpen ? line.variants.map((one) => tableRow(one, view, true)) : []),
  ]);
}

function columnNote(column) {
  const asked = [column.source, column.template && `+${column.template}`, column.mark].filter(Boolean).join(" ");
  return `${asked}\n${column.metric}${column.atChance ? "\nat chance" : ""}`.trim();
}

/** The class of a column at chance; the first of them stands behind a line. */
function apart(columns, place) {
  if (!columns[place].atChance) return "";
  return columns[place - 1]?.atChance ? " chance" : " chance first";
}

function heading(name, text, below, now, title, more = "") {
  const active = (now.sort || "average") === name;
  const names = name === "method" || name === "model";
  const turn = () => {
    go({ sort: name, order: active ? (now.up ? null : "up") : names ? "up" : null }); // names go up first, scores down
    [...byId("board").tHead.querySelectorAll("button")].find((b) => b.dataset.name === name)?.focus();
  };
  return h(
    "th",
    {
      scope: "col",
      class: names ? name : name === "average" ? "number average" : `number${more}`,
      "aria-sort": active ? (now.up ? "ascending" : "descending") : "none",
    },
    h("button", { type: "button", "data-name": name, title: title || null, onclick: turn }, text),
    below && h("small", {}, below),
  );
}

function tableRow(line, view, isVariant) {
  const kind = [line.isBaseline && "baseline", isVariant && "variant", line.ranked?.verdict === "first" && "leader"];
  return h(
    "tr",
    { class: kind.filter(Boolean).join(" ") || null },
    cell(rankText(line, isVariant), { class: `rank${isTop(line) ? " top" : ""}` }),
    methodHead(line, view, isVariant),
    view.hasModels && cell(modelText(line), { class: "model" }),
    view.panel && cell(line.average === null ? "–" : h("b", {}, fixed(line.average)), { class: "number average" }),
    line.cells.map((one, place) => scoreCell(line, one, place, view)),
    view.extras.map((extra) => {
      const text = extra.text(line);
      return cell(text, { class: text === "–" ? "number missing" : "number" });
    }),
  );
}

const isTop = (line) => line.ranked?.verdict === "first" || line.ranked?.verdict === "same";

function rankText(line, isVariant) {
  if (isVariant || !line.ranked) return line.isBaseline ? h("span", { class: "missing" }, "–", unseen(" baseline")) : "";
  const signs = { same: ["≈ 1", " not distinguishable from the first"], open: ["?", " too few seeds to tell it from the first"] };
  const [sign, said] = signs[line.ranked.verdict] ?? [];
  return [
    h("b", {}, String(line.ranked.rank)),
    sign && h("small", { title: said.trim() }, h("span", { "aria-hidden": "true" }, sign), unseen(said)),
  ];
}

function modelText(line) {
  return [
    h("bdi", {}, line.student || "–"),
    modelSizes.has(line.student) && h("span", { class: "size" }, ` ${fixed(modelSizes.get(line.student))} M`, unseen(" parameters")),
    line.teacher && h("small", {}, h("span", { "aria-hidden": "true" }, "< "), unseen(" taught by "), h("bdi", {}, line.teacher)),
  ];
}

function methodHead(line, view, isVariant) {
  return h(
    "th",
    { scope: "row", class: "method" },
    methodLink(line.method, breakable(line.label)),
    line.isBaseline && h("span", { class: "tag" }, "baseline"),
    !isVariant && line.variants.length > 0 && variantsButton(line, view.now),
  );
}

/** A name that may be cut after its signs. */
function breakable(text) {
  return text.split(/(?<=[:,=+])/).flatMap((part, number) => (number ? [h("wbr"), part] : [part]));
}

function variantsButton(line, now) {
  const toggle = () => {
    const open = new Set(now.open);
    if (!open.delete(line.group)) open.add(line.group);
    go({ open: [...open].join("\n") }, true);
    [...document.querySelectorAll(".variants")].find((b) => b.dataset.group === line.group)?.focus();
  };
  return h(
    "button",
    { type: "button", class: "variants", "data-group": line.group, "aria-expanded": String(line.isOpen), onclick: toggle },
    plural(line.variants.length, "setting"),
  );
}

const rankClass = (number) => (number === 1 ? " best" : number === 2 ? " second" : "");

function scoreCell(line, one, place, view) {
  const more = apart(view.columns, place);
  if (!one) return cell(["–", unseen(" no run")], { class: `number missing${more}` });
  const number = view.places[place].get(line.id);
  return cell(scoreButton(line, one, view.columns[place], view, number), { class: `number${rankClass(number)}${more}` });
}

function scoreButton(line, one, column, view, number) {
  const about = one.low === null ? "" : `95 % interval ${fixed(one.low)} to ${fixed(one.high)}, `;
  return h(
    "button",
    {
      type: "button",
      class: "score",
      title: `${about}${plural(one.n, "seed")}`,
      "aria-haspopup": "dialog",
      onclick: () => go({ cell: cellName(line, column) }),
    },
    scoreParts(one, view, number),
  );
}

function scoreParts(one, view, number) {
  return [
    one.mean !== null && [
      h("b", {}, fixed(one.mean), number === 1 && unseen(" (best)"), number === 2 && unseen(" (second)")),
      one.std !== null && one.n > 1 && h("small", {}, ` ±${fixed(one.std)}`),
      one.stale > 0 && h("sup", { title: "older code" }, "†", unseen(" stale")),
      one.codes && h("sup", { title: "different versions of the code" }, "¶"),
      one.n !== view.count && h("small", { class: "n" }, ` (${one.n})`),
    ],
    one.doubled.length > 0 && h("sup", { title: one.doubled.join("; ") }, "§"),
    one.failed > 0 && h("small", { class: "failed" }, ` ${one.failed} failed`),
  ];
}

/** A card for each method, for screens that are too narrow for a table. */
function showCards(view) {
  const cards = (lines) => h("ol", { class: "cards" }, lines.map((line) => h("li", {}, card(line, view))));
  const rest = view.partial.slice(0, Math.max(0, portion.count - view.ranked.length));
  replace(
    "cards",
    h("p", { class: "caption" }, described(view.now, view)),
    cards(view.ranked.slice(0, portion.count)),
    view.panel && rest.length > 0 && h("h3", { class: "rule-title" }, partialTitle(view)),
    rest.length > 0 && cards(rest),
  );
}

function card(line, view) {
  const tag =
    line.ranked?.verdict === "same"
      ? "not distinguishable from the first"
      : line.ranked?.verdict === "open"
        ? "too few seeds to tell it from the first"
        : line.isBaseline
          ? "baseline"
          : null;
  const scores = line.cells.map((one, place) => one && [view.columns[place], one, view.places[place].get(line.id)]);
  const extras = view.extras.map((extra) => [extra.name, extra.text(line)]).filter(([, text]) => text !== "–");
  return h(
    "article",
    { class: isTop(line) ? "card top" : "card" },
    h(
      "header",
      {},
      line.ranked && h("span", { class: "place" }, h("span", { class: "unseen" }, "rank "), String(line.ranked.rank)),
      h("h3", {}, methodLink(line.method, breakable(line.label))),
      line.average !== null && h("span", { class: "big" }, fixed(line.average)),
    ),
    h("p", {}, line.student && modelText(line), tag && h("span", { class: "tag" }, tag)),
    h(
      "dl",
      {},
      scores
        .filter(Boolean)
        .map(([column, one, number]) =>
          h(
            "div",
            column.atChance ? { class: "chance" } : {},
            h("dt", {}, taskName(column), column.atChance && h("small", {}, " at chance")),
            h("dd", {}, scoreButton(line, one, column, view, number)),
          ),
        ),
      extras.map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, text))),
    ),
    line.variants?.length > 0 && variantsButton(line, view.now),
    line.isOpen && h("ul", { class: "settings" }, line.variants.map((one) => h("li", {}, methodLink(one.method, one.label), ` ${fixed(one.average)}`))),
  );
}
