from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from bench.fleet import Fleet, FleetError

SPAWNS = "import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
BURNS = "while True: pass"
SLEEPS = "import time; time.sleep(600)"


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path)
    yield made
    made.stop()


def start(fleet: Fleet, role: str, code: str) -> None:
    fleet.start(role, [sys.executable, "-c", code], os.environ)


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_cpu_of_a_whole_tree_is_its_role_s(fleet: Fleet) -> None:
    start(fleet, "busy", SPAWNS.format(child=BURNS))
    start(fleet, "idle", SLEEPS)
    eventually(lambda: fleet.cpu_us()["busy"] > 500_000)
    assert fleet.cpu_us()["idle"] < fleet.cpu_us()["busy"]


def test_the_cpu_of_children_that_have_ended_still_counts(fleet: Fleet) -> None:
    child = "import time; e = time.process_time() + 0.5\nwhile time.process_time() < e: pass"
    start(fleet, "busy", SPAWNS.format(child=child) + f"; {SLEEPS}")
    eventually(lambda: fleet.cpu_us()["busy"] > 450_000)
    root = psutil.Process(fleet.pid("busy"))
    eventually(lambda: not root.children())
    assert fleet.cpu_us()["busy"] > 450_000


def test_memory_is_counted_by_role(fleet: Fleet) -> None:
    start(fleet, "big", "b = bytearray(b'x' * 50_000_000); print('up', flush=True); " + SLEEPS)
    eventually(lambda: "up" in fleet.tail("big"))
    assert 50_000_000 < fleet.memory_bytes()["big"] < 500_000_000


def test_stopping_ends_children_that_outlive_their_parent(fleet: Fleet) -> None:
    start(fleet, "parent", SPAWNS.format(child=SLEEPS))
    root = psutil.Process(fleet.pid("parent"))
    eventually(lambda: bool(root.children()))
    child = root.children()[0]
    fleet.stop()
    eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    assert not root.is_running()


def test_a_process_that_ended_is_named_with_its_log(fleet: Fleet) -> None:
    start(fleet, "web", "raise SystemExit('no port')")

    def ended() -> bool:
        try:
            fleet.check()
        except FleetError as error:
            assert str(error) == "web ended with 1:\nno port\n"  # noqa: PT017
            return True
        return False

    eventually(ended)
