// The page: polls the data every two seconds and draws all parts.

import { prepare } from "./answer.js";
import { byId, el, show } from "./dom.js";
import { drift } from "./drift.js";
import { History } from "./history.js";
import { find, rows } from "./jobs.js";
import * as panels from "./panels.js";

const EVERY_MS = 2000;
const LATE_MS = 10_000;
const KINDS = { ready: "good", degraded: "warn", unready: "bad" };

const history = new History();
let paused = false;
let heard = performance.now();

async function look() {
  try {
    const response = await fetch("console/data", { signal: AbortSignal.timeout(LATE_MS) });
    if (!response.ok) throw new Error((await response.json()).detail);
    history.add(await response.json());
    heard = performance.now();
    draw();
  } catch (error) {
    state("no answer", "bad");
    reasons([error.name === "TypeError" ? "The service does not answer." : error.message]);
  }
}

async function loop() {
  if (!paused && !document.hidden) await look();
  setTimeout(loop, EVERY_MS);
}

function draw() {
  const data = history.last;
  state(data.status, KINDS[data.status]);
  reasons(data.reasons);
  show(byId("tiles"), panels.tiles(history));
  show(byId("lanes"), panels.lanes(history));
  show(byId("latency"), panels.latency(history));
  show(byId("confidence"), panels.confidence(data));
  show(byId("quality"), panels.quality(data));
  show(byId("breakers"), panels.breakers(data));
  show(byId("cost"), panels.cost(data));
  show(byId("drift"), drift(data));
  show(byId("rows"), rows(data));
  show(byId("pipeline"), data.pipelines.filter((one) => one.takes_text)
    .map((one) => el("option", { value: one.name }, one.name)));
  byId("flower").href = `${location.protocol}//${location.hostname}:${data.flower_port}/`;
}

function state(text, kind) {
  const pill = byId("status");
  pill.className = `pill ${kind}`;
  if (pill.textContent !== text) pill.textContent = text;
}

function reasons(list) {
  const place = byId("reasons");
  place.hidden = !list.length;
  if (place.textContent !== list.join(" ")) place.textContent = list.join("; ");
}

function pause() {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", String(paused));
  byId("pause").textContent = paused ? "Resume" : "Pause";
}

async function open(id) {
  byId("id").value = id;
  await find(id);
  byId("detail").scrollIntoView({ block: "nearest" });
}

function start() {
  byId("pause").addEventListener("click", pause);
  byId("search").addEventListener("submit", (event) => {
    event.preventDefault();
    open(byId("id").value.trim());
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-job]");
    if (link) open(link.dataset.job);
    if (event.target.closest("[data-close]")) show(byId("detail"));
  });
  document.addEventListener("visibilitychange", () => document.hidden || paused || look());
  setInterval(() => {
    const s = Math.round((performance.now() - heard) / 1000);
    byId("age").textContent = paused ? "paused" : s < 4 ? "live" : `${s} s ago`;
  }, 1000);
  if (location.hash.startsWith("#job_")) open(location.hash.slice(1));
  prepare();
  loop();
}

start();
