// Helpers that create elements and format numbers. Texts become text nodes, never markup.

import { children } from "./morph.js";

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, inside) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...inside.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

export const el = (name, attributes, ...inside) =>
  fill(document.createElement(name), attributes, inside);

export const svg = (name, attributes, ...inside) =>
  fill(document.createElementNS(SVG, name), attributes, inside);

export const byId = (id) => document.getElementById(id);

// Replace the children of a node.
export function show(node, ...wanted) {
  children(node, [...fill(document.createDocumentFragment(), null, wanted).childNodes]);
}

// A table. rows: lists of cells (texts or nodes); the first cell is the header of its row. groups:
// [text, columns], a row above the heads.
export function table(caption, heads, rows, groups = []) {
  const above = groups.map(([text, columns]) => el("th", { scope: "colgroup", colspan: columns, class: "group" }, text));
  const head = heads.map((text, column) => el("th", { scope: "col", class: column ? "n" : null }, text));
  const body = rows.map(([name, ...cells]) => el("tr", null,
    el("th", { scope: "row" }, name), cells.map((cell) => el("td", { class: "n" }, cell))));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", null,
      el("caption", { class: "sr" }, caption),
      el("thead", null, above.length ? el("tr", null, above) : null, el("tr", null, head)),
      el("tbody", null, body)));
}

export const none = (text) => el("p", { class: "quiet" }, text);

export const pill = (text, kind) => el("span", { class: `pill ${kind || ""}` }, text);

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export function count(n) {
  return Math.abs(n) < 10_000 ? whole.format(n) : short.format(n);
}

export function rate(n) {
  if (n === null) return "–";
  return n > 0 && n < 10 ? n.toFixed(1) : count(n);
}

export function seconds(s) {
  if (s === null || Number.isNaN(s)) return "–";
  if (s < 0.0005) return s ? `${Math.max(1, Math.round(s * 1e6))} µs` : "0 ms";
  if (s < 0.01) return `${(s * 1000).toFixed(1)} ms`;
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 10) return `${s.toFixed(2)} s`;
  if (s < 120) return `${Math.round(s)} s`;
  return s < 7200 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`;
}

export function bytes(n) {
  for (const unit of ["B", "KiB", "MiB"]) {
    if (n < 1024) return `${n < 10 && unit !== "B" ? n.toFixed(1) : Math.round(n)} ${unit}`;
    n /= 1024;
  }
  return `${n.toFixed(1)} GiB`;
}

export function share(part, of) {
  if (!of) return "–";
  const percent = (100 * part) / of;
  return `${percent > 0 && percent < 10 ? percent.toFixed(1) : Math.round(percent)} %`;
}

// In the currency of the price; small amounts with two significant digits.
export function money(amount) {
  if (amount === null || amount === undefined) return "–";
  if (amount > 0 && amount < 1e-4) return "< 0.0001";
  return amount < 1 ? Number(amount.toPrecision(2)).toString() : amount.toFixed(2);
}
