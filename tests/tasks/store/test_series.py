"""What is counted in Redis: once per unit whose commit is taken, and once per job that ends."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from ml.serving.outcomes import Verdict
from tasks.jobs.finished import FinishedJob
from tasks.jobs.lanes import Lane
from tasks.jobs.model import Status
from tasks.queue.consumer import Consumer
from tasks.queue.counters import CountedAnswer, count_unit, device_time, lines
from tasks.queue.units import SettledUnit, Unit
from tasks.store import keys
from tasks.store.client import Store
from tasks.store.scripts.script import LUA
from tasks.store.series import SECONDS_BOUNDS, series_key
from tasks.telemetry.sinks import JobSinks
from tests.tasks.lanes import SINGLE, bulk, claim, claim_until, put, with_lease


def output(tier: str = "big", **more: Any) -> dict[str, Any]:
    answer = {"tier": tier, "model_version": "v1", "confidence": 0.93, "degraded": False}
    return {"output": answer | more, "error": None}


DEGRADED = output("small", degraded=True, reason="timeout; Not a word")
FAILED = {"output": None, "error": {"code": "model_error", "message": "no"}}


@pytest.fixture
def worker(store: Store) -> Consumer:
    return Consumer(store, Lane.GPU)


def settled(unit: Unit, *items: CountedAnswer, device_us: int = 0) -> SettledUnit:
    counts = count_unit("null", "gpu", items, device_us)
    return SettledUnit(unit, [item.answer for item in items], {}, counters=counts)


def series(store: Store) -> dict[str, int]:
    found: Mapping[str, str] = store.redis.hgetall(keys.SERIES)  # type: ignore[assignment]
    return {name: int(count) for name, count in found.items()}


def counted(store: Store, name: str) -> dict[str, int]:
    return {
        key.partition("|")[2]: count
        for key, count in series(store).items()
        if key.startswith(f"{name}|")
    }


def test_buckets_are_those_of_the_scripts() -> None:
    text = (LUA / "includes/series.lua").read_text()
    (bounds,) = re.findall(r"BOUNDS = \{([^}]*)\}", text)
    assert [int(bound) for bound in bounds.split(",")] == [s * 1_000_000 for s in SECONDS_BOUNDS]


def test_items_are_counted_by_outcome(store: Store, worker: Consumer) -> None:
    put(store, bulk(4))
    (unit,) = claim(worker)
    items = (
        CountedAnswer(output(), asked=True),
        CountedAnswer(output(), cached=True),
        CountedAnswer(DEGRADED),
        CountedAnswer(FAILED),
    )
    worker.commit([settled(unit, *items)], {"device|null|gpu|big": 1_500})
    assert counted(store, "predictions") == {
        "null|big|v1|succeeded": 1,
        "null|big|v1|cached": 1,
        "null|small|v1|degraded": 1,
        "null|none|none|failed": 1,
    }
    assert counted(store, "items") == {"null|gpu|big": 1, "null|gpu|small": 1}
    assert counted(store, "degraded") == {"null|timeout": 1, "null|other": 1}
    assert counted(store, "cache_hits") == {"null": 1}
    assert counted(store, "cache_misses") == {"null": 1}
    assert counted(store, "device") == {"null|gpu|big": 1_500}
    assert counted(store, "confidence")["null|big|v1|sum"] == 1_860_000
    assert counted(store, "confidence")["null|big|v1|19"] == 2  # above 0.90, up to 0.95
    assert counted(store, "jobs") == {"null|succeeded": 1}
    assert counted(store, "job")["null|gpu|mixed|mixed|sum"] > 0


def test_durations_have_the_labels_of_the_answer(store: Store, worker: Consumer) -> None:
    put(store)
    (unit,) = claim(worker)
    worker.commit([settled(unit, CountedAnswer(output()))])
    for name in ("job", "queue", "inference"):
        buckets = counted(store, name)
        assert "null|gpu|big|v1|sum" in buckets
        assert sum(n for key, n in buckets.items() if not key.endswith("|sum")) == 1


def test_a_stale_commit_counts_only_itself(store: Store, worker: Consumer) -> None:
    put(store)
    (unit,) = claim(worker)
    worker.commit([settled(unit, CountedAnswer(output()))])
    before = series(store)
    worker.commit([settled(unit, CountedAnswer(output()))])
    assert series(store) == before | {"stale_units|gpu": 1}


def test_reclaimed_and_quarantined_units_are_counted(store: Store) -> None:
    quick = with_lease(store, 1_000)
    quick = Store(quick.redis, replace(quick.settings, max_attempts=1))
    put(quick)
    (unit,) = claim(Consumer(quick, Lane.GPU))
    store.redis.xclaim(unit.stream, keys.GROUP, "dead", 0, [unit.entry], idle=5_000)
    other = Consumer(quick, Lane.GPU)
    ended = other.claim(1, 0).ended
    assert [(one.job, one.status, one.failed) for one in ended] == [(unit.job, Status.FAILED, 1)]
    assert counted(store, "leases_reclaimed") == {"gpu": 1}
    assert counted(store, "units_quarantined") == {"null": 1}
    assert counted(store, "predictions") == {"null|none|none|failed": 1}
    assert counted(store, "jobs") == {"null|failed": 1}


def test_a_commit_returns_the_jobs_that_it_finished(store: Store, worker: Consumer) -> None:
    spec = replace(SINGLE.spec, request_id="r1", metadata={"a": 1})
    receipts = [put(store, replace(SINGLE, spec=spec)), put(store, bulk(8))]
    units = claim_until(worker, 3)
    first = worker.commit(
        [settled(unit, *[CountedAnswer(output())] * unit.items) for unit in units[:2]]
    )
    (ended,) = first.ended
    assert (ended.job, ended.spec, ended.total) == (receipts[0].job_id, spec, 1)
    assert ended.status is Status.SUCCEEDED
    assert ended.queue_ms is not None
    assert ended.run_ms is not None
    assert ended.total_ms == pytest.approx(ended.queue_ms + ended.run_ms)
    second = worker.commit([settled(units[2], *[CountedAnswer(output())] * 4)])
    assert [one.job for one in second.ended] == [receipts[1].job_id]


def test_usage_is_counted_by_owner(store: Store, worker: Consumer) -> None:
    put(store, bulk(2))
    (unit,) = claim(worker)
    items = (CountedAnswer(output()), CountedAnswer(output(), cached=True))
    worker.commit([settled(unit, *items, device_us=700)])
    (key,) = store.redis.keys("ps:usage:*")
    assert key == keys.usage("o", store.now_us() // 86_400_000_000)
    assert store.redis.hgetall(key) == {
        "gpu|null|jobs": "1",
        "gpu|null|items": "2",
        "gpu|null|cached": "1",
        "gpu|null|device_us": "700",
    }
    assert store.redis.pttl(key) > 92 * 86_400_000


def test_series_are_bounded(store: Store, worker: Consumer) -> None:
    pipe = store.redis.pipeline()
    for n in range(20_000):
        pipe.hset(keys.SERIES, f"x|{n}", 1)
    pipe.execute()
    put(store)
    (unit,) = claim(worker)
    worker.commit([settled(unit, CountedAnswer(output()))], {"x|1": 2})
    assert store.redis.hlen(keys.SERIES) == 20_001
    assert series(store)["x|1"] == 3
    assert series(store)["dropped"] > 1


def test_labels_cannot_break_a_series() -> None:
    assert series_key("a|b", "c\nd", "e f") == "a_b|c_d|e f"
    assert lines({"x|e f": 3, "none": 0}) == "x|e f 3"


def test_device_time_is_by_tier() -> None:
    verdicts = [Verdict("big", True, 0.5), Verdict("big", True, 0.25), Verdict("small", False, 0.1)]
    found = device_time("p", "gpu", verdicts)
    assert found == {"device|p|gpu|big": 750_000, "device|p|gpu|small": 100_000}


def test_a_failing_sink_does_not_keep_jobs_from_other_sinks() -> None:
    told: list[str] = []

    def broken(_: object) -> None:
        raise ValueError("no")

    job_sinks = JobSinks([broken, lambda jobs: told.extend(job.job for job in jobs)])
    job = FinishedJob("j", SINGLE.spec, Status.FAILED, "gpu", 1, None, 2, 1)
    job_sinks.report([job])
    job_sinks.report([job])
    job_sinks.report([])
    assert told == ["j", "j"]
