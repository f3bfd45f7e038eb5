"""Faults inside a process of the stack, put there before its own code is loaded.

`patched(name)` is the environment that asks for one; see `patched/sitecustomize.py`.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
FOLDER = Path(__file__).parent / "patched"


def patched(name: str, **variables: str) -> dict[str, str]:
    """Variables for a process that begins with the function `name` of this module."""
    return {
        "PYTHONPATH": os.pathsep.join((str(FOLDER), str(ROOT))),
        "PENSTOCK_TEST_PATCH": name,
        **variables,
    }


def lose_wake_ups() -> None:
    """Every publication fails, as with a broker that is away."""
    from celery import Celery  # noqa: PLC0415
    from kombu.exceptions import OperationalError  # noqa: PLC0415

    def send_task(*_: object, **__: object) -> None:
        raise OperationalError("stubbed to fail")

    Celery.send_task = send_task  # type: ignore[method-assign, assignment]


def repeat_wake_ups() -> None:
    """Every publication happens five times."""
    from celery import Celery  # noqa: PLC0415

    send_task = Celery.send_task

    def send_five(*args: Any, **kwargs: Any) -> None:
        for _ in range(5):
            send_task(*args, **kwargs)

    Celery.send_task = send_five  # type: ignore[method-assign, assignment]


def set_clock() -> None:
    """The process believes that it is later, or earlier, than it is."""
    offset_s = int(os.environ["PENSTOCK_TEST_CLOCK_S"])
    true_time, true_time_ns = time.time, time.time_ns
    time.time = lambda: true_time() + offset_s
    time.time_ns = lambda: true_time_ns() + offset_s * 10**9


def die_before_wake_up() -> None:
    """Once asked to, the process ends where a job is in Redis and nobody has been told."""
    from tasks.queue.wakeups import Waker  # noqa: PLC0415

    wake = Waker.wake

    def wake_or_die(*args: Any) -> None:
        _die_if_asked()
        wake(*args)

    Waker.wake = wake_or_die  # type: ignore[method-assign, assignment]


def die_before_reply() -> None:
    """Once asked to, the process ends where a job has been accepted and its client not told."""
    from flask import Flask, request  # noqa: PLC0415

    process_response = Flask.process_response

    def process_or_die(*args: Any) -> Any:
        if request.method == "POST":
            _die_if_asked()
        return process_response(*args)

    Flask.process_response = process_or_die  # type: ignore[method-assign, assignment]


def _die_if_asked() -> None:
    """A file asks, and is taken by the one process that dies of it."""
    try:
        Path(os.environ["PENSTOCK_TEST_DIE"]).unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
