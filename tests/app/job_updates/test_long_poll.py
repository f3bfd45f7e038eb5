from __future__ import annotations

import threading

import pytest

import app.job_updates.long_poll
from app.job_updates.long_poll import LongPolls, Waiter
from tasks.jobs.cancel import cancel_job
from tasks.jobs.model import Status
from tasks.store import keys
from tasks.store.client import Store, connect
from tests.eventually import eventually
from tests.tasks.lanes import put

NEVER_S = 3_600.0


@pytest.fixture
def notices_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the listener from reading jobs that no notice named."""
    monkeypatch.setattr(app.job_updates.long_poll, "LOOK_AGAIN_S", NEVER_S)


@pytest.fixture
def waiting(store: Store) -> LongPolls:
    """With connections of its own: its listener outlives the test, and the fixture `store`."""
    return LongPolls(Store(connect(store.settings), store.settings), most=1_000)


def end(store: Store, job_id: str) -> None:
    cancel_job(store, job_id)


def listening(store: Store) -> bool:
    return store.redis.pubsub_numsub(keys.DONE)[0][1] > 0


@pytest.mark.usefixtures("notices_only")
def test_a_notice_hands_the_ended_job_to_all_that_wait_for_it(
    store: Store, waiting: LongPolls
) -> None:
    first, second = put(store).job_id, put(store).job_id
    with (
        waiting.register(first) as one,
        waiting.register(first) as two,
        waiting.register(second) as other,
    ):
        end(store, first)
        for waiter in (one, two):
            job = waiter.wait(30)
            assert job is not None
            assert (job.id, job.status) == (first, Status.CANCELLED)
        assert other.wait(0.01) is None


@pytest.mark.usefixtures("notices_only")
def test_notices_of_other_jobs_end_no_wait(store: Store, waiting: LongPolls) -> None:
    mine, others = put(store).job_id, [put(store).job_id for _ in range(20)]
    with waiting.register(mine) as waiter:
        for job_id in others:
            end(store, job_id)
        end(store, mine)
        job = waiter.wait(30)
        assert job is not None
        assert job.id == mine


def test_an_end_without_a_notice_is_found_by_looking_again(
    store: Store, waiting: LongPolls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.job_updates.long_poll, "LOOK_AGAIN_S", 0.02)
    job_id = put(store).job_id
    with waiting.register(job_id) as waiter:
        store.redis.hset(keys.job(job_id), "status", "succeeded")
        job = waiter.wait(30)
        assert job is not None
        assert job.status is Status.SUCCEEDED


def test_waiters_outlive_the_loss_of_the_subscription(
    store: Store, waiting: LongPolls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.job_updates.long_poll, "LOOK_AGAIN_S", 0.5)
    monkeypatch.setattr(app.job_updates.long_poll, "RECONNECT_S", 0.01)
    job_id = put(store).job_id
    with waiting.register(job_id) as waiter:
        eventually(lambda: listening(store), "a subscription")
        store.redis.client_kill_filter(_type="pubsub")
        end(store, job_id)
        job = waiter.wait(30)
        assert job is not None
        assert job.id == job_id


def test_a_thousand_waiters_share_one_listener_and_one_subscription(
    store: Store, waiting: LongPolls
) -> None:
    before = store.redis.info("clients")["connected_clients"]
    job_ids = [put(store).job_id for _ in range(10)]
    handed: list[str] = []

    def wait(job_id: str, entered: threading.Semaphore) -> None:
        with waiting.register(job_id) as waiter:
            entered.release()
            job = waiter.wait(60)
            handed.append(job.id if job else "nothing")

    entered = threading.Semaphore(0)
    threads = [threading.Thread(target=wait, args=(job_ids[n % 10], entered)) for n in range(1_000)]
    for thread in threads:
        thread.start()
    for _ in threads:
        entered.acquire()
    assert store.redis.info("clients")["connected_clients"] < before + 10
    for job_id in job_ids:
        end(store, job_id)
    for thread in threads:
        thread.join()
    assert sorted(handed) == sorted(job_ids * 100)


def test_a_waiter_that_gives_up_leaves_nothing_behind(store: Store, waiting: LongPolls) -> None:
    with waiting.register("job_1") as waiter, waiting.register("job_1"):
        assert waiter.wait(0.01) is None
    assert not waiting._waiters


def test_a_job_handed_over_before_the_wait_begins_is_not_missed() -> None:
    waiter = Waiter()
    waiter.hand_over("job")  # type: ignore[arg-type]
    assert waiter.wait(30) == "job"  # type: ignore[comparison-overlap]


def test_no_more_may_wait_than_the_limit(store: Store) -> None:
    waiting = LongPolls(store, most=2)
    with waiting.register("job_1"), waiting.register("job_1"), waiting.register("job_1") as third:
        assert not third.admitted
        assert third.wait(NEVER_S) is None
    with waiting.register("job_1") as next_one:
        assert next_one.admitted


def test_a_drain_ends_every_wait_and_admits_no_new_one(waiting: LongPolls) -> None:
    with (
        waiting.register("job_1") as one,
        waiting.register("job_1") as two,
        waiting.register("job_2") as other,
    ):
        waiting.drain()
        assert [waiter.wait(NEVER_S) for waiter in (one, two, other)] == [None] * 3
    with waiting.register("job_1") as late:
        assert late.wait(NEVER_S) is None
        assert late.admitted, "it is not refused for there being too many"
    assert not waiting._waiters
