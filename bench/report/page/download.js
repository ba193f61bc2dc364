// The view as CSV, LaTeX or Markdown.

const FORMATS = { csv: toCsv, tex: toLatex, md: toMarkdown };

function download(ending) {
  const now = chosen();
  const view = viewOf(now, table(now));
  const text = FORMATS[ending](view);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  link.download = `leaderboard-${now.suite.name}-k${now.k}.${ending}`.replace(/[^\w.-]+/g, "-");
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function linesInOrder(view) {
  return [...view.ranked, ...view.partial].flatMap((line) => [line, ...(line.isOpen ? line.variants : [])]);
}

function toCsv(view) {
  const heads = ["rank", "from_first", "method", "student", "teacher", "average"];
  const tasks = view.columns.flatMap((c) => [taskName(c), `${taskName(c)} std`, `${taskName(c)} n`]);
  const numbers = view.extras.flatMap((extra) => Object.entries(extra.numbers));
  const number = (value) => (value === null || value === undefined ? "" : String(value));
  const rows = linesInOrder(view).map((line) => [
    number(line.ranked?.rank),
    line.ranked?.verdict ?? (line.isBaseline ? "baseline" : "not ranked"),
    line.label,
    line.student,
    line.teacher,
    number(line.average),
    ...line.cells.flatMap((c) => [number(c?.mean), number(c?.std), number(c?.n)]),
    ...numbers.map(([, value]) => number(value(line))),
  ]);
  const all = [[...heads, ...tasks, ...numbers.map(([name]) => name)], ...rows];
  return all.map((row) => row.map(csvField).join(",")).join("\r\n") + "\r\n";
}

/** A field that a spreadsheet does not take for a formula. */
function csvField(text) {
  const safe = /^[=+@\t\r]|^-(?!\d)/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Heads and rows of texts, as tables for people have them; escape makes text safe there, score sets one. */
function textTable(view, escape, score) {
  const heads = ["#", "method", ...(view.hasModels ? ["model"] : []), ...(view.panel ? ["average"] : [])];
  const rows = linesInOrder(view).map((line) => [
    line.ranked ? String(line.ranked.rank) : "",
    escape(line.label),
    ...(view.hasModels ? [escape([line.student || "–", line.teacher].filter(Boolean).join(" < "))] : []),
    ...(view.panel ? [escape(fixed(line.average))] : []),
    ...line.cells.map((c, place) => score(c, view.places[place].get(line.id))),
    ...view.extras.map((extra) => escape(extra.text(line))),
  ]);
  return [[...heads, ...view.columns.map(taskName), ...view.extras.map((extra) => extra.name)].map(escape), ...rows];
}

function captionText(view) {
  return described(view.now, view)
    .map((part) => (typeof part === "string" ? part : part.textContent))
    .join("");
}

function toMarkdown(view) {
  const escape = (text) => text.replace(/[\\`*_{}[\]<>|#~]/g, "\\$&").replace(/\s+/g, " ");
  const score = (c, place) => {
    if (!c || c.mean === null) return "–";
    const text = `${fixed(c.mean)}${c.std !== null && c.n > 1 ? ` ± ${fixed(c.std)}` : ""}`;
    return place === 1 ? `**${text}**` : text;
  };
  const [head, ...rows] = textTable(view, escape, score);
  const line = (texts) => `| ${texts.join(" | ")} |`;
  const rule = head.map((_, place) => (place > 0 && place < (view.hasModels ? 3 : 2) ? "---" : "---:"));
  return [escape(captionText(view)), "", line(head), line(rule), ...rows.map(line), ""].join("\n");
}

const LATEX = {
  "\\": "\\textbackslash{}",
  "~": "\\textasciitilde{}",
  "^": "\\textasciicircum{}",
  "<": "$<$",
  ">": "$>$",
  "\u2212": "$-$",
  "–": "--",
  "±": "$\\pm$",
  "×": "$\\times$",
  "·": "$\\cdot$",
};

function toLatex(view) {
  const escape = (text) =>
    text.replace(/[\\~^<>\u2212–±×·]|[&%$#_{}]/g, (sign) => LATEX[sign] ?? `\\${sign}`);
  const score = (c, place) => {
    if (!c || c.mean === null) return "--";
    const mean = place === 1 ? `\\textbf{${escape(fixed(c.mean))}}` : escape(fixed(c.mean));
    return c.std !== null && c.n > 1 ? `${mean}\\,{\\scriptsize $\\pm$${fixed(c.std)}}` : mean;
  };
  const [head, ...rows] = textTable(view, escape, score);
  const left = view.hasModels ? "ll" : "l";
  const set = `r${left}${"r".repeat(head.length - left.length - 1)}`;
  const line = (texts) => `${texts.join(" & ")} \\\\`;
  const ranked = view.ranked.reduce((sum, one) => sum + 1 + (one.isOpen ? one.variants.length : 0), 0);
  const body = rows.map(line);
  if (view.panel && ranked < rows.length) body.splice(ranked, 0, "\\midrule");
  return [
    "% needs \\usepackage{booktabs}",
    "\\begin{table*}",
    "\\centering\\small",
    `\\caption{${escape(captionText(view))}}`,
    `\\begin{tabular}{${set}}`,
    "\\toprule",
    line(head),
    "\\midrule",
    ...body,
    "\\bottomrule",
    "\\end{tabular}",
    "\\end{table*}",
    "",
  ].join("\n");
}
