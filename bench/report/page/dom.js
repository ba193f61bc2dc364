// Making elements. Text becomes text nodes: nothing here, or anywhere in this script, makes markup of a string.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes, listeners ("onclick") and children; what is null or false is left out. */
function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) {
      node.addEventListener(name.slice(2), value);
      continue;
    }
    if (name === "href" && !/^(#|\.\.?\/|https:\/\/)/.test(value)) throw new Error(`no link of this page: ${value}`);
    node.setAttribute(name, value === true ? "" : name === "title" ? visible(value) : value);
  }
  node.append(...present(children).map(visible));
  return node;
}

/** Text without what would reorder or hide it: control and format characters are written out. */
function visible(value) {
  if (typeof value !== "string") return value;
  return value.replace(
    /(?![\u200c\u200d\n])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu,
    (letter) => `\\u{${letter.codePointAt(0).toString(16)}}`,
  );
}

function present(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

function byId(id) {
  return document.getElementById(id);
}

function replace(id, ...children) {
  byId(id).replaceChildren(...present(children).map(visible));
}

/** The same for a live region, which is read aloud when it changes: left alone where its text stays the same. */
function say(id, ...children) {
  const next = h("p", {}, ...children);
  if (byId(id).textContent !== next.textContent) byId(id).replaceChildren(...next.childNodes);
}

/** Text that only those hear who do not see what it says. */
function unseen(text) {
  return h("span", { class: "unseen" }, text);
}

function cell(value, attributes = {}) {
  return h("td", attributes, value);
}

/** A table's head: a column heading each; those in `numeric` are aligned as numbers. */
function heads(names, numeric = []) {
  return h(
    "thead",
    {},
    h(
      "tr",
      {},
      names.map((name) => h("th", { scope: "col", class: numeric.includes(name) ? "number" : null }, name)),
    ),
  );
}

/** A table's caption, which stays in sight where the table is wider than its window. */
function caption(text) {
  return h("caption", {}, h("span", {}, text));
}

/** Two columns, names and values; without those that have none. */
function pairs(entries) {
  const told = entries.filter(([, value]) => value && value.length !== 0);
  return h(
    "dl",
    {},
    told.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}

/** Any value as a short text. */
function short(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
  if (Array.isArray(value)) return value.map(short).join(", ");
  if (typeof value === "object")
    return Object.entries(value)
      .map(([name, inner]) => `${name}=${short(inner)}`)
      .join(" ");
  return String(value);
}

function fixed(value, digits = 1) {
  return value === null || value === undefined ? "–" : value.toFixed(digits).replace("-", "\u2212");
}

function plural(n, one, many = `${one}s`) {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}
