// Charts as SVG: bars and lines, each with a text for screen readers.

import { el, svg } from "./dom.js";

const W = 240;

// A line chart. values: one per step, oldest first.
export function spark(values, label, height = 28) {
  const top = Math.max(1e-9, ...values);
  const step = W / Math.max(1, values.length - 1);
  const at = (value, i) => `${(i * step).toFixed(1)},${(height - 2 - ((height - 4) * value) / top).toFixed(1)}`;
  const line = values.map(at).join(" ");
  const shape = { viewBox: `0 0 ${W} ${height}`, preserveAspectRatio: "none", class: "spark", role: "img", "aria-label": label };
  if (values.length < 2) return svg("svg", shape);
  return svg("svg", shape,
    svg("polygon", { class: "area", points: `0,${height} ${line} ${W},${height}` }),
    svg("polyline", { class: "line", points: line, "vector-effect": "non-scaling-stroke" }));
}

// A bar chart. series: [{name, kind, shares}], drawn side by side. ticks: labels under the axis,
// spread evenly. each: one label under each bar.
export function bars(series, ticks, label, height = 80, each = false) {
  const many = series[0].shares.length;
  const top = Math.max(1e-9, ...series.flatMap((one) => one.shares));
  const slot = W / many;
  const wide = (slot * 0.86) / series.length;
  const drawn = series.flatMap((one, s) => one.shares.map((part, i) => {
    const tall = part > 0 ? Math.max(1.5, ((height - 4) * part) / top) : 0;
    const where = { x: i * slot + slot * 0.07 + s * wide, y: height - tall, width: wide, height: tall };
    return svg("rect", { class: `bar ${one.kind}`, ...round(where) });
  }));
  const plot = svg("svg", { viewBox: `0 0 ${W} ${height + 1}`, preserveAspectRatio: "none", class: "bars", role: "img", "aria-label": label },
    drawn, svg("line", { class: "axis", x1: 0, x2: W, y1: height + 0.5, y2: height + 0.5 }));
  return el("div", { class: "plot" }, plot,
    el("div", { class: each ? "ticks each" : "ticks", "aria-hidden": "true" }, ticks.map((tick) => el("span", null, tick))));
}

// A bar for a share from 0 to 1 with its name and number.
export function meter(name, part, text, kind = "") {
  const drawn = svg("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", class: "meter", "aria-hidden": "true" },
    svg("rect", { class: "track", width: 100, height: 8 }),
    svg("rect", { class: `bar ${kind}`, width: Math.max(0, Math.min(100, 100 * part)).toFixed(2), height: 8 }));
  return el("div", { class: "metered" }, el("span", null, name), drawn, el("span", { class: "n" }, text));
}

export const shares = (counts) => {
  const all = counts.reduce((sum, n) => sum + n, 0);
  return counts.map((n) => (all ? n / all : 0));
};

const round = (box) => Object.fromEntries(Object.entries(box).map(([k, v]) => [k, v.toFixed(2)]));
