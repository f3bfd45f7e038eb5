// The newest jobs, a search by id, and one job in full. All texts of jobs are untrusted.

import { byId, el, none, pill, seconds, show } from "./dom.js";
import { output } from "./answer.js";

const KINDS = { succeeded: "good", failed: "bad", running: "warn", queued: "" };

export function rows(data) {
  if (!data.jobs.length) return none("No job yet. Submit one above, or by the API.");
  const heads = ["id", "status", "pipeline", "owner", "lane", "answer", "items", "queue", "run", "submitted"];
  return el("div", { class: "scroll" }, el("table", { class: "jobs" },
    el("caption", { class: "sr" }, "The newest jobs of all owners; an id shows the job in full"),
    el("thead", null, el("tr", null, heads.map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", null, data.jobs.map(row))));
}

function row(job) {
  const { done, total } = job.progress;
  const cell = (label, kind, ...inside) => el("td", { "data-label": label, class: kind }, inside);
  return el("tr", { "data-key": job.id },
    el("th", { scope: "row" }, el("a", { href: `#${job.id}`, "data-job": job.id }, job.id)),
    cell("status", "", pill(job.status, KINDS[job.status])),
    cell("pipeline", "", job.pipeline),
    cell("owner", "", job.owner),
    cell("lane", "more", job.cached ? "cache" : job.lane),
    cell("answer", "said", said(job)),
    cell("items", "n more", total === 1 ? "1" : `${done}/${total}`),
    cell("queue", "n more", job.queue_ms === null ? "–" : seconds(job.queue_ms / 1000)),
    cell("run", "n more", job.run_ms === null ? "–" : seconds(job.run_ms / 1000)),
    cell("submitted", "n", el("time", { datetime: job.created_at }, clock(job.created_at))));
}

function said(job) {
  if (job.error) return el("span", { class: "error" }, job.error.code);
  const { label, action, confidence, tier, degraded } = job.answer;
  const parts = [action || label, typeof confidence === "number" ? confidence.toFixed(2) : null, tier]
    .filter((part) => part !== null && part !== undefined).map(String);
  return [parts.join(" · "), degraded ? [" ", pill("degraded", "warn")] : null];
}

const clock = (text) => new Date(text).toLocaleTimeString("en-GB");

// Fetches one job and shows it; returns it, or null if there is no such job.
export async function find(id) {
  const place = byId("detail");
  const response = await fetch(`console/jobs/${encodeURIComponent(id)}`);
  const found = await response.json();
  show(place, response.ok ? detail(found) : el("p", { class: "notice" }, `${found.detail}`));
  return response.ok ? found : null;
}

function detail(job) {
  const fact = (name, value) => (value === null || value === undefined ? null
    : el("div", null, el("dt", null, name), el("dd", null, value)));
  const close = el("button", { type: "button", "data-close": true }, "Close");
  return el("article", { class: "detail", "aria-label": `Job ${job.id}` },
    el("h3", null, el("code", null, job.id), " ", pill(job.status, KINDS[job.status]), " ", close),
    el("dl", { class: "facts" },
      fact("Pipeline", job.pipeline), fact("Owner", job.owner),
      fact("Lane", job.cached ? `${job.lane}, from the cache` : job.lane),
      fact("Submitted", job.created_at), fact("Started", job.started_at), fact("Finished", job.finished_at),
      fact("Queue", job.queue_ms === null ? null : seconds(job.queue_ms / 1000)),
      fact("Run", job.run_ms === null ? null : seconds(job.run_ms / 1000)),
      fact("Attempts", String(job.attempts)),
      fact("Items", `${job.progress.done} of ${job.progress.total}, ${job.progress.failed} failed`),
      fact("Request", job.request_id)),
    job.error ? el("p", { class: "error" }, `${job.error.code}: ${job.error.message}`) : null,
    job.output ? output(job.output) : null,
    job.results.length ? more("The first results", job.results) : null,
    Object.keys(job.metadata).length ? more("Metadata", job.metadata) : null);
}

const more = (name, value) => el("details", null, el("summary", null, name),
  el("pre", { tabindex: "0" }, JSON.stringify(value, null, 2)));
