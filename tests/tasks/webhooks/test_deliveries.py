"""Deliveries: queued by the scripts that finish jobs, retried by Redis's clock, never lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tasks.jobs.cancel import cancel_job
from tasks.jobs.lanes import Lane
from tasks.jobs.submit import Submission, new_job_id, submit
from tasks.queue.consumer import Consumer
from tasks.queue.units import Unit
from tasks.store import keys
from tasks.store.client import Store
from tasks.store.scripts.queue import SWEEP, SweepArgs
from tasks.webhooks.deliveries import (
    Delivery,
    Result,
    deliveries_of,
    ping,
    read_delivery,
    redeliver,
)
from tasks.webhooks.delivery.attempts import Attempt, FailingEndpoint, record
from tests.tasks.lanes import SINGLE, claim, claim_until, done, put

HOUR_MS = 3_600_000
ALL = "job.succeeded job.failed job.cancelled job.expired"


def hooked(*events: str, url: str = "https://example.com/hook") -> Submission:
    return replace(SINGLE, spec=replace(SINGLE.spec, webhook={"url": url, "events": list(events)}))


@pytest.fixture
def gpu(store: Store) -> Consumer:
    return Consumer(store, Lane.GPU)


@pytest.fixture
def hooks(store: Store) -> Consumer:
    return Consumer(store, Lane.WEBHOOKS)


def finished(store: Store, gpu: Consumer, submission: Submission) -> str:
    receipt = put(store, submission)
    gpu.commit([done(unit) for unit in claim(gpu)])
    return receipt.job_id


def sweep(store: Store) -> list[str] | None:
    store.redis.delete(keys.SWEEP)
    settings = store.settings
    found = store.run(
        SWEEP, SweepArgs("test", 1_000, settings.lease_ms, 60_000, HOUR_MS), [list(Lane)]
    )
    return found[0] if found else None


def only(store: Store, job_id: str) -> Delivery:
    (delivery,) = deliveries_of(store, job_id)
    return delivery


def tried(unit: Unit, result: Result, wait_ms: int = 0, **entry: Any) -> Attempt:
    return Attempt(unit, result, wait_ms, entry, body="the body")


def test_a_finished_job_queues_its_webhook(store: Store, gpu: Consumer, hooks: Consumer) -> None:
    job_id = finished(store, gpu, hooked("job.succeeded"))
    delivery = only(store, job_id)
    assert (delivery.event, delivery.endpoint, delivery.status) == (
        "job.succeeded",
        "job",
        "queued",
    )
    assert delivery.id == f"msg_{job_id.removeprefix('job_')}_job"
    assert delivery.target == "o@example.com"
    (unit,) = claim(hooks)
    assert (unit.job, unit.attempt) == (delivery.id, 1)


@pytest.mark.parametrize(
    ("events", "queued"),
    [(["job.failed"], 0), (["job.succeeded", "job.failed"], 1), ([], 0)],
)
def test_only_chosen_events_are_delivered(
    store: Store, gpu: Consumer, events: list[str], queued: int
) -> None:
    job_id = finished(store, gpu, hooked(*events))
    assert len(deliveries_of(store, job_id)) == queued


def test_every_endpoint_of_the_owner_gets_the_event_and_no_other_owners(
    store: Store, gpu: Consumer
) -> None:
    store.redis.hset(keys.hooks("o"), mapping={"we_1": ALL, "we_2": "job.failed", "we_3": ALL})
    store.redis.hset(keys.hooks("other"), "we_4", ALL)
    job_id = finished(store, gpu, hooked("job.succeeded"))
    endpoints = sorted(delivery.endpoint for delivery in deliveries_of(store, job_id))
    assert endpoints == ["job", "we_1", "we_3"]


def test_cancelled_expired_and_cached_jobs_queue_deliveries_too(
    store: Store, gpu: Consumer
) -> None:
    store.redis.hset(keys.hooks("o"), "we_1", ALL)
    cancelled = put(store).job_id
    cancel_job(store, cancelled)
    expired = put(store, replace(SINGLE, deadline_ms=1)).job_id
    while not sweep(store) and not deliveries_of(store, expired):
        pass
    store.redis.set("ps:cache:x", '[{"output":1,"error":null}]')
    hit = submit(store, replace(SINGLE, cache_key="ps:cache:x"), new_job_id()).job_id
    events = [only(store, job_id).event for job_id in (cancelled, expired, hit)]
    assert events == ["job.cancelled", "job.expired", "job.succeeded"]


def test_the_commit_says_whether_the_lane_must_be_woken(
    store: Store, gpu: Consumer, hooks: Consumer
) -> None:
    put(store, hooked("job.succeeded"))
    assert gpu.commit([done(unit) for unit in claim(gpu)]).wake == [Lane.WEBHOOKS]
    put(store)
    assert gpu.commit([done(unit) for unit in claim(gpu)]).wake == []
    claim(hooks, awake_ms=10_000)
    put(store, hooked("job.succeeded"))
    assert gpu.commit([done(unit) for unit in claim(gpu)]).wake == []
    assert hooks.wait_for_wakeup(1) is True


def test_a_success_finishes_the_delivery_and_keeps_its_log(
    store: Store, gpu: Consumer, hooks: Consumer
) -> None:
    job_id = finished(store, gpu, hooked("job.succeeded"))
    (unit,) = claim(hooks)
    assert record(hooks, [tried(unit, Result.SUCCEEDED, status=200)]) == (0, [])
    delivery = only(store, job_id)
    assert (delivery.status, delivery.tries, delivery.log) == ("succeeded", 1, [{"status": 200}])
    assert 0 < store.redis.pttl(keys.delivery(delivery.id)) <= 7 * 86_400_000
    assert store.redis.hgetall(keys.WEBHOOKS_COUNTS) == {"succeeded": "1"}
    assert claim(hooks) == []


def test_a_failed_attempt_is_retried_when_it_is_due(
    store: Store, gpu: Consumer, hooks: Consumer
) -> None:
    job_id = finished(store, gpu, hooked("job.succeeded"))
    (unit,) = claim(hooks)
    record(hooks, [tried(unit, Result.RETRY, HOUR_MS, status=500)])
    sweep(store)
    assert claim(hooks) == []
    delivery = only(store, job_id)
    assert (delivery.status, delivery.tries, delivery.body) == ("queued", 1, "the body")
    assert delivery.next is not None
    store.redis.zadd(keys.WEBHOOKS_DUE, {delivery.id: 1})
    sweep(store)
    (again,) = claim(hooks)
    assert (again.job, again.attempt) == (delivery.id, 1)
    record(hooks, [tried(again, Result.SUCCEEDED, status=204)])
    assert [entry["status"] for entry in only(store, job_id).log] == [500, 204]


def test_a_postponed_delivery_counts_no_attempt(
    store: Store, gpu: Consumer, hooks: Consumer
) -> None:
    job_id = finished(store, gpu, hooked("job.succeeded"))
    (unit,) = claim(hooks)
    record(hooks, [Attempt(unit, Result.POSTPONED, 0)])
    assert (only(store, job_id).tries, only(store, job_id).log) == (0, [])
    sweep(store)
    assert [one.job for one in claim(hooks)] == [only(store, job_id).id]


def test_the_delivery_of_a_dead_worker_goes_to_another(
    store: Store, gpu: Consumer, hooks: Consumer
) -> None:
    job_id = finished(store, gpu, hooked("job.succeeded"))
    (lost,) = claim(hooks)
    store.redis.xclaim(
        lost.stream, keys.GROUP, hooks.name, 0, [lost.entry], idle=HOUR_MS, justid=True
    )
    other = Consumer(store, Lane.WEBHOOKS)
    (unit,) = claim_until(other, 1)
    assert (unit.job, unit.attempt) == (lost.job, 2)
    assert record(hooks, [tried(lost, Result.SUCCEEDED)]) == (1, [])
    assert record(other, [tried(unit, Result.SUCCEEDED)]) == (0, [])
    assert only(store, job_id).tries == 1


def test_a_delivery_that_kills_three_workers_is_given_up(
    store: Store, gpu: Consumer, hooks: Consumer
) -> None:
    job_id = finished(store, gpu, hooked("job.succeeded"))
    for _ in range(store.settings.max_attempts):
        (unit,) = claim_until(hooks, 1)
        store.redis.xclaim(
            unit.stream, keys.GROUP, hooks.name, 0, [unit.entry], idle=HOUR_MS, justid=True
        )
    assert claim(hooks) == []
    assert only(store, job_id).status == "failed"
    dead: Any = store.redis.xrange(keys.DEAD_WEBHOOKS)
    assert [fields["delivery"] for _, fields in dead] == [only(store, job_id).id]


def test_only_its_owner_can_redeliver_a_finished_delivery(
    store: Store, gpu: Consumer, hooks: Consumer
) -> None:
    job_id = finished(store, gpu, hooked("job.succeeded"))
    (unit,) = claim(hooks)
    record(hooks, [tried(unit, Result.FAILED, status=500)])
    delivery = only(store, job_id)
    assert delivery.status == "failed"
    assert redeliver(store, delivery.id, "somebody") is False
    assert redeliver(store, "msg_nowhere_job", "o") is False
    assert claim(hooks) == []
    assert redeliver(store, delivery.id, "o") is True
    assert store.redis.pttl(keys.delivery(delivery.id)) == -1
    (again,) = claim(hooks)
    record(hooks, [tried(again, Result.SUCCEEDED, status=200)])
    found = read_delivery(store, delivery.id)
    assert found is not None
    assert (found.status, found.tries) == ("succeeded", 2)


def test_redelivering_a_running_delivery_sends_it_once(
    store: Store, gpu: Consumer, hooks: Consumer
) -> None:
    job_id = finished(store, gpu, hooked("job.succeeded"))
    delivery = only(store, job_id)
    assert redeliver(store, delivery.id, "o") is True
    (unit,) = claim(hooks)
    assert redeliver(store, delivery.id, "o") is True
    record(hooks, [tried(unit, Result.SUCCEEDED)])
    assert claim(hooks) == []


def test_an_endpoint_counts_as_failing_until_it_succeeds(
    store: Store, gpu: Consumer, hooks: Consumer
) -> None:
    store.redis.hset(keys.hooks("o"), "we_1", ALL)
    finished(store, gpu, SINGLE)
    (unit,) = claim(hooks)
    _, failing = record(hooks, [tried(unit, Result.RETRY)])
    assert failing == [FailingEndpoint("we_1", "o", 0)]
    since, last = str(store.redis.hget(keys.WEBHOOKS_FAILING, "we_1")).split()
    store.redis.hset(keys.WEBHOOKS_FAILING, "we_1", f"{int(since) - HOUR_MS} {last}")
    sweep(store)
    (unit,) = claim(hooks)
    _, (found,) = record(hooks, [tried(unit, Result.RETRY)])
    assert found.for_ms >= HOUR_MS
    sweep(store)
    (unit,) = claim(hooks)
    assert record(hooks, [tried(unit, Result.SUCCEEDED)]) == (0, [])
    assert store.redis.hgetall(keys.WEBHOOKS_FAILING) == {}


def test_a_flood_at_one_endpoint_does_not_hold_up_another(
    store: Store, gpu: Consumer, hooks: Consumer
) -> None:
    flood = hooked("job.succeeded", url="https://dead.example/")
    for _ in range(100):
        put(store, flood)
    while units := claim(gpu):
        gpu.commit([done(unit) for unit in units])
    job_id = finished(store, gpu, hooked("job.succeeded", url="https://alive.example/"))
    assert only(store, job_id).id in {unit.job for unit in claim(hooks, 17)}


def test_after_a_long_time_without_requests_the_time_of_failing_starts_again(
    store: Store, gpu: Consumer, hooks: Consumer
) -> None:
    store.redis.hset(keys.hooks("o"), "we_1", ALL)
    store.redis.hset(keys.WEBHOOKS_FAILING, "we_1", "1000 2000")
    finished(store, gpu, SINGLE)
    (unit,) = claim(hooks)
    assert record(hooks, [tried(unit, Result.RETRY)]) == (0, [FailingEndpoint("we_1", "o", 0)])


def test_an_attempt_that_never_reached_the_endpoint_does_not_count_against_it(
    store: Store, gpu: Consumer, hooks: Consumer
) -> None:
    store.redis.hset(keys.hooks("o"), "we_1", ALL)
    finished(store, gpu, SINGLE)
    (unit,) = claim(hooks)
    unasked = replace(tried(unit, Result.FAILED), asked=False)
    assert record(hooks, [unasked]) == (0, [])
    assert store.redis.exists(keys.WEBHOOKS_FAILING, keys.webhook_breaker("we_1")) == 0


def test_failures_in_a_row_open_the_breaker_of_a_target_and_a_success_closes_it(
    store: Store, gpu: Consumer, hooks: Consumer
) -> None:
    key = keys.webhook_breaker("o@example.com")
    for failures in range(1, store.settings.breaker_failures + 1):
        finished(store, gpu, hooked("job.succeeded"))
        (unit,) = claim(hooks)
        record(hooks, [tried(unit, Result.RETRY, HOUR_MS)])
        count, open_until, _ = str(store.redis.get(key)).split()
        assert int(count) == failures
        assert (open_until != "0") is (failures == store.settings.breaker_failures)
    finished(store, gpu, hooked("job.succeeded"))
    (unit,) = claim(hooks)
    record(hooks, [tried(unit, Result.SUCCEEDED)])
    assert store.redis.exists(key) == 0


def test_a_target_that_has_failed_for_long_is_probed_rarely(
    store: Store, gpu: Consumer, hooks: Consumer
) -> None:
    key = keys.webhook_breaker("o@example.com")
    now_ms = store.now_us() // 1000
    for failing_ms, most_ms in ((100_000, 50_000), (HOUR_MS, 300_000)):
        store.redis.set(key, f"9 0 {now_ms - failing_ms}")
        finished(store, gpu, hooked("job.succeeded"))
        (unit,) = claim(hooks)
        record(hooks, [tried(unit, Result.RETRY, HOUR_MS)])
        open_until = int(str(store.redis.get(key)).split()[1])
        assert most_ms <= open_until - now_ms <= most_ms + 30_000


def test_a_slow_endpoint_keeps_its_own_deliveries_waiting(
    store: Store, gpu: Consumer, hooks: Consumer
) -> None:
    for _ in range(100):
        put(store, hooked("job.succeeded", url="https://slow.example/"))
    while units := claim(gpu):
        gpu.commit([done(unit) for unit in units])
    held = []
    while units := claim(hooks):
        held += units
    assert len(held) == 16
    record(hooks, [tried(unit, Result.SUCCEEDED) for unit in held[:8]])
    assert len(claim(hooks)) == 8
    assert claim(hooks) == []


def test_every_delivery_to_a_busy_target_is_claimed_in_the_end(
    store: Store, gpu: Consumer, hooks: Consumer
) -> None:
    for _ in range(100):
        put(store, hooked("job.succeeded"))
    while units := claim(gpu):
        gpu.commit([done(unit) for unit in units])
    seen = []
    while units := claim(hooks, 7):
        seen += [unit.job for unit in units]
        record(hooks, [tried(unit, Result.SUCCEEDED) for unit in units])
    assert (len(seen), len(set(seen))) == (100, 100)
    assert store.redis.keys("ps:lane:webhooks:normal:*") == []


def test_a_released_delivery_is_claimed_as_if_for_the_first_time(
    store: Store, gpu: Consumer, hooks: Consumer
) -> None:
    finished(store, gpu, hooked("job.succeeded"))
    hooks.release(claim(hooks))
    (unit,) = claim(Consumer(store, Lane.WEBHOOKS))
    assert unit.attempt == 1


def test_a_redelivery_is_marked_as_manual_until_it_is_attempted(
    store: Store, gpu: Consumer, hooks: Consumer
) -> None:
    job_id = finished(store, gpu, hooked("job.succeeded"))
    (unit,) = claim(hooks)
    record(hooks, [tried(unit, Result.FAILED)])
    assert only(store, job_id).trigger is None
    redeliver(store, only(store, job_id).id, "o")
    assert only(store, job_id).trigger == "manual"
    (again,) = claim(hooks)
    record(hooks, [tried(again, Result.SUCCEEDED)])
    assert only(store, job_id).trigger is None


def test_a_ping_belongs_to_no_job(store: Store, hooks: Consumer) -> None:
    sent = ping(store, "o", "we_1")
    assert sent.wake is True
    found = read_delivery(store, sent.id)
    assert found is not None
    assert (found.job, found.event, found.endpoint, found.trigger) == ("", "ping", "we_1", "test")
    (unit,) = claim(hooks)
    record(hooks, [tried(unit, Result.FAILED)])
    assert store.redis.exists(keys.DEAD_WEBHOOKS) == 0
    assert store.redis.pttl(keys.delivery(sent.id)) > 0


def test_a_due_retry_wakes_the_lane(store: Store, gpu: Consumer, hooks: Consumer) -> None:
    finished(store, gpu, hooked("job.succeeded"))
    (unit,) = claim(hooks)
    record(hooks, [tried(unit, Result.RETRY)])
    assert sweep(store) == ["webhooks"]
