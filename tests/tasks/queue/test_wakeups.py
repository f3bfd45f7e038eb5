from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from tasks.celery import make_celery
from tasks.config.settings import Settings
from tasks.jobs.lanes import Lane
from tasks.queue.wakeups import MAX_WAKEUPS, Waker, wake
from tasks.store.client import Store
from tests.eventually import eventually
from tests.ports import free_port


class Recorder:
    """Stands in for the Celery application and records what is sent."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.seen = threading.Event()

    def send_task(self, _: str, **message: Any) -> None:
        self.sent.append(message["queue"])
        self.seen.set()


def test_a_wake_up_goes_to_the_queue_of_its_lane(settings: Settings, store: Store) -> None:
    celery = make_celery(settings)
    wake(celery, Lane.GPU, 2)
    assert store.redis.llen("penstock.gpu") == 2
    celery.close()


def test_a_broker_that_is_down_raises_no_error_in_the_caller(settings: Settings) -> None:
    celery = make_celery(replace(settings, redis_port=free_port()))
    wake(celery, Lane.GPU)
    celery.close()


def test_the_number_of_wake_ups_is_limited() -> None:
    recorder = Recorder()
    wake(recorder, Lane.GPU, 10_000)  # type: ignore[arg-type]
    assert len(recorder.sent) == MAX_WAKEUPS


def test_the_waker_publishes_from_its_own_thread() -> None:
    recorder = Recorder()
    Waker(recorder).wake(Lane.CPU, 1)  # type: ignore[arg-type]
    assert recorder.seen.wait(10)
    assert recorder.sent == ["penstock.cpu"]


class Broken(Recorder):
    """Fails at the first message."""

    def send_task(self, _: str, **message: Any) -> None:
        super().send_task(_, **message)
        if len(self.sent) == 1:
            raise ZeroDivisionError


def test_the_waker_continues_after_an_unexpected_error() -> None:
    broken = Broken()
    waker = Waker(broken)  # type: ignore[arg-type]
    waker.wake(Lane.CPU, 1)
    assert broken.seen.wait(10)
    waker.wake(Lane.GPU, 1)
    eventually(lambda: broken.sent == ["penstock.cpu", "penstock.gpu"], "the next wake-up")
