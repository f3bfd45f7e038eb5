"""Drift monitor: the thread that sends samples and makes due comparisons."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from tasks.config.settings import Settings
from tasks.drift import monitor
from tasks.drift.monitor import DriftMonitor
from tasks.drift.reports import latest_report
from tasks.drift.sampler import Sampler
from tasks.jobs.lanes import Lane
from tasks.queue.consumer import Consumer
from tasks.store import keys
from tasks.store.client import Store
from tasks.webhooks import endpoints
from tasks.webhooks.endpoints import DRIFT_EVENT
from tests.eventually import eventually
from tests.tasks.drifting import asked, lengths, watched
from tests.tasks.inference.test_executor import Wakes


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, drift_interval_s=86_400 * 365)


def test_samples_are_compared_and_the_webhooks_lane_is_woken(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "SEND_S", 0.01)
    endpoints.create(store, "operator", "https://example.com/hook", [DRIFT_EVENT])
    sampler, wakes = Sampler([watched], 2_000), Wakes()
    sampler.observe("watched", *asked(watched, ["x" * n for n in lengths(1, 600, longer=2)]))
    worker = Consumer(store, Lane.CPU)
    watch = DriftMonitor(worker, wakes, sampler, [watched])  # type: ignore[arg-type]
    watch.start()
    eventually(lambda: latest_report(store, watched)["alarm"], "the alarm trips")
    watch.stop()
    watch.join()
    assert wakes.sent == ["penstock.webhooks"]
    assert latest_report(store, watched)["samples"] == 600


def test_the_monitor_continues_after_a_failed_comparison(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []

    def broken(*_: Any) -> bool:
        looks.append(1)
        raise OSError("the reference cannot be read")

    monkeypatch.setattr(monitor, "SEND_S", 0.01)
    monkeypatch.setattr(monitor, "CHECKS_PER_INTERVAL", 1e12)
    monkeypatch.setattr(monitor, "compare_if_due", broken)
    watch = DriftMonitor(Consumer(store, Lane.CPU), Wakes(), Sampler([], 0), [watched])  # type: ignore[arg-type]
    watch.start()
    eventually(lambda: len(looks) > 1, "another look")
    watch.stop()
    watch.join()


def test_the_rows_that_cross_redis_are_json(store: Store) -> None:
    sampler = Sampler([watched], 10)
    sampler.observe("watched", *asked(watched, ["abc"]))
    sampler.send(store)
    (key,) = store.redis.keys(f"{keys.drift('watched', 'builtin')}:*")
    (text,) = store.redis.zrange(key, 0, -1)
    draw, row = orjson.loads(str(text))
    assert 0 <= draw < 1
    assert row == {"length": 3.0, "confidence": 0.9, "class": "allow", "tier": "steady"}
