// The form that submits a text, and the output of a pipeline in readable form.

import { meter } from "./charts.js";
import { byId, el, none, pill, seconds, show } from "./dom.js";

const ACTIONS = { allow: "good", review: "warn", block: "bad" };
const POLL_MS = 500;
const GIVE_UP_MS = 60_000;

export function output(out) {
  if (typeof out !== "object" || out === null) return el("pre", { tabindex: "0" }, JSON.stringify(out));
  const scores = out.scores && typeof out.scores === "object" ? Object.entries(out.scores) : [];
  const verdict = out.action ?? out.label;
  const known = new Set(["label", "action", "confidence", "scores", "tier", "model_version", "degraded", "reason"]);
  const others = Object.entries(out).filter(([name]) => !known.has(name));
  return el("div", { class: "output" },
    el("p", null,
      verdict === undefined ? null : el("b", { class: `verdict ${ACTIONS[verdict] || ""}` }, String(verdict)),
      out.label !== undefined && out.label !== verdict ? ` most probable: ${out.label}` : null,
      typeof out.confidence === "number" ? ` ${(100 * out.confidence).toFixed(1)} % sure` : null,
      " ", out.degraded ? pill("degraded", "warn") : null),
    scores.map(([name, score]) => meter(name, Number(score), Number(score).toFixed(3), ACTIONS[name] || "a")),
    el("p", { class: "quiet" },
      [out.tier && `tier ${out.tier}`, out.model_version && `model ${out.model_version}`,
        out.reason && `reason: ${out.reason}`].filter(Boolean).join(" · ")),
    others.length ? el("pre", { tabindex: "0" }, JSON.stringify(Object.fromEntries(others), null, 2)) : null);
}

export function prepare() {
  byId("try").addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = event.target.querySelector("button");
    button.disabled = true;
    show(byId("answer"), none("Submitted…"));
    try {
      show(byId("answer"), ...(await ask(byId("pipeline").value, byId("text").value)));
    } catch {
      show(byId("answer"), el("p", { class: "notice" }, "The service does not answer."));
    } finally {
      button.disabled = false;
    }
  });
  byId("text").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("try").requestSubmit();
  });
}

async function ask(pipeline, text) {
  const began = performance.now();
  const response = await fetch("console/try", {
    method: "POST",
    headers: { "Content-Type": "application/json", Prefer: "wait=10", "X-Penstock-Console": "1" },
    body: JSON.stringify({ pipeline, input: { text }, priority: "high", metadata: { from: "console" } }),
  });
  let job = await response.json();
  if (!response.ok) return refused(job);
  while (!ended(job) && performance.now() - began < GIVE_UP_MS) {
    await new Promise((done) => setTimeout(done, POLL_MS));
    job = await (await fetch(`console/jobs/${job.id}`)).json();
  }
  return [answered(job, (performance.now() - began) / 1000)];
}

const ended = (job) => job.status !== "queued" && job.status !== "running";

function answered(job, took) {
  return el("div", null,
    job.output ? output(job.output) : el("p", { class: job.error ? "error" : "quiet" },
      job.error ? `${job.error.code}: ${job.error.message}` : `Still ${job.status}; look it up later by its id.`),
    el("p", { class: "quiet" }, `${job.cached ? "From the cache" : `Lane ${job.lane}`}, ${seconds(took)} in all. `,
      el("a", { href: `#${job.id}`, "data-job": job.id }, job.id)));
}

function refused(problem) {
  const errors = problem.errors || [];
  return [el("div", { class: "notice" }, el("p", null, problem.detail),
    errors.length ? el("ul", null, errors.map((one) =>
      el("li", null, `${one.pointer || one.header || one.parameter || ""} ${one.detail}`))) : null)];
}
