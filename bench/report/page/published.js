// Numbers printed in papers, on a tab of their own: they are of other backbones, splits and code.

const LESS_IS_BETTER = new Set(["parameters_m", "train_minutes", "peak_memory_gb"]);

const spaced = (name) => name.replaceAll("_", " ");

function showPublished() {
  const asked = selection();
  const all = data.published;
  const choices = (value) => [...new Set(all.map(value))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const fill = (id, names, selected, any) => replace(id, named([["", any], ...names.map((name) => [name, name || "none"])], selected));
  fill("published-paper", choices((row) => row.paper), asked.paper ?? "", "all papers");
  fill("published-backbone", choices((row) => row.backbone).filter(Boolean), asked.backbone ?? "", "all backbones");
  fill("published-k", choices((row) => row.k).filter(Boolean), asked.pk ?? "", "any");
  const metrics = [...new Set(all.flatMap((row) => row.cells.map(([, metric]) => metric)))].sort();
  const metric = metrics.includes(asked.metric) || asked.metric === "all" ? asked.metric : "";
  const usual = [["", "each task's own"], ["all", "all metrics"]];
  replace("published-metric", named([...usual, ...metrics.map((name) => [name, spaced(name)])], metric));
  const isWanted = ([, name, , , , , , isHeadline]) => metric === "all" || (metric ? name === metric : isHeadline);
  const wanted = [["paper", asked.paper], ["backbone", asked.backbone], ["k", asked.pk]].filter(([, value]) => value);
  const rows = all
    .filter((row) => wanted.every(([name, value]) => row[name] === value))
    .map((row) => ({ ...row, cells: row.cells.filter(isWanted) }))
    .filter((row) => row.cells.length);
  const tables = new Map();
  for (const row of rows) {
    const key = `${row.paper}\n${row.table}`;
    tables.set(key, [...(tables.get(key) ?? []), row]);
  }
  replace("published-count", plural(rows.length, "row"), ` of ${plural(tables.size, "table")}`);
  const notes = new Map();
  replace(
    "published-tables",
    [...tables.values()].map((group) => printedTable(group, notes)),
    notes.size > 0 && h("ul", { class: "footnotes notes" }, [...notes].map(([text, n]) => h("li", {}, `[${n}] ${text}`))),
  );
}

function printedTable(group, notes) {
  const [{ paper, table, address }] = group;
  const heads = new Map(group.flatMap((row) => row.cells.map(([task, metric]) => [`${task}\n${metric}`, [task, metric]])));
  const id = `printed-${paper}-${table}`.replace(/[^\w.-]+/g, "-");
  const best = [...heads].map(([key, [, metric]]) =>
    LESS_IS_BETTER.has(metric) ? null : Math.max(...group.map((row) => printedCell(row, key)?.[2] ?? -Infinity)),
  );
  return h(
    "div",
    {},
    h("h3", { id }, h("bdi", {}, paper), `, Table ${table}`),
    h(
      "p",
      { class: "table-links" },
      address && h("a", { href: address, rel: "noreferrer" }, "read the paper"),
      hasOwn(data.pages.papers, paper) && h("a", { href: data.pages.papers[paper] }, "all its numbers, and what can be made here"),
    ),
    h(
      "div",
      { class: "scroll", role: "region", "aria-labelledby": id, tabindex: 0 },
      h(
        "table",
        { class: "printed-table" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", { scope: "col" }, "as printed"),
            ["backbone", "K", "here"].map((name) => h("th", { scope: "col" }, name)),
            [...heads.values()].map(([task, metric]) => h("th", { scope: "col", class: "number" }, h("bdi", {}, task), h("small", {}, spaced(metric)))),
          ),
        ),
        h("tbody", {}, group.map((row) => printedRow(row, [...heads.keys()], best, notes))),
      ),
    ),
  );
}

const printedCell = (row, key) => row.cells.find(([task, metric]) => `${task}\n${metric}` === key);

function printedRow(row, keys, best, notes) {
  const footnote = (note) => {
    if (!notes.has(note)) notes.set(note, notes.size + 1);
    return h("sup", {}, `[${notes.get(note)}]`);
  };
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, h("bdi", {}, row.label)),
    cell(h("bdi", {}, row.backbone || "–")),
    cell(h("bdi", {}, row.k || "–")),
    cell(row.method ? methodLink(row.method.split(":")[0], row.method) : "–"),
    keys.map((key, place) => {
      const found = printedCell(row, key);
      if (!found) return cell(["–", unseen(" not printed")], { class: "number missing" });
      const [, , mean, std, , note] = found;
      return cell(
        [h("b", {}, fixed(mean, Math.abs(mean) < 1 ? 3 : 1)), std !== null && h("small", {}, ` ±${fixed(std)}`), note && footnote(note)],
        { class: `number${mean === best[place] ? " best" : ""}` },
      );
    }),
  );
}
