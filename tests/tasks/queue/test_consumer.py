from __future__ import annotations

from dataclasses import replace

from tasks.jobs.cancel import cancel_job
from tasks.jobs.lanes import Lane, Priority
from tasks.jobs.model import Status
from tasks.jobs.read import read_results
from tasks.queue.consumer import Consumer
from tasks.store.client import Store
from tests.tasks.lanes import (
    ERROR,
    OUTPUT,
    SINGLE,
    bulk,
    claim,
    claim_until,
    counts,
    crash,
    done,
    job_of,
    put,
    with_lease,
)


def consumer_of(store: Store, lane: Lane = Lane.GPU) -> Consumer:
    return Consumer(store, lane)


def test_a_claim_marks_the_job_running_and_counts_the_attempt(store: Store) -> None:
    receipt = put(store)
    (unit,) = claim(consumer_of(store))
    job = job_of(store, receipt)
    assert (unit.attempt, job.status, job.attempts) == (1, Status.RUNNING, 1)
    assert job.started is not None
    assert unit.payload.inputs == [{"text": "hello"}]


def test_a_unit_is_held_by_one_worker_only(store: Store) -> None:
    put(store)
    assert len(claim(consumer_of(store))) == 1
    assert claim(consumer_of(store)) == []


def test_a_claim_takes_at_most_the_requested_items_and_returns_how_many_units_are_left(
    store: Store,
) -> None:
    for _ in range(5):
        put(store)
    found = consumer_of(store).claim(3, awake_ms=0)
    assert (len(found.units), found.waiting) == (3, 2)


def test_a_commit_finishes_the_job_and_leaves_nothing_in_the_lane(store: Store) -> None:
    receipt = put(store)
    consumer = consumer_of(store)
    assert consumer.commit([done(unit) for unit in claim(consumer)]).stale == 0
    job = job_of(store, receipt)
    assert (job.status, job.done) == (Status.SUCCEEDED, 1)
    assert job.outcome == {"output": {"label": "allow"}, "error": None}
    assert store.redis.xlen("ps:lane:gpu:normal") == 0
    assert store.redis.xpending("ps:lane:gpu:normal", "workers")["pending"] == 0
    assert store.redis.ttl(f"ps:job:{job.id}") > 0


def test_an_error_of_its_only_item_fails_the_job(store: Store) -> None:
    receipt = put(store)
    consumer = consumer_of(store)
    consumer.commit([done(unit, ERROR) for unit in claim(consumer)])
    job = job_of(store, receipt)
    assert job.status is Status.FAILED
    assert job.view()["error"] == ERROR["error"]


def test_a_bulk_job_succeeds_with_its_last_unit_even_if_some_items_failed(store: Store) -> None:
    receipt = put(store, bulk(6, unit_items=2))
    consumer = consumer_of(store)
    first, second, third = claim(consumer)
    consumer.commit([done(third), done(first, ERROR)])
    job = job_of(store, receipt)
    assert (job.status, job.done, job.failed) == (Status.RUNNING, 4, 2)
    consumer.commit([done(second)])
    job = job_of(store, receipt)
    assert (job.status, job.done, job.failed) == (Status.SUCCEEDED, 6, 2)
    assert counts(store) == {"succeeded": 1}


def test_results_stand_in_input_order_while_the_job_runs(store: Store) -> None:
    receipt = put(store, bulk(5, unit_items=2))
    consumer = consumer_of(store)
    _, second, _ = claim(consumer)
    consumer.commit([done(second)])
    lines = list(read_results(store, job_of(store, receipt)))
    assert [line["index"] for line in lines] == [0, 1, 2, 3, 4]
    assert [line["status"] for line in lines] == [
        *("running", "running", "succeeded", "succeeded", "running")
    ]


def test_a_second_commit_of_the_same_unit_changes_nothing(store: Store) -> None:
    receipt = put(store)
    consumer = consumer_of(store)
    (unit,) = claim(consumer)
    consumer.commit([done(unit)])
    assert consumer.commit([done(unit, ERROR)]).stale == 1
    assert job_of(store, receipt).status is Status.SUCCEEDED
    assert counts(store) == {"succeeded": 1}


def test_a_unit_with_an_expired_lease_goes_to_the_next_claim(store: Store) -> None:
    short = with_lease(store, 20)
    receipt = put(store)
    first, second = consumer_of(short), consumer_of(short)
    (lost,) = claim(first)
    (taken,) = claim_until(second, 1)
    assert (lost.attempt, taken.attempt) == (1, 2)
    assert first.commit([done(lost, ERROR)]).stale == 1
    second.store = store  # a long lease again, so that this commit cannot come too late
    assert second.commit([done(taken)]).stale == 0
    job = job_of(store, receipt)
    assert (job.status, job.attempts) == (Status.SUCCEEDED, 2)


def test_a_worker_with_an_expired_lease_commits_nothing_even_if_nobody_claimed_the_unit(
    store: Store,
) -> None:
    short = with_lease(store, 2)
    receipt = put(store)
    consumer = consumer_of(short)
    (unit,) = claim(consumer)
    while store.redis.xpending_range("ps:lane:gpu:normal", "workers", "-", "+", 1, idle=2) == []:
        pass
    assert consumer.commit([done(unit)]).stale == 1
    assert job_of(store, receipt).status is Status.RUNNING


def test_renewing_extends_the_lease_and_returns_lost_entries(store: Store) -> None:
    put(store)
    put(store)
    consumer, thief = consumer_of(store), consumer_of(store)
    mine, stolen = claim(consumer)
    store.redis.xclaim("ps:lane:gpu:normal", "workers", thief.name, 0, [stolen.entry])
    store.redis.xclaim(
        "ps:lane:gpu:normal", "workers", consumer.name, 0, [mine.entry], idle=10_000, justid=True
    )
    assert consumer.renew() == [stolen.entry]
    (held,) = store.redis.xpending_range(
        "ps:lane:gpu:normal", "workers", "-", "+", 9, consumername=consumer.name
    )
    assert int(held["time_since_delivered"]) < 10_000


def test_a_heartbeat_registers_the_worker_and_deregister_removes_it(store: Store) -> None:
    consumer = consumer_of(store)
    consumer.renew()
    assert store.redis.zrange("ps:workers", 0, -1) == [f"gpu/{consumer.name}"]
    consumer.deregister()
    assert store.redis.zrange("ps:workers", 0, -1) == []


def test_deregister_keeps_the_leases_of_units_that_are_still_held(store: Store) -> None:
    put(store)
    consumer = consumer_of(store)
    claim(consumer)
    consumer.deregister()
    assert store.redis.xpending("ps:lane:gpu:normal", "workers")["pending"] == 1


def test_a_released_unit_is_claimed_at_once_and_the_attempt_is_not_counted(store: Store) -> None:
    put(store)
    consumer = consumer_of(store)
    consumer.release(claim(consumer))
    (unit,) = claim(consumer_of(store))
    assert unit.attempt == 1


def test_the_fourth_claim_of_a_unit_fails_its_job_as_poison_input(store: Store) -> None:
    short = with_lease(store, 2)
    receipt = put(store, bulk(2, unit_items=2))
    for attempt in (1, 2, 3):
        (unit,) = claim_until(consumer_of(short), 1)
        assert unit.attempt == attempt
    while job_of(store, receipt).status is Status.RUNNING:
        assert claim(consumer_of(short)) == []
    lines = list(read_results(store, job_of(store, receipt)))
    assert job_of(store, receipt).status is Status.FAILED
    assert [line["error"]["code"] for line in lines] == ["poison_input"] * 2
    assert store.redis.xlen("ps:lane:gpu:normal") == 0


def test_units_that_a_dead_worker_held_are_claimed_one_at_a_time(store: Store) -> None:
    for _ in range(3):
        put(store)
    dead, consumer = consumer_of(store), consumer_of(store)
    claim(dead)
    crash(store, dead)
    put(store)
    claims = [claim(consumer) for _ in range(4)]
    assert [[unit.attempt for unit in units] for units in claims] == [[2], [2], [2], [1]]
    assert [unit.suspect for units in claims for unit in units] == [True, True, True, False]


def test_a_claim_ahead_takes_no_suspect(store: Store) -> None:
    put(store)
    dead, consumer = consumer_of(store), consumer_of(store)
    claim(dead)
    crash(store, dead)
    put(store)
    (unit,) = consumer.claim(64, 0, suspects=False).units
    assert unit.attempt == 1
    assert [unit.attempt for unit in claim(consumer)] == [2]


def test_a_unit_that_kills_every_worker_costs_the_others_of_its_batch_no_attempt(
    store: Store,
) -> None:
    poison, *mates = [put(store) for _ in range(8)]
    consumer = consumer_of(store)
    while units := claim(consumer):
        if poison.job_id in {unit.job for unit in units}:
            crash(store, consumer)
        else:
            consumer.commit([done(unit) for unit in units])
    assert job_of(store, poison).view()["error"]["code"] == "poison_input"
    assert {job_of(store, mate).status for mate in mates} == {Status.SUCCEEDED}


def test_units_of_a_cancelled_job_are_dropped_when_claimed(store: Store) -> None:
    receipt = put(store)
    assert cancel_job(store, receipt.job_id) == "queued"
    assert claim(consumer_of(store)) == []
    assert store.redis.xlen("ps:lane:gpu:normal") == 0
    assert job_of(store, receipt).attempts == 0


def test_the_result_of_a_job_cancelled_while_running_is_dropped(store: Store) -> None:
    receipt = put(store)
    consumer = consumer_of(store)
    units = claim(consumer)
    assert cancel_job(store, receipt.job_id) == "running"
    assert consumer.commit([done(unit) for unit in units]).stale == 0
    job = job_of(store, receipt)
    assert (job.status, job.outcome) == (Status.CANCELLED, None)
    assert counts(store) == {"cancelled": 1}


def test_cancelling_a_finished_job_changes_nothing(store: Store) -> None:
    receipt = put(store)
    consumer = consumer_of(store)
    consumer.commit([done(unit) for unit in claim(consumer)])
    assert cancel_job(store, receipt.job_id) == "succeeded"
    assert job_of(store, receipt).status is Status.SUCCEEDED


def test_a_job_past_its_deadline_is_never_computed(store: Store) -> None:
    receipt = put(store, replace(SINGLE, deadline_ms=1))
    consumer = consumer_of(store)
    store.redis.hset(f"ps:job:{receipt.job_id}", "deadline", 1)
    assert claim(consumer) == []
    assert job_of(store, receipt).status is Status.EXPIRED
    assert store.redis.zcard("ps:deadlines") == 0


def test_low_priority_is_served_during_a_flood_of_high_and_high_mostly_comes_first(
    store: Store,
) -> None:
    for _ in range(26):
        put(store, replace(SINGLE, priority=Priority.HIGH))
        put(store, replace(SINGLE, priority=Priority.LOW))
    consumer = consumer_of(store)
    streams = [unit.stream for _ in range(26) for unit in claim(consumer, most=1)]
    assert streams.count("ps:lane:gpu:low") == 2
    assert streams.count("ps:lane:gpu:high") == 24


def test_lanes_do_not_mix(store: Store) -> None:
    put(store)
    assert claim(consumer_of(store, Lane.CPU)) == []


def test_cacheable_answers_are_cached_by_the_commit(store: Store) -> None:
    put(store)
    consumer = consumer_of(store)
    settled = [replace(done(unit), answers={"ps:cache:q": OUTPUT}) for unit in claim(consumer)]
    consumer.commit(settled)
    assert store.redis.exists("ps:cache:q") == 1
    assert 0 < store.redis.ttl("ps:cache:q") <= store.settings.cache_ttl_s


def test_finished_jobs_are_announced_once_per_commit(store: Store) -> None:
    with store.redis.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe("ps:done")
        pubsub.get_message(timeout=1)
        receipts = [put(store), put(store)]
        consumer = consumer_of(store)
        consumer.commit([done(unit) for unit in claim(consumer)])
        message = pubsub.get_message(timeout=5)
        assert message is not None
        assert message["data"].split() == [receipt.job_id for receipt in receipts]


def test_a_lane_full_of_cancelled_units_is_cleared_in_several_short_claims(store: Store) -> None:
    for _ in range(2_100):
        cancel_job(store, put(store).job_id)
    kept = put(store)
    store.redis.config_resetstat()
    (unit,) = claim(consumer_of(store))
    assert unit.job == kept.job_id
    assert store.redis.info("commandstats")["cmdstat_evalsha"]["calls"] == 3
    assert store.redis.xlen("ps:lane:gpu:normal") == 1
