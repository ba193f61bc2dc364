// What was measured of one task's runs beyond the score: loyalty to the teacher, robustness, cost.

function showBeyond(now, column, at, lines) {
  const block = data.blocks.indexOf(now.block);
  const known = new Map(
    data.beyond.cells.filter(([b, , c]) => b === block && c === column?.id).map(([, row, , values]) => [row, values]),
  );
  const some = lines.filter((line) => !line.paper && known.has(line.id));
  byId("beyond").hidden = some.length === 0;
  if (!some.length) return;
  const shown = data.beyond.columns
    .map(([name, digits], place) => ({ name, digits, place }))
    .filter(({ place }) => some.some((line) => known.get(line.id)[place]));
  replace(
    "beyond-caption",
    h("bdi", {}, taskName(column)),
    ` · K = ${now.k} · ${now.block.protocol} · means over split seeds, (n) where fewer runs have one`,
  );
  const heads = shown.map(({ name }) => {
    const [what, recipe] = name.split(" (");
    return h("th", { scope: "col", class: "number" }, what, recipe && h("small", {}, recipe.replace(")", "")));
  });
  const table = byId("beyond-table");
  table.tHead.replaceChildren(
    h("tr", {}, h("th", { scope: "col" }, "method"), h("th", { scope: "col", class: "number" }, "score"), heads),
  );
  table.tBodies[0].replaceChildren(
    ...some.map((line) => {
      const one = line.cells[at];
      return h(
        "tr",
        {},
        h(
          "th",
          { scope: "row" },
          methodLink(line.method, line.label),
          line.student && h("small", {}, h("bdi", {}, line.student)),
        ),
        cell(fixed(one?.mean), { class: "number" }),
        shown.map(({ digits, place }) => measured(known.get(line.id)[place], digits, one)),
      );
    }),
  );
}

function measured(value, digits, one) {
  if (!value) return cell(["–", unseen(" not measured")], { class: "number missing" });
  const [mean, n] = value;
  return cell([fixed(mean, digits), n !== one?.n && h("small", { class: "n" }, ` (${n})`)], { class: "number" });
}
