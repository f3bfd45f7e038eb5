from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks.threads import LazyThread


def test_many_users_start_one_thread() -> None:
    started = threading.Semaphore(0)
    thread = LazyThread("one", started.release)
    with ThreadPoolExecutor(16) as users:
        list(users.map(lambda _: thread.start(), range(200)))
    assert started.acquire(timeout=10)
    assert not started.acquire(blocking=False)


def test_a_start_that_failed_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    started = threading.Event()
    thread = LazyThread("one", started.set)
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError):
            thread.start()
    thread.start()
    assert started.wait(10)
