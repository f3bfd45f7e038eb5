"""Drift: what was sampled is compared with the model's reference, and whoever asked is told.

    recent sample -> compare -> kept with its alarm -> if that has changed: log, Sentry, webhooks

An alarm trips with the first report that finds drift and clears with the first that finds none; one
script compares it with what was known and queues the webhooks, so that each change is told once.
A report without enough data leaves the alarm as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from ulid import ULID

from ml.drift.reference import Reference
from ml.pipeline import Pipeline
from tasks.drift.sampler import current_window, recent_rows
from tasks.jobs.model import timestamp
from tasks.store import keys
from tasks.store.client import Store
from tasks.store.scripts.drift import SAVE_REPORT, SaveReportArgs
from tasks.telemetry.logs import get_logger
from tasks.telemetry.sentry import client as sentry
from tasks.webhooks.endpoints import DRIFT_EVENT
from tasks.webhooks.links import drift_links

log = get_logger(__name__)

NO_REFERENCE = "no_reference"
NOT_ENOUGH = "not_enough_data"
LOCK_MS = 60_000  # for one comparison, which takes a second at most once scipy is loaded
KEEP_MS = 30 * 86_400_000  # a report of a version that nobody serves any more

Report = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StoredReport:
    """The latest report. alarm: whether drift was found last. since: when that changed (us)."""

    report: Report
    alarm: bool
    since: int | None


def compare_and_save(store: Store, pipeline: Pipeline, window: int | None = None) -> bool:
    """Compare now and keep the report; returns whether the lane of webhooks must be woken.

    window: the one for which it is done, if it is the regular comparison.

    Raises:
        redis.RedisError: Redis is out of reach, or full.
        ml.registry.ArtifactError: the reference is not what the version's manifest says.
    """
    report = {**_headline(store, pipeline), **_compared(store, pipeline)}
    return _keep(store, report, window)


def latest_report(store: Store, pipeline: Pipeline) -> Report:
    """The last report; if there is none yet, one that says so and how much has been sampled.

    Raises:
        redis.RedisError: Redis is out of reach.
    """
    kept = read_report(store, pipeline)
    if kept:
        return {**kept.report, "alarm": kept.alarm, "since": timestamp(kept.since)}
    needed, found = store.settings.drift_min_samples, len(recent_rows(store, pipeline))
    text = f"No report yet: {found:,} answers are sampled, at least {needed:,} are needed."
    verdict = NOT_ENOUGH if pipeline.drift_reference() else NO_REFERENCE
    return {
        **_headline(store, pipeline),
        **_nothing(verdict, text if verdict == NOT_ENOUGH else _NO_REFERENCE, found, needed),
        "computed_at": None,
        "alarm": False,
        "since": None,
    }


def read_report(store: Store, pipeline: Pipeline) -> StoredReport | None:
    key = keys.drift(pipeline.name, pipeline.version)
    text, alarm, since = store.execute("HMGET", key, "report", "alarm", "since")
    return (
        StoredReport(orjson.loads(text), alarm == "1", int(since) if since else None)
        if text
        else None
    )


def read_reports(store: Store, pipelines: Iterable[Pipeline]) -> Iterator[dict[str, Any]]:
    """For each pipeline its name and last report; None: there is none yet."""
    for pipeline in pipelines:
        kept = read_report(store, pipeline)
        yield {"pipeline": pipeline.name, "report": kept.report if kept else None}


def compare_if_due(store: Store, pipelines: Iterable[Pipeline], worker: str) -> bool:
    """The regular comparison, by whoever comes first in each window; whether webhooks wait.

    Raises: as `compare_and_save`.
    """
    wake, window = False, current_window(store)
    for pipeline in pipelines:
        if pipeline.drift_reference() and _is_due(store, pipeline, window, worker):
            wake |= compare_and_save(store, pipeline, window)
    return wake


def _is_due(store: Store, pipeline: Pipeline, window: int, worker: str) -> bool:
    """Whether nobody has compared in this window, nor is about to; if so it is ours to do.

    Should we die over it, another takes it up once the lock has run out.
    """
    place = (pipeline.name, pipeline.version)
    if store.execute("HGET", keys.drift(*place), "window") == str(window):
        return False
    lock = keys.drift_lock(*place, window)
    return bool(store.execute("SET", lock, worker, "NX", "PX", LOCK_MS))


def _headline(store: Store, pipeline: Pipeline) -> dict[str, Any]:
    settings = store.settings
    return {
        "pipeline": pipeline.name,
        "model_version": pipeline.version,
        "computed_at": timestamp(store.now_us()),
        "interval_s": settings.drift_interval_s,
        "q": settings.drift_q,
        "min_effect": settings.drift_min_effect,
    }


_NO_REFERENCE = "This version has nothing to be compared with; docs/drift.md says how to make it."


def _compared(store: Store, pipeline: Pipeline) -> dict[str, Any]:
    settings, rows = store.settings, recent_rows(store, pipeline)
    needed = settings.drift_min_samples
    reference: Reference | None = pipeline.drift_reference()
    if reference is None:
        return _nothing(NO_REFERENCE, _NO_REFERENCE, len(rows), needed)
    if len(rows) < needed:
        text = (
            f"Not enough data: {len(rows):,} answers are sampled, at least {needed:,} are needed."
        )
        return _nothing(NOT_ENOUGH, text, len(rows), needed)
    from ml.drift.comparison import compare  # noqa: PLC0415 - scipy takes a second and 60 MB; few need it

    q, min_effect = settings.drift_q, settings.drift_min_effect
    return compare(reference, rows, q, min_effect, needed).as_json()


def _nothing(verdict: str, text: str, samples: int, needed: int) -> dict[str, Any]:
    """What is not from a comparison, in the shape of one."""
    return {
        "verdict": verdict,
        "text": text,
        "samples": samples,
        "min_samples": needed,
        "reference_rows": 0,
        "tier": None,
        "features": [],
    }


def _keep(store: Store, report: Report, window: int | None) -> bool:
    known = report["verdict"] in ("drift", "ok")
    alarm = str(int(report["verdict"] == "drift")) if known else ""
    event = event_of(report)
    args = SaveReportArgs(
        pipeline=report["pipeline"],
        model_version=report["model_version"],
        report=orjson.dumps(report),
        alarm=alarm,
        event_body=orjson.dumps(event),
        event_id=f"msg_{ULID()}",
        report_ttl_ms=KEEP_MS,
        window="" if window is None else window,
    )
    changed, wake = store.run(SAVE_REPORT, args)
    if changed:
        _tell(event["data"])
    return bool(wake)


def event_of(report: Report) -> dict[str, Any]:
    """What endpoints are sent: the report without its histograms."""
    told = [
        {name: found[name] for name in ("name", "effect", "q", "psi", "text")}
        for found in report["features"]
        if found["verdict"] == "drift"
    ]
    kept = ("pipeline", "model_version", "verdict", "text", "samples", "computed_at")
    change = "tripped" if report["verdict"] == "drift" else "cleared"
    data = {"alarm": change, **{name: report[name] for name in kept}, "features": told}
    data["links"] = drift_links(report["pipeline"])
    return {"type": DRIFT_EVENT, "timestamp": report["computed_at"], "data": data}


def _tell(data: Mapping[str, Any]) -> None:
    """The log and Sentry; webhooks are queued by now."""
    names = [found["name"] for found in data["features"]]
    facts = {"pipeline": data["pipeline"], "model_version": data["model_version"]}
    if data["alarm"] == "tripped":
        log.warning("drift alarm tripped", **facts, features=names, text=data["text"])
    else:
        log.info("drift alarm cleared", **facts)
    level = "warning" if data["alarm"] == "tripped" else "info"
    about = sentry.EventDetails(facts, extra={"features": names}, parts={"level": level})
    sentry.capture_message(
        f"Drift {data['alarm']}", data["text"], ["drift", *facts.values(), level], about
    )
