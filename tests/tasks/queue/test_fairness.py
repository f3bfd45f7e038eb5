"""Owners take turns within a priority, and none may have more unfinished items than its quota."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.jobs.cancel import cancel_job
from tasks.jobs.lanes import Lane, Priority
from tasks.jobs.submit import QuotaExceeded, Submission
from tasks.queue.consumer import Consumer
from tasks.queue.units import Unit
from tasks.store import keys
from tasks.store.client import Store
from tasks.store.scripts.queue import SWEEP, SweepArgs
from tests.listed import add
from tests.tasks.lanes import SINGLE, bulk, claim, done, job_of, put

BATCH = 64
AHEAD = 16  # items of an owner that may come before those of a new owner (units.lua)


def of(owner: str, submission: Submission = SINGLE, unfinished: int = 10_000) -> Submission:
    spec = replace(submission.spec, owner=owner)
    return replace(submission, spec=spec, most_unfinished=unfinished)


def owners(units: list[Unit], store: Store) -> Counter[str]:
    found = store.redis.hmget
    return Counter(str(found(keys.job(unit.job), "owner")[0]) for unit in units)


@pytest.fixture
def consumer(store: Store) -> Consumer:
    return Consumer(store, Lane.GPU)


def test_an_owner_that_comes_after_a_flood_waits_for_a_few_of_its_items(
    store: Store, consumer: Consumer
) -> None:
    for _ in range(200):
        put(store, of("flood"))
    late = {put(store, of("late")).job_id for _ in range(3)}
    claimed = claim(consumer, AHEAD + len(late))
    assert late == {unit.job for unit in claimed if unit.job in late}


def test_two_floods_share_a_batch(store: Store, consumer: Consumer) -> None:
    for _ in range(100):
        put(store, of("ann"))
    for _ in range(100):
        put(store, of("bob"))
    claim(consumer, BATCH)
    shares = owners(claim(consumer, BATCH), store)
    assert shares.total() == BATCH
    assert max(shares.values()) - min(shares.values()) <= AHEAD


def test_a_flood_alone_fills_its_batches_in_order(store: Store, consumer: Consumer) -> None:
    ids = [put(store, of("flood")).job_id for _ in range(150)]
    sizes, got = [], []
    while units := claim(consumer, BATCH):
        sizes.append(len(units))
        got += [unit.job for unit in units]
        consumer.commit([done(unit) for unit in units])
    assert got == ids
    assert sizes == [64, 64, 22]


def test_an_owner_with_many_waiting_units_yields_to_one_with_few(
    store: Store, consumer: Consumer
) -> None:
    for _ in range(500):
        put(store, of("flood"))
    for _ in range(100):
        put(store, of("ann"))
    claim(consumer, 2 * AHEAD)  # units that were added before many waited
    assert owners(claim(consumer, 50), store)["ann"] >= 35


def test_one_large_unit_of_each_owner_comes_before_a_new_owner(
    store: Store, consumer: Consumer
) -> None:
    put(store, of("bulky", bulk(640, unit_items=BATCH)))
    late = put(store, of("late")).job_id
    assert [unit.items for unit in claim(consumer, BATCH)] == [BATCH]
    assert late in {unit.job for unit in claim(consumer, BATCH)}


def test_priorities_are_kept_apart(store: Store, consumer: Consumer) -> None:
    for _ in range(40):
        put(store, of("ann", replace(SINGLE, priority=Priority.LOW)))
    urgent = put(store, of("ann", replace(SINGLE, priority=Priority.HIGH))).job_id
    assert urgent in {unit.job for unit in claim(consumer, AHEAD + 1)}


def test_a_cancelled_flood_leaves_nothing_behind(store: Store, consumer: Consumer) -> None:
    ids = [put(store, of("flood")).job_id for _ in range(100)]
    for job_id in ids:
        cancel_job(store, job_id)
    assert claim(consumer, BATCH) == []
    assert store.redis.keys("ps:lane:gpu:normal*") == ["ps:lane:gpu:normal"]
    assert store.redis.hget(keys.UNFINISHED, "flood") == "0"


def test_a_flood_without_a_gpu_worker_moves_to_the_cpu_lane(store: Store) -> None:
    cpu = Consumer(store, Lane.CPU)
    cpu.renew()
    ids = {put(store, replace(of("flood"), cpu_may_serve=True)).job_id for _ in range(100)}
    served: set[str] = set()
    while len(served) < len(ids):
        store.redis.delete(keys.SWEEP)
        lease_ms = store.settings.lease_ms
        store.run(SWEEP, SweepArgs("test", 1_000, lease_ms, 60_000, 10_000), [list(Lane)])
        units = claim(cpu, BATCH)
        assert {unit.reason for unit in units} <= {"no_gpu_worker"}
        cpu.commit([done(unit) for unit in units])
        served |= {unit.job for unit in units}
    assert served == ids
    assert store.redis.keys("ps:lane:gpu:normal:*") == []


@pytest.mark.parametrize("cpu_may_serve", [True, False])
def test_a_flood_that_stays_in_its_lane_does_not_end_the_sweep(
    store: Store, consumer: Consumer, cpu_may_serve: bool
) -> None:
    for alive in (consumer, Consumer(store, Lane.CPU)):
        alive.renew()
    for _ in range(100):
        put(store, replace(of("flood"), cpu_may_serve=cpu_may_serve))
    patience_ms = 3_600_000 if cpu_may_serve else 0
    lanes, _ = store.run(
        SWEEP, SweepArgs("test", 1, store.settings.lease_ms, 60_000, patience_ms), [list(Lane)]
    )
    assert "cpu" not in lanes
    assert store.redis.hget(keys.load("gpu"), "parked:normal") == str(100 - AHEAD)


def test_a_quota_counts_unfinished_items(store: Store, consumer: Consumer) -> None:
    put(store, of("ann", bulk(8), unfinished=10))
    with pytest.raises(QuotaExceeded) as caught:
        put(store, of("ann", bulk(3), unfinished=10))
    assert (caught.value.unfinished, caught.value.most) == (8, 10)
    assert caught.value.retry_after_s > 0
    put(store, of("bob", bulk(3), unfinished=10))
    (first, *_) = claim(consumer, 4)
    consumer.commit([done(first)])
    assert put(store, of("ann", bulk(3), unfinished=10)).wake_ups >= 0


def test_a_job_that_finishes_early_frees_its_quota(store: Store) -> None:
    receipt = put(store, of("ann", bulk(8), unfinished=10))
    cancel_job(store, receipt.job_id)
    assert job_of(store, put(store, of("ann", bulk(10), unfinished=10))).total == 10


def test_lists_drop_jobs_whose_records_have_expired(store: Store, consumer: Consumer) -> None:
    kept, gone = put(store), put(store)
    consumer.commit([done(unit) for unit in claim(consumer)])
    store.redis.delete(keys.job(gone.job_id))
    assert store.redis.zcard(keys.jobs("o", "succeeded")) == 2
    store.run(
        SWEEP, SweepArgs("test", 1_000, store.settings.lease_ms, -60_000, 10_000), [list(Lane)]
    )
    assert store.redis.zrange(keys.jobs("o", "succeeded"), 0, -1) == [kept.job_id]


@pytest.mark.parametrize(("owners", "jobs"), [(1, 4_000), (16, 50)])
def test_one_sweep_drops_as_many_jobs_as_expire_between_two(
    store: Store, owners: int, jobs: int
) -> None:
    for owner in map(str, range(owners)):
        add(store, range(jobs), owner=owner, kept=False)
        store.redis.hset(keys.UNFINISHED, owner, 0)
    store.run(
        SWEEP, SweepArgs("test", 1_000, store.settings.lease_ms, 60_000, 10_000), [list(Lane)]
    )
    assert store.redis.keys("ps:jobs:*") == []
    assert store.redis.exists(keys.UNFINISHED) == 0


def test_the_number_of_items_ahead_is_that_of_the_script() -> None:
    assert (
        f"local MOST_AHEAD = {AHEAD} -- items\n" in Path("tasks/lua/includes/units.lua").read_text()
    )
