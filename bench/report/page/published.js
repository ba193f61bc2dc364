// Numbers printed in papers, on a tab of their own: they are of other backbones, splits and code.

function showPublished() {
  const asked = selection();
  const all = data.published;
  const choices = (value) => [...new Set(all.map(value))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const fill = (id, names, selected, any) => replace(id, named([["", any], ...names.map((name) => [name, name || "none"])], selected));
  fill("published-paper", choices((row) => row.paper), asked.paper ?? "", "all papers");
  fill("published-backbone", choices((row) => row.backbone).filter(Boolean), asked.backbone ?? "", "all backbones");
  fill("published-k", choices((row) => row.k).filter(Boolean), asked.pk ?? "", "any");
  const wanted = [["paper", asked.paper], ["backbone", asked.backbone], ["k", asked.pk]].filter(([, value]) => value);
  const rows = all.filter((row) => wanted.every(([name, value]) => row[name] === value));
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
  const id = `printed-${data.published.indexOf(group[0])}`;
  const best = [...heads.keys()].map((key) => Math.max(...group.map((row) => printedCell(row, key)?.[2] ?? -Infinity)));
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
            [...heads.values()].map(([task, metric]) => h("th", { scope: "col", class: "number" }, h("bdi", {}, task), h("small", {}, metric))),
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
        [h("b", {}, fixed(mean)), std !== null && h("small", {}, ` ±${fixed(std)}`), note && footnote(note)],
        { class: `number${mean === best[place] ? " best" : ""}` },
      );
    }),
  );
}
