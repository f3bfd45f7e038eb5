"""Drift reports: compares recent samples with the model's reference and keeps report and alarm.

    recent sample -> compare -> save report and alarm -> if that changed: log, Sentry, webhooks

The alarm trips with the first report that finds drift and clears with the first that finds none.
One script compares it with the saved alarm and queues the webhooks, so each change is announced
once. A report without enough data does not change the alarm.
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
NO_REFERENCE_TEXT = (
    "This version has no reference to compare with; docs/drift.md says how to make one."
)
LOCK_MS = 60_000  # for one comparison, which takes a second at most once scipy is loaded
KEEP_MS = 30 * 86_400_000  # after which the report of a version no longer served expires

Report = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StoredReport:
    """The last report. alarm: whether it found drift. since: when the alarm changed (us)."""

    report: Report
    alarm: bool
    since: int | None


def compare_and_save(store: Store, pipeline: Pipeline, window: int | None = None) -> bool:
    """Compare now and save the report; returns whether the webhooks lane must be woken.

    window: number of the window of a scheduled comparison; None if it was requested.

    Raises:
        redis.RedisError: Redis is out of reach, or full.
        ml.registry.ArtifactError: the reference is not what the version's manifest says.
    """
    report = {**_settings_of_report(store, pipeline), **_compared(store, pipeline)}
    return _save(store, report, window)


def latest_report(store: Store, pipeline: Pipeline) -> Report:
    """The last report; if there is none yet, one that says how many samples there are.

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
        **_settings_of_report(store, pipeline),
        **_without_comparison(
            verdict, text if verdict == NOT_ENOUGH else NO_REFERENCE_TEXT, found, needed
        ),
        "computed_at": None,
        "alarm": False,
        "since": None,
    }


def read_report(store: Store, pipeline: Pipeline) -> StoredReport | None:
    """The last report of the served version; None if there is none yet."""
    key = keys.drift(pipeline.name, pipeline.version)
    text, alarm, since = store.execute("HMGET", key, "report", "alarm", "since")
    if not text:
        return None
    return StoredReport(orjson.loads(text), alarm == "1", int(since) if since else None)


def read_reports(store: Store, pipelines: Iterable[Pipeline]) -> Iterator[dict[str, Any]]:
    """The name and last report of each pipeline; None if there is no report yet."""
    for pipeline in pipelines:
        kept = read_report(store, pipeline)
        yield {"pipeline": pipeline.name, "report": kept.report if kept else None}


def compare_if_due(store: Store, pipelines: Iterable[Pipeline], worker: str) -> bool:
    """Make the scheduled comparisons that no worker has made in this window yet.

    Returns whether the webhooks lane must be woken. Raises: as `compare_and_save`.
    """
    wake, window = False, current_window(store)
    for pipeline in pipelines:
        if pipeline.drift_reference() and _take_turn(store, pipeline, window, worker):
            wake |= compare_and_save(store, pipeline, window)
    return wake


def _take_turn(store: Store, pipeline: Pipeline, window: int, worker: str) -> bool:
    """Take the lock of this window's comparison; False if it was made or another worker makes it.

    If this worker dies meanwhile, another one compares after the lock has expired.
    """
    of_version = (pipeline.name, pipeline.version)
    if store.execute("HGET", keys.drift(*of_version), "window") == str(window):
        return False
    lock = keys.drift_lock(*of_version, window)
    return bool(store.execute("SET", lock, worker, "NX", "PX", LOCK_MS))


def _settings_of_report(store: Store, pipeline: Pipeline) -> dict[str, Any]:
    settings = store.settings
    return {
        "pipeline": pipeline.name,
        "model_version": pipeline.version,
        "computed_at": timestamp(store.now_us()),
        "interval_s": settings.drift_interval_s,
        "q": settings.drift_q,
        "min_effect": settings.drift_min_effect,
    }


def _compared(store: Store, pipeline: Pipeline) -> dict[str, Any]:
    settings, rows = store.settings, recent_rows(store, pipeline)
    needed = settings.drift_min_samples
    reference: Reference | None = pipeline.drift_reference()
    if reference is None:
        return _without_comparison(NO_REFERENCE, NO_REFERENCE_TEXT, len(rows), needed)
    if len(rows) < needed:
        text = (
            f"Not enough data: {len(rows):,} answers are sampled, at least {needed:,} are needed."
        )
        return _without_comparison(NOT_ENOUGH, text, len(rows), needed)
    from ml.drift.comparison import compare  # noqa: PLC0415 - scipy takes a second and 60 MB; few need it

    q, min_effect = settings.drift_q, settings.drift_min_effect
    return compare(reference, rows, q, min_effect, needed).as_json()


def _without_comparison(verdict: str, text: str, samples: int, needed: int) -> dict[str, Any]:
    """A report without a comparison, with the fields of one."""
    return {
        "verdict": verdict,
        "text": text,
        "samples": samples,
        "min_samples": needed,
        "reference_rows": 0,
        "tier": None,
        "features": [],
    }


def _save(store: Store, report: Report, window: int | None) -> bool:
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
        _announce(event["data"])
    return bool(wake)


def event_of(report: Report) -> dict[str, Any]:
    """The webhook event of a report: the report without its histograms."""
    drifted = [
        {name: found[name] for name in ("name", "effect", "q", "psi", "text")}
        for found in report["features"]
        if found["verdict"] == "drift"
    ]
    kept = ("pipeline", "model_version", "verdict", "text", "samples", "computed_at")
    change = "tripped" if report["verdict"] == "drift" else "cleared"
    data = {"alarm": change, **{name: report[name] for name in kept}, "features": drifted}
    data["links"] = drift_links(report["pipeline"])
    return {"type": DRIFT_EVENT, "timestamp": report["computed_at"], "data": data}


def _announce(data: Mapping[str, Any]) -> None:
    """Send a change of the alarm to the log and to Sentry; the script has queued the webhooks."""
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
