// The latest drift report of each pipeline: reference and production for each feature.

import { bars, shares } from "./charts.js";
import { count, el, none, pill } from "./dom.js";

const KINDS = { drifted: "bad", drift: "bad", stable: "good", ok: "good", no_drift: "good" };

export function drift(data) {
  const reports = data.drift || [];
  const there = reports.filter((one) => one.report);
  if (!there.length) return none("No report yet: there is not enough data, or no pipeline has a drift reference.");
  return there.map(({ pipeline, report }) => [
    el("h3", null, pipeline, " ", report.model_version ? el("span", { class: "quiet" }, report.model_version) : null,
      report.verdict ? [" ", pill(words(report.verdict), KINDS[report.verdict])] : null),
    report.text ? el("p", null, report.text) : null,
    report.features?.length ? el("div", { class: "features" }, report.features.map(feature)) : none("Not enough data."),
  ]);
}

function feature(one) {
  const numbers = [["effect", one.effect], ["q", one.q], ["PSI", one.psi]]
    .filter(([, value]) => typeof value === "number")
    .map(([name, value]) => `${name} ${value < 0.001 && value > 0 ? "< 0.001" : value.toFixed(3)}`);
  return el("figure", null,
    el("figcaption", null, el("b", null, words(one.name)), " ", one.verdict ? pill(words(one.verdict), KINDS[one.verdict]) : null),
    one.histogram ? plot(one) : none("No plot."),
    el("p", { class: "quiet" }, numbers.join(" · ")),
    one.text ? el("p", null, one.text) : null);
}

function plot(one) {
  const { bins, reference, production } = one.histogram;
  const series = [
    { kind: "b", shares: shares(reference) },
    { kind: "a", shares: shares(production) },
  ];
  const ticks = bins.length > 6 ? [bins[0], bins[bins.length - 1]] : bins;
  return bars(series, ticks.map(tick), `${words(one.name)}: reference against production`, 64);
}

const tick = (bin) => (typeof bin === "number" ? (Number.isInteger(bin) ? count(bin) : bin.toPrecision(2)) : words(String(bin)));
const words = (name) => String(name).replaceAll("_", " ");
