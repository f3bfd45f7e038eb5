"""Admission: which lane takes a job, and when the job is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from redis.exceptions import OutOfMemoryError

from tasks.jobs.cancel import cancel_job
from tasks.jobs.lanes import Lane
from tasks.jobs.payload import Payload
from tasks.jobs.staged_upload import StagedUpload
from tasks.jobs.submit import Overloaded, new_job_id
from tasks.queue.consumer import Consumer
from tasks.queue.units import Unit
from tasks.store import keys
from tasks.store.client import Store
from tasks.store.scripts.queue import SWEEP, SweepArgs
from tests.tasks.lanes import SINGLE, bulk, claim, done, job_of, put

BREAKER = "null/null"
ANYWHERE = replace(SINGLE, cpu_may_serve=True, breaker=BREAKER)
FAR_MS = 4_000_000_000_000


@pytest.fixture
def cpu_worker(store: Store) -> Consumer:
    worker = Consumer(store, Lane.CPU)
    worker.renew()
    return worker


def limited(store: Store, **limits: Any) -> Store:
    return Store(store.redis, replace(store.settings, **limits))


def load(store: Store, lane: str) -> dict[str, int]:
    found: dict[Any, Any] = store.redis.hgetall(keys.load(lane))
    return {str(name): int(value) for name, value in found.items()}


def open_breaker(store: Store, until_ms: int = FAR_MS) -> None:
    store.redis.hset(keys.BREAKERS, BREAKER, f"5 {until_ms}")


def test_a_lane_that_holds_too_many_bytes_refuses(store: Store) -> None:
    small = limited(store, max_lane_bytes=1_024)
    long = replace(SINGLE, inputs=[{"text": "x" * 900}])
    put(small, long)
    with pytest.raises(Overloaded, match="full"):
        put(small, long)
    assert store.redis.xlen("ps:lane:gpu:normal") == 1


def test_a_full_gpu_lane_passes_jobs_to_the_cpu_lane(store: Store, cpu_worker: Consumer) -> None:
    small = limited(store, max_lane_units=1)
    put(small, ANYWHERE)
    receipt = put(small, ANYWHERE)
    assert (receipt.lane, job_of(store, receipt).lane) == (Lane.CPU, "cpu")
    assert [unit.reason for unit in claim(cpu_worker)] == ["gpu_backlog"]


def test_a_deadline_that_the_gpu_lane_cannot_meet_is_met_by_the_cpu_lane(
    store: Store, cpu_worker: Consumer
) -> None:
    put(store, ANYWHERE)
    store.redis.hset("ps:lane:gpu:rate", "per_s", "0.001")
    receipt = put(store, replace(ANYWHERE, deadline_ms=5_000))
    assert receipt.lane is Lane.CPU
    with pytest.raises(Overloaded, match="late"):
        put(store, replace(SINGLE, deadline_ms=5_000))


def test_full_lanes_both_refuse(store: Store, cpu_worker: Consumer) -> None:
    small = limited(store, max_lane_units=1)
    put(small, ANYWHERE)
    put(small, ANYWHERE)
    with pytest.raises(Overloaded, match="full"):
        put(small, ANYWHERE)


def test_while_a_breaker_is_open_new_jobs_go_to_the_cpu_lane(
    store: Store, cpu_worker: Consumer
) -> None:
    open_breaker(store)
    assert put(store, ANYWHERE).lane is Lane.CPU
    assert [unit.reason for unit in claim(cpu_worker)] == ["breaker_open"]


def test_a_job_whose_client_rejects_degraded_answers_stays_in_the_gpu_lane(
    store: Store, cpu_worker: Consumer
) -> None:
    open_breaker(store)
    assert put(store, replace(ANYWHERE, cpu_may_serve=False)).lane is Lane.GPU


def test_without_a_cpu_worker_a_job_stays_in_the_gpu_lane(store: Store) -> None:
    open_breaker(store)
    assert put(store, ANYWHERE).lane is Lane.GPU


def test_after_the_cool_down_new_jobs_go_to_the_gpu_lane_again(
    store: Store, cpu_worker: Consumer
) -> None:
    open_breaker(store, until_ms=1)
    assert put(store, ANYWHERE).lane is Lane.GPU


def test_the_load_of_a_lane_follows_its_units(store: Store, cpu_worker: Consumer) -> None:
    worker = Consumer(store, Lane.GPU)
    put(store, bulk(10, unit_items=4))
    waiting = put(store, ANYWHERE)
    first, second, *rest = claim(worker)
    held = load(store, "gpu")
    assert held["items"] == 11
    assert held["bytes"] == sum(unit.bytes for unit in (first, second, *rest))
    worker.commit([done(first)])
    assert load(store, "gpu")["bytes"] == held["bytes"] - first.bytes
    worker.commit([done(first)])
    assert load(store, "gpu")["items"] == 11 - first.items
    cancel_job(store, waiting.job_id)
    worker.commit([done(unit) for unit in (second, *rest)])
    assert load(store, "gpu") == {"items": 0, "bytes": 0}


def test_a_moved_unit_counts_in_the_load_of_its_new_lane(
    store: Store, cpu_worker: Consumer
) -> None:
    put(store, ANYWHERE)
    before = load(store, "gpu")
    lease_ms = store.settings.lease_ms
    store.run(SWEEP, SweepArgs("test", 1_000, lease_ms, 60_000, 3_600_000), [list(Lane)])
    assert (load(store, "gpu"), load(store, "cpu")) == ({"items": 0, "bytes": 0}, before)


@pytest.fixture
def full(store: Store) -> Iterator[Store]:
    """A Redis whose memory is used up to the byte."""
    yield store
    store.redis.config_set("maxmemory", 0)


def limit_memory(store: Store, more: int) -> None:
    used = int(store.redis.info("memory")["used_memory"])
    store.redis.config_set("maxmemory", used + more)


def end_all(worker: Consumer, units: list[Unit]) -> None:
    assert worker.commit([done(unit) for unit in units]).stale == 0


def test_submits_are_refused_while_redis_still_has_its_head_room(full: Store) -> None:
    limit_memory(full, more=50_000)  # far less than a tenth
    with pytest.raises(Overloaded, match="memory"):
        put(full)
    assert full.redis.keys("ps:job:*") == []


def test_uploads_that_never_end_leave_memory_to_submits(full: Store) -> None:
    full.redis.set("ballast", "x" * 2**24)
    used = int(full.redis.info("memory")["used_memory"])
    full.redis.config_set("maxmemory", int(used / 0.8))  # submits are let in to 90 percent
    upload = StagedUpload(full, new_job_id(), "flood", None)
    with pytest.raises(Overloaded, match="memory"):
        upload.add(Payload("null", {}, [{"text": "hello"}]))
    assert full.redis.keys("ps:inputs:*") == []
    assert put(full).wake_ups >= 0


def test_accepted_jobs_finish_although_redis_is_full(full: Store) -> None:
    receipts = [put(full) for _ in range(6)]
    cancelled, expired = receipts.pop(), receipts.pop()
    worker = Consumer(full, Lane.GPU)
    limit_memory(full, more=-100_000)
    with pytest.raises(OutOfMemoryError):
        full.redis.set("anything", "x")
    cancel_job(full, cancelled.job_id)
    full.redis.config_set("maxmemory", 0)
    full.redis.hset(keys.job(expired.job_id), "deadline", 1)
    full.redis.zadd(keys.DEADLINES, {expired.job_id: 1})
    limit_memory(full, more=-100_000)
    full.run(
        SWEEP, SweepArgs("test", 1_000, full.settings.lease_ms, 60_000, 3_600_000), [list(Lane)]
    )
    worker.renew()
    (released, *units) = claim(worker)
    worker.release([released])
    end_all(worker, units)
    end_all(worker, claim(worker))
    ends = [job_of(full, receipt).status for receipt in (*receipts, cancelled, expired)]
    assert ends == ["succeeded"] * 4 + ["cancelled", "expired"]
    assert full.redis.info("stats")["evicted_keys"] == 0
