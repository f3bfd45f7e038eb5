// One function for each part of the page that shows numbers; it turns the data into nodes.

import { bars, meter, shares, spark } from "./charts.js";
import { bytes, count, el, money, none, pill, rate, seconds, share, table } from "./dom.js";
import { merged, quantile, sum } from "./quantile.js";

const ENDS = { succeeded: "good", failed: "bad", cancelled: "b", expired: "warn" };
const total = (list, read = (one) => one.count) => list.reduce((all, one) => all + read(one), 0);
const waitingIn = (lane) => lane.waiting.high + lane.waiting.normal + lane.waiting.low;
const inference = (data) => data.lanes.filter((lane) => lane.lane !== "webhooks");
const jobsOf = (data) => total(data.ended);
const itemsOf = (data) => total(data.answered.filter((one) => one.status !== "failed"));
const degradedOf = (data) => total(data.answered.filter((one) => one.status === "degraded"));
const failedOf = (data) => total(data.ended.filter((one) => one.of === "failed"));

export function tiles(history) {
  const data = history.last;
  const degraded = degradedOf(data);
  const whole = (seen) => merged(seen.latency.map((line) => line.job || []));
  const p95 = quantile(0.95, data.seconds_bounds, history.lately(whole));
  const failed = failedOf(data);
  const tile = (name, value, note, graph) => el("div", { class: "tile" },
    el("h3", null, name), el("p", { class: "big" }, value), el("p", { class: "quiet" }, note), graph);
  return [
    tile("Jobs a second", rate(history.rate(jobsOf)), `${count(jobsOf(data))} ended in all`,
      spark(history.rates(jobsOf), "Jobs a second in the last minutes")),
    tile("Items a second", rate(history.rate(itemsOf)), `${count(itemsOf(data))} answered in all`,
      spark(history.rates(itemsOf), "Items a second in the last minutes")),
    tile("Waiting", count(total(inference(data), waitingIn)), "units, gpu and cpu",
      spark(history.values((seen) => total(inference(seen), waitingIn)), "Waiting units in the last minutes")),
    tile("95 % end within", seconds(p95), "submit to result, lately"),
    tile("Degraded", share(degraded, itemsOf(data)), `${count(degraded)} of a lower tier`,
      spark(history.rates(degradedOf), "Degraded answers a second in the last minutes")),
    tile("Failed jobs", share(failed, jobsOf(data)), `${count(failed)} of ${count(jobsOf(data))}`,
      spark(history.rates(failedOf), "Failed jobs a second in the last minutes")),
  ];
}

export function lanes(history) {
  const data = history.last;
  return data.lanes.map((lane, i) => {
    const waiting = Object.entries(lane.waiting).filter(([, n]) => n).map(([name, n]) => `${name} ${count(n)}`);
    const hooks = lane.lane === "webhooks";
    const jobs = history.rate((seen) => seen.lanes[i].jobs);
    const facts = [
      ["Waiting", `${count(waitingIn(lane))}`, waiting.join(" · ") || "units"],
      ["Oldest", waitingIn(lane) ? seconds(lane.oldest_s) : "–", bytes(lane.bytes)],
      [hooks ? "Attempts/s" : "Jobs/s", rate(jobs), hooks ? "to deliver" : `${rate(history.rate((seen) => seen.lanes[i].items))} items/s computed`],
      ["Drains", lane.drain_rate ? `${rate(lane.drain_rate)}/s` : "–", "when last busy"],
    ];
    const note = lane.workers === 1 ? "1 worker" : `${lane.workers} workers`;
    return el("article", { class: "lane" },
      el("h3", null, lane.lane, " ", pill(note, lane.workers ? "good" : hooks ? "warn" : "bad")),
      el("dl", null, facts.map(([name, value, more]) =>
        el("div", null, el("dt", null, name), el("dd", null, el("b", null, value), el("span", { class: "quiet" }, more))))),
      spark(history.values((seen) => waitingIn(seen.lanes[i])), `Units waiting in the ${lane.lane} lane in the last minutes`));
  });
}

export function latency(history) {
  const data = history.last;
  if (!data.latency.length) return none("No job has ended yet.");
  const names = { job: "whole", queue: "queue", inference: "run" };
  const span = history.span < 120_000 ? `${Math.round(history.span / 1000)} s` : `${Math.round(history.span / 60_000)} min`;
  const rows = data.latency.flatMap((line) => Object.entries(names).filter(([key]) => line[key]).map(([key, name]) => {
    const read = (seen) => seen.latency.find((one) => one.pipeline === line.pipeline)?.[key];
    const lately = history.lately(read);
    const of = (buckets) => [0.5, 0.95, 0.99].map((q) => seconds(quantile(q, data.seconds_bounds, buckets)));
    return [`${line.pipeline} · ${name}`, ...of(lately), count(sum(lately)), ...of(line[key]), count(sum(line[key]))];
  }));
  return [
    table("Latency by pipeline: lately, then since counting began",
      ["", "p50", "p95", "p99", "jobs", "p50", "p95", "p99", "jobs"], rows,
      [["", 1], [`the last ${span}`, 4], ["since counting began", 4]]),
    data.latency.filter((line) => line.job).map((line) => spread(line, data.seconds_bounds)),
  ];
}

function spread(line, bounds) {
  const jobs = sum(line.job);
  const ticks = [...bounds.map((bound) => (bound < 1 ? `${bound * 1000} ms` : `${bound} s`)), "more"];
  const slow = sum(line.job.slice(8));
  return el("figure", null,
    el("figcaption", null, el("b", null, line.pipeline), el("span", { class: "quiet" }, " jobs by their time from submit to result, up to")),
    bars([{ kind: "a", shares: shares(line.job) }], ticks,
      `${line.pipeline}: of ${jobs} jobs ${share(slow, jobs)} took more than a second`, 56, true));
}

export function confidence(data) {
  if (!data.confidence.length) return none("No answer with a confidence yet.");
  return data.confidence.map((one) => {
    const all = sum(one.buckets);
    const low = sum(one.buckets.slice(0, 10));
    const label = `Confidence of ${one.pipeline}, ${one.tier}: ${share(low, all)} of ${all} answers at 0.5 or less`;
    return el("figure", null,
      el("figcaption", null, el("b", null, `${one.pipeline} · ${one.tier}`),
        el("span", { class: "quiet" }, ` ${count(all)} answers, ${share(low, all)} at 0.5 or less`)),
      bars([{ kind: "a", shares: shares(one.buckets) }], ["0", "0.25", "0.5", "0.75", "1"], label, 56));
  });
}

export function quality(data) {
  const parts = [];
  const tiers = {};
  for (const one of data.answered) {
    const key = one.status === "failed" ? "failed" : one.status === "cached" ? "cache" : one.tier;
    tiers[`${one.pipeline} · ${key}`] = (tiers[`${one.pipeline} · ${key}`] || 0) + one.count;
  }
  const all = total(data.answered);
  const byTier = Object.entries(tiers);
  const jobs = total(data.ended);
  const ends = Map.groupBy(data.ended, (one) => one.of);
  parts.push(el("h3", null, "How jobs ended"));
  parts.push(jobs ? [...ends].map(([status, list]) =>
    meter(status, total(list) / jobs, `${count(total(list))} · ${share(total(list), jobs)}`, ENDS[status])) : none("No job has ended yet."));
  parts.push(el("h3", null, "Answered by"));
  parts.push(byTier.length ? byTier.map(([name, n]) =>
    meter(name, n / all, `${count(n)} · ${share(n, all)}`, name.endsWith(" failed") ? "bad" : "a")) : none("Nothing has been answered yet."));
  parts.push(el("h3", null, "Degraded, by reason"));
  const degraded = total(data.degraded);
  parts.push(degraded ? data.degraded.map((one) =>
    meter(`${one.pipeline} · ${one.of}`, one.count / degraded, count(one.count), "warn")) : none("No answer was degraded."));
  parts.push(el("h3", null, "Cache"));
  parts.push(data.cache.length ? data.cache.map((one) => {
    const looked = one.hits + one.misses;
    return meter(one.pipeline, one.hits / looked, `${share(one.hits, looked)} of ${count(looked)}`, "a");
  }) : none("The cache has not been used yet."));
  return parts;
}

export function breakers(data) {
  const kinds = { closed: "good", half_open: "warn", open: "bad" };
  const states = el("ul", { class: "plain" }, data.breakers.map((one) =>
    el("li", null, el("span", null, `${one.pipeline} · ${one.tier}`),
      pill(one.state.replace("_", "-"), kinds[one.state]))));
  const hooks = data.webhooks;
  const facts = [
    ["Redis", `${bytes(data.redis.bytes)}${data.redis.max_bytes ? ` of ${bytes(data.redis.max_bytes)}` : ""}`, ""],
    ["Quarantined units", count(data.dead.units), data.dead.units ? "bad" : ""],
    ["Webhooks delivered", count(hooks.succeeded || 0), ""],
    ["Webhooks failed", count(data.dead.webhooks), data.dead.webhooks ? "bad" : ""],
  ];
  return [states, el("h3", null, "Stores"), el("ul", { class: "plain" }, facts.map(([name, value, kind]) =>
    el("li", null, el("span", null, name), kind ? pill(value, kind) : el("b", null, value))))];
}

export function cost(data) {
  const { priced, lanes: reported, tiers } = data.cost;
  if (!reported.length && !tiers.length) return none("No worker has reported its time yet.");
  const parts = [];
  if (reported.length) {
    parts.push(reported.map((lane) => meter(`${lane.lane} busy`, lane.utilization || 0,
      `${share(lane.utilization || 0, 1)} of ${seconds(lane.busy_s + lane.idle_s)}`, "a")));
  }
  if (priced && reported.length) {
    parts.push(table("Cost by lane", ["cost by lane", "busy", "idle", "per 1,000 items"], reported.map((lane) =>
      [lane.lane, money(lane.busy_cost), money(lane.idle_cost), money(lane.cost_per_1000)])));
  }
  parts.push(table("Device time by tier", ["tier", "items", "device", "an item", ...(priced ? ["per 1,000"] : [])],
    tiers.map((tier) => [`${tier.pipeline} · ${tier.tier} (${tier.lane})`, count(tier.items), seconds(tier.device_s),
      tier.items ? seconds(tier.device_s / tier.items) : "–", ...(priced ? [money(tier.cost_per_1000)] : [])])));
  if (!priced) parts.push(none("No price is set. Set PENSTOCK_GPU_PRICE_PER_HOUR and PENSTOCK_CPU_PRICE_PER_HOUR to see costs."));
  return parts;
}
