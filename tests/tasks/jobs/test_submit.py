from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from tasks.jobs.lanes import Lane
from tasks.jobs.model import Status
from tasks.jobs.submit import (
    RETRY_UNKNOWN_S,
    Idempotency,
    IdempotencyMismatch,
    Overloaded,
    new_job_id,
    submit,
)
from tasks.queue.consumer import Consumer
from tasks.store.client import Store
from tests.tasks.lanes import OUTPUT, SINGLE, bulk, claim, counts, job_of, put

KEYED = replace(SINGLE, idempotency=Idempotency(key="k", body="b"))


def test_a_submitted_job_is_queued_and_its_unit_waits_in_the_lane(store: Store) -> None:
    receipt = put(store)
    job = job_of(store, receipt)
    assert (job.status, job.total, job.done, job.lane) == (Status.QUEUED, 1, 0, "gpu")
    assert job == receipt.job
    assert store.redis.xlen("ps:lane:gpu:normal") == 1


def test_a_bulk_job_is_cut_into_units_of_at_most_one_batch_in_input_order(store: Store) -> None:
    put(store, bulk(10, unit_items=4))
    units = claim(Consumer(store, Lane.GPU))
    assert [unit.items for unit in units] == [4, 4, 2]
    assert [unit.number for unit in units] == [1, 2, 3]
    texts = [entry["text"] for unit in units for entry in unit.payload.inputs]
    assert texts == [f"n{n}" for n in range(10)]


def test_submitting_the_same_id_twice_changes_nothing(store: Store) -> None:
    job_id = new_job_id()
    first = submit(store, SINGLE, job_id)
    again = submit(store, SINGLE, job_id)
    assert first.job == again.job
    assert store.redis.xlen("ps:lane:gpu:normal") == 1


def test_an_idempotency_key_with_the_same_body_leads_to_the_first_job(store: Store) -> None:
    first = put(store, KEYED)
    again = put(store, KEYED)
    assert again.job_id == first.job_id
    assert again.job is None
    assert store.redis.xlen("ps:lane:gpu:normal") == 1


def test_a_lost_reply_to_a_keyed_submit_may_be_asked_for_again(store: Store) -> None:
    job_id = new_job_id()
    first = submit(store, KEYED, job_id)
    assert submit(store, KEYED, job_id).job == first.job


def test_an_idempotency_key_with_another_body_is_refused(store: Store) -> None:
    put(store, KEYED)
    with pytest.raises(IdempotencyMismatch):
        put(store, replace(SINGLE, idempotency=Idempotency(key="k", body="other")))
    assert store.redis.xlen("ps:lane:gpu:normal") == 1


def test_two_owners_may_use_the_same_idempotency_key(store: Store) -> None:
    put(store, KEYED)
    other = put(store, replace(KEYED, spec=replace(SINGLE.spec, owner="other")))
    assert other.job is not None


def test_a_cached_answer_ends_the_job_at_once(store: Store) -> None:
    store.redis.set("ps:cache:x", orjson.dumps([OUTPUT]))
    receipt = put(store, replace(SINGLE, cache_key="ps:cache:x"))
    job = job_of(store, receipt)
    assert (job.status, job.cached, job.outcome) == (Status.SUCCEEDED, True, OUTPUT)
    assert job == receipt.job
    assert store.redis.ttl(f"ps:job:{job.id}") > 0
    assert counts(store) == {"succeeded": 1}
    assert store.redis.exists("ps:lane:gpu:normal") == 0


def test_a_wake_up_is_asked_for_at_each_batch_boundary(store: Store) -> None:
    wake_ups = [put(store).wake_ups for _ in range(9)]
    assert wake_ups == [1, 0, 0, 0, 1, 0, 0, 0, 1]


def test_a_bulk_job_asks_for_a_wake_up_per_unit(store: Store) -> None:
    assert put(store, bulk(12, unit_items=4)).wake_ups == 3


def test_an_awake_worker_is_notified_through_redis_instead_of_celery(store: Store) -> None:
    worker = Consumer(store, Lane.GPU)
    claim(worker, awake_ms=60_000)
    assert put(store).wake_ups == 0
    assert worker.wait_for_wakeup(5)
    assert len(claim(worker)) == 1


def test_a_worker_that_finds_nothing_and_sleeps_must_be_woken(store: Store) -> None:
    worker = Consumer(store, Lane.GPU)
    claim(worker, awake_ms=60_000)
    claim(worker, awake_ms=0)
    assert put(store).wake_ups == 1


def small(store: Store, most: int) -> Store:
    return Store(store.redis, replace(store.settings, max_lane_units=most))


def test_a_full_lane_refuses_and_writes_nothing(store: Store) -> None:
    short = small(store, 2)
    put(short)
    put(short)
    keys_before = set(store.redis.keys())
    with pytest.raises(Overloaded) as refused:
        put(short, KEYED)
    assert (refused.value.reason, refused.value.waiting) == ("full", 2)
    assert refused.value.retry_after_s == RETRY_UNKNOWN_S
    assert set(store.redis.keys()) == keys_before


def test_a_lane_takes_jobs_again_once_units_are_claimed(store: Store) -> None:
    short = small(store, 1)
    put(short)
    claim(Consumer(store, Lane.GPU))
    assert put(short).job is not None


def test_retry_after_is_the_time_in_which_a_tenth_drains(store: Store) -> None:
    short = small(store, 40)
    for _ in range(40):
        put(short)
    store.redis.hset("ps:lane:gpu:rate", "per_s", "0.5")
    with pytest.raises(Overloaded) as refused:
        put(short)
    assert refused.value.retry_after_s == 8


def test_a_deadline_that_cannot_be_met_at_the_drain_rate_is_refused_at_once(store: Store) -> None:
    for _ in range(10):
        put(store)
    store.redis.hset("ps:lane:gpu:rate", "per_s", "2")
    with pytest.raises(Overloaded, match="late"):
        put(store, replace(SINGLE, deadline_ms=4_999))
    assert put(store, replace(SINGLE, deadline_ms=5_000)).job is not None


def test_a_cached_answer_is_given_however_full_the_lane_is(store: Store) -> None:
    short = small(store, 1)
    put(short)
    store.redis.set("ps:cache:x", orjson.dumps([OUTPUT]))
    assert put(short, replace(SINGLE, cache_key="ps:cache:x")).job is not None
