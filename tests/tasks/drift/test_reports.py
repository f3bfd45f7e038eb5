"""Drift reports: one scheduled comparison per window, one announcement per change of alarm."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from ml.pipeline import Pipeline
from tasks.config.settings import Settings
from tasks.drift import reports
from tasks.drift.reports import compare_and_save, compare_if_due, latest_report
from tasks.drift.sampler import current_window
from tasks.jobs.lanes import Lane, Priority
from tasks.store import keys
from tasks.store.client import Store, connect
from tasks.telemetry.sentry import client as sentry
from tasks.webhooks import endpoints
from tasks.webhooks.endpoints import DRIFT_EVENT, EVENTS
from tests.tasks.drifting import traffic, unwatched, watched

URL = "https://example.com/hook"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, drift_interval_s=86_400 * 365)


def sampled(
    store: Store, longer: float = 1.0, size: int = 600, pipeline: Pipeline = watched
) -> None:
    """Make the current sample that of such traffic."""
    key = keys.drift_sample(pipeline.name, pipeline.version, current_window(store))
    store.redis.delete(key)
    rows = enumerate(traffic(7, size, longer))
    store.redis.zadd(key, {orjson.dumps([n / size, row]).decode(): n / size for n, row in rows})


def told(store: Store) -> list[dict[str, Any]]:
    """Bodies of the deliveries that are queued, oldest first."""
    stream = keys.stream(Lane.WEBHOOKS, Priority.NORMAL)
    entries: Any = store.redis.xrange(stream)
    found = []
    for _, unit in entries:
        delivery = store.redis.hgetall(keys.delivery(unit["job"]))
        assert delivery["event"] == DRIFT_EVENT
        found.append(orjson.loads(delivery["body"]) | {"endpoint": delivery["endpoint"]})
    return found


def test_an_alarm_trips_and_clears_and_subscribers_get_each_change_once(store: Store) -> None:
    mine = endpoints.create(store, "operator", URL, [DRIFT_EVENT])
    endpoints.create(store, "operator", URL, EVENTS)
    other = endpoints.create(store, "another", URL, ["job.failed", DRIFT_EVENT])
    sampled(store)
    assert not compare_and_save(store, watched)
    assert told(store) == []
    sampled(store, longer=2)
    assert compare_and_save(store, watched)
    compare_and_save(store, watched)
    first = told(store)
    assert {event["endpoint"] for event in first} == {mine.id, other.id}
    assert [event["data"]["alarm"] for event in first] == ["tripped"] * 2
    sampled(store)
    compare_and_save(store, watched)
    compare_and_save(store, watched)
    assert [event["data"]["alarm"] for event in told(store)] == ["tripped"] * 2 + ["cleared"] * 2


def test_the_event_names_the_features_in_words_without_histograms(store: Store) -> None:
    endpoints.create(store, "operator", URL, [DRIFT_EVENT])
    sampled(store, longer=2)
    compare_and_save(store, watched)
    (event,) = told(store)
    assert event["type"] == "pipeline.drift"
    data = event["data"]
    assert (data["pipeline"], data["model_version"], data["samples"]) == ("watched", "builtin", 600)
    assert data["links"] == {"report": "/v1/pipelines/watched/drift"}
    (feature,) = data["features"]
    assert feature.keys() == {"name", "effect", "q", "psi", "text"}
    assert feature["text"].startswith("Texts are longer: median ")


def test_an_endpoint_that_unsubscribes_gets_no_more_events(store: Store) -> None:
    changed, off, gone = (endpoints.create(store, "o", URL, [DRIFT_EVENT]) for _ in range(3))
    endpoints.update(store, "o", changed.id, events=["job.failed"])
    endpoints.disable(store, "o", off.id, endpoints.BY_OWNER)
    endpoints.delete(store, "o", gone.id)
    assert store.redis.hgetall(keys.DRIFT_HOOKS) == {}
    sampled(store, longer=2)
    compare_and_save(store, watched)
    assert told(store) == []
    endpoints.update(store, "o", off.id, enabled=True)
    assert store.redis.hgetall(keys.DRIFT_HOOKS) == {off.id: "o"}


def test_too_few_samples_leave_the_alarm_as_it_is(store: Store) -> None:
    sampled(store, longer=2)
    compare_and_save(store, watched)
    sampled(store, size=499)
    compare_and_save(store, watched)
    report = latest_report(store, watched)
    assert (report["verdict"], report["alarm"]) == ("not_enough_data", True)
    sampled(store)
    compare_and_save(store, watched)
    report = latest_report(store, watched)
    assert (report["verdict"], report["alarm"]) == ("ok", False)
    assert report["since"] is not None


def test_before_the_first_report_the_number_of_samples_is_shown(store: Store) -> None:
    sampled(store, size=12)
    report = latest_report(store, watched)
    assert (report["verdict"], report["samples"], report["alarm"]) == ("not_enough_data", 12, False)
    assert "12 answers are sampled, at least 500 are needed" in report["text"]
    assert report["computed_at"] is None


def test_a_pipeline_without_a_reference_says_so(store: Store) -> None:
    assert latest_report(store, unwatched)["verdict"] == "no_reference"
    compare_and_save(store, unwatched)
    assert latest_report(store, unwatched)["verdict"] == "no_reference"
    compare_if_due(store, [unwatched], "w")
    assert store.redis.keys("*:turn") == []


def test_in_each_window_one_worker_compares(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    sampled(store)
    made: list[int | None] = []
    compare = reports.compare_and_save

    def counted(store: Store, pipeline: Pipeline, window: int | None = None) -> bool:
        made.append(window)
        return compare(store, pipeline, window)

    monkeypatch.setattr(reports, "compare_and_save", counted)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: compare_if_due(store, [watched], f"w{n}"), range(12)))
    assert made == [current_window(store)]
    turn = keys.drift_lock(watched.name, watched.version, current_window(store))
    assert 0 < store.redis.pttl(turn) <= reports.LOCK_MS
    store.redis.delete(turn)
    compare_if_due(store, [watched], "late")
    assert len(made) == 1
    assert latest_report(store, watched)["verdict"] == "ok"


def test_a_comparison_whose_worker_died_is_made_by_another(store: Store) -> None:
    sampled(store)
    turn = keys.drift_lock(watched.name, watched.version, current_window(store))
    store.redis.set(turn, "dead", px=reports.LOCK_MS)
    compare_if_due(store, [watched], "w")
    assert latest_report(store, watched)["computed_at"] is None
    store.redis.delete(turn)  # as its time runs out
    compare_if_due(store, [watched], "w")
    assert latest_report(store, watched)["computed_at"] is not None


def _refresh_often(settings: Settings, times: int, ready: Any) -> None:
    store = Store(connect(settings), settings)
    ready.wait()
    for _ in range(times):
        compare_and_save(store, watched)


def test_two_concurrent_reports_announce_a_change_once(store: Store) -> None:
    endpoints.create(store, "operator", URL, [DRIFT_EVENT])
    sampled(store, longer=2)
    context = get_context("spawn")
    ready = context.Barrier(2)
    others = [
        context.Process(target=_refresh_often, args=(store.settings, 3, ready)) for _ in range(2)
    ]
    for other in others:
        other.start()
    for other in others:
        other.join()
        assert other.exitcode == 0
    assert [event["data"]["alarm"] for event in told(store)] == ["tripped"]


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(
        sentry,
        "capture_message",
        lambda title, _text, kind, _about: found.append((title, list(kind))),
    )
    return found


def test_only_changes_of_the_alarm_go_to_the_log_and_sentry(
    store: Store, messages: list[tuple[str, list[str]]]
) -> None:
    with capture_logs() as logged:
        for longer in (1, 2, 2, 1, 1):
            sampled(store, longer=longer)
            compare_and_save(store, watched)
    assert [(line["log_level"], line["event"]) for line in logged] == [
        ("warning", "drift alarm tripped"),
        ("info", "drift alarm cleared"),
    ]
    assert messages == [
        ("Drift tripped", ["drift", "watched", "builtin", "warning"]),
        ("Drift cleared", ["drift", "watched", "builtin", "info"]),
    ]


def test_a_saved_report_is_json_and_expires(store: Store) -> None:
    sampled(store)
    compare_and_save(store, watched)
    key = keys.drift(watched.name, watched.version)
    kept = json.loads(store.redis.hget(key, "report") or "")
    assert kept["features"][0]["histogram"]["production"]
    assert 0 < store.redis.pttl(key) <= reports.KEEP_MS
