from __future__ import annotations

import json
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from celery import Celery
from redis.client import PubSub
from structlog.testing import capture_logs

from tasks.celery import make_celery
from tasks.config.settings import Settings
from tasks.jobs.finished import FinishedJob
from tasks.jobs.lanes import Lane
from tasks.jobs.model import Spec, Status
from tasks.queue.consumer import Consumer
from tasks.store.client import Store
from tasks.telemetry.flower import job_events
from tasks.telemetry.flower.job_events import FlowerJobs, fields_of, flower_sinks, publish
from tasks.threads import LazyThread
from tests.eventually import eventually
from tests.ports import free_port
from tests.tasks.lanes import ERROR, bulk, claim, done, put

SECOND = 1_000_000
SECRET = "what the client asked"
JOB = FinishedJob(
    job="job_1",
    spec=Spec(
        "moderation",
        "acme",
        options={"language": SECRET},
        metadata={"note": SECRET},
        request_id="r-1",
    ),
    status=Status.SUCCEEDED,
    lane="gpu",
    created=10 * SECOND,
    started=12 * SECOND,
    finished=15 * SECOND,
    total=1,
    attempts=2,
    outcome={"output": {"label": "review", "tier": "cnn", "echo": SECRET}, "error": None},
)


@pytest.fixture
def celery(settings: Settings) -> Iterator[Celery]:
    celery = make_celery(settings)
    yield celery
    celery.close()


@pytest.fixture
def listener(store: Store) -> Iterator[PubSub]:
    """Hears what Flower would hear."""
    with store.redis.pubsub() as pubsub:
        pubsub.psubscribe("*celeryev*")
        eventually(lambda: pubsub.get_message(timeout=0.1), "the answer to psubscribe")
        yield pubsub


def heard(listener: PubSub) -> list[dict[str, Any]]:
    """The events of the next message."""
    message = eventually(lambda: listener.get_message(timeout=0.1), "a message of events")
    body: list[dict[str, Any]] = json.loads(b64decode(json.loads(message["data"])["body"]))
    return body


def test_a_job_is_a_task_under_its_own_id_with_all_its_times() -> None:
    fields = fields_of(JOB)
    assert (fields["uuid"], fields["name"], fields["args"]) == ("job_1", "moderation", "1 item")
    assert fields["kwargs"] == "lane=gpu, owner=acme, request_id=r-1"
    assert (fields["received"], fields["started"], fields["timestamp"]) == (10, 12, 15)
    assert (fields["runtime"], fields["retries"]) == (3, 1)


def test_an_event_has_label_and_tier_of_the_answer_and_nothing_of_the_input() -> None:
    assert fields_of(JOB)["result"] == "label=review, tier=cnn"
    assert SECRET not in str(fields_of(JOB))


def test_a_degraded_answer_says_why() -> None:
    output = {"label": "allow", "tier": "rules", "degraded": True, "reason": "circuit_open"}
    job = replace(JOB, outcome={"output": output, "error": None})
    assert fields_of(job)["result"] == "label=allow, tier=rules, degraded=circuit_open"


@pytest.mark.parametrize("label", ["x" * 10_000, {"text": SECRET}])
def test_a_label_of_another_type_or_too_long_is_not_shown_whole(label: Any) -> None:
    job = replace(JOB, outcome={"output": {"label": label}, "error": None})
    assert len(fields_of(job)["result"]) < 80
    assert SECRET not in fields_of(job)["result"]


def test_a_bulk_job_says_how_many_of_its_items_succeeded() -> None:
    fields = fields_of(replace(JOB, total=100, failed=3, outcome=None))
    assert (fields["args"], fields["result"]) == ("100 items", "97 of 100 succeeded")


def test_an_answer_from_the_cache_says_so() -> None:
    assert fields_of(replace(JOB, cached=True))["kwargs"].endswith("cached=true")


def test_a_job_that_was_never_claimed_has_neither_start_nor_runtime() -> None:
    fields = fields_of(replace(JOB, status=Status.CANCELLED, started=None, attempts=0))
    assert (fields["started"], fields["runtime"], fields["retries"]) == (None, None, 0)


@pytest.mark.parametrize(
    ("status", "exception"),
    [(Status.CANCELLED, "cancelled"), (Status.EXPIRED, "deadline_exceeded")],
)
def test_a_cancelled_or_expired_job_has_the_reason(status: Status, exception: str) -> None:
    fields = fields_of(replace(JOB, status=status, outcome=None))
    assert (fields["exception"], fields["expired"]) == (exception, status == Status.EXPIRED)


@pytest.mark.parametrize(
    ("total", "outcome", "exception"),
    [(1, ERROR, "model_error"), (1, None, "poison_input"), (7, None, "all_items_failed")],
)
def test_a_failed_job_has_the_code_of_its_error(total: int, outcome: Any, exception: str) -> None:
    job = replace(JOB, status=Status.FAILED, total=total, outcome=outcome)
    assert fields_of(job)["exception"] == exception


def test_jobs_are_published_in_one_message_with_the_state_of_each(
    celery: Celery, listener: PubSub
) -> None:
    jobs = [replace(JOB, job=f"job_{status}", status=status) for status in job_events.EVENTS]
    publish(celery, "gpu@here", jobs)
    assert [(e["uuid"], e["type"], e["hostname"]) for e in heard(listener)] == [
        ("job_succeeded", "task-succeeded", "gpu@here"),
        ("job_failed", "task-failed", "gpu@here"),
        ("job_cancelled", "task-revoked", "gpu@here"),
        ("job_expired", "task-revoked", "gpu@here"),
    ]
    assert listener.get_message(timeout=0.2) is None


def test_flower_itself_reads_the_state_of_every_job_from_its_one_event(
    celery: Celery, listener: PubSub
) -> None:
    jobs = [replace(JOB, job=f"job_{status}", status=status) for status in job_events.EVENTS]
    publish(celery, "gpu@here", jobs)
    state = celery.events.State()
    for event in heard(listener):
        state.event(event | {"local_received": event["timestamp"]})
    assert {task.uuid: task.state for task in state.tasks.values()} == {
        "job_succeeded": "SUCCESS",
        "job_failed": "FAILURE",
        "job_cancelled": "REVOKED",
        "job_expired": "REVOKED",
    }
    task = state.tasks["job_succeeded"]
    assert (task.name, task.received, task.started, task.runtime) == ("moderation", 10, 12, 3)
    assert task.worker.hostname == "gpu@here"


def test_the_sink_publishes_from_a_thread_of_its_own(celery: Celery, listener: PubSub) -> None:
    FlowerJobs(celery, "gpu@here", 10)([JOB])
    assert [event["uuid"] for event in heard(listener)] == ["job_1"]


def test_jobs_beyond_the_limit_are_sampled_and_the_others_counted(
    monkeypatch: pytest.MonkeyPatch, celery: Celery, listener: PubSub
) -> None:
    monkeypatch.setattr(LazyThread, "start", lambda _: None)
    sink = FlowerJobs(celery, "gpu@here", 10)
    sink([replace(JOB, job=f"job_{n}") for n in range(25)])
    with capture_logs() as logs:
        sink.flush()
        sink.flush()
    assert len(heard(listener)) == 10
    assert [(line["left_out"], line["lost"]) for line in logs] == [(15, 0)]


def test_jobs_are_lost_while_redis_is_down_which_is_logged_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr(LazyThread, "start", lambda _: None)
    celery = make_celery(replace(settings, redis_port=free_port()))
    celery.conf.broker_transport_options["max_retries"] = 0  # else it takes 6 s, in its thread
    sink = FlowerJobs(celery, "gpu@here", 10)
    with capture_logs() as logs:
        for _ in range(3):
            sink([JOB])
            sink.flush()
    assert [(line["log_level"], line["lost"]) for line in logs] == [("warning", 1)]
    celery.close()


@contextmanager
def a_broker_that_hangs(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    reached, released = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        reached.set()
        released.wait(60)

    monkeypatch.setattr(job_events, "publish", hang)
    monkeypatch.setattr(job_events, "WINDOW_S", 0)
    yield reached
    released.set()


def test_finishing_jobs_does_not_wait_for_the_broker_and_memory_is_bounded(
    monkeypatch: pytest.MonkeyPatch, celery: Celery
) -> None:
    with a_broker_that_hangs(monkeypatch) as reached:
        sink = FlowerJobs(celery, "gpu@here", 10)
        sink([JOB])
        assert reached.wait(30)
        for _ in range(1_000):
            sink([JOB] * 10)  # returns, or the test's timeout says that it did not
        kept, left_out = sink._sample.take()
        assert (len(kept), left_out) == (10, 9_990)


def test_no_jobs_a_second_means_no_sink(settings: Settings, celery: Celery) -> None:
    assert flower_sinks(celery, replace(settings, flower_jobs_per_s=0), "gpu") == []
    assert len(flower_sinks(celery, settings, "gpu")) == 1


def test_a_commit_returns_the_outcome_of_single_jobs_only(store: Store) -> None:
    worker = Consumer(store, Lane.GPU)
    single, five = put(store), put(store, bulk(5))
    units = claim(worker)
    assert [unit.items for unit in units] == [1, 4, 1]
    ended = worker.commit([done(units[0], ERROR), *map(done, units[1:])]).ended
    assert {job.job: job.outcome for job in ended} == {single.job_id: ERROR, five.job_id: None}
