from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks.threads import ThreadOnUse


def test_many_users_begin_one_thread() -> None:
    begun = threading.Semaphore(0)
    thread = ThreadOnUse("one", begun.release)
    with ThreadPoolExecutor(16) as users:
        list(users.map(lambda _: thread.begin(), range(200)))
    assert begun.acquire(timeout=10)
    assert not begun.acquire(blocking=False)


def test_a_start_that_failed_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    begun = threading.Event()
    thread = ThreadOnUse("one", begun.set)
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError):
            thread.begin()
    thread.begin()
    assert begun.wait(10)
