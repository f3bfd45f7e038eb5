"""The parent reports children that crashed, and billiard's own hook still runs."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import pytest
from billiard.pool import Pool

from tasks.config.settings import Settings
from tasks.worker import crash_reports
from tasks.worker.heartbeat import SharedHeartbeats
from tests.envelopes import arrived, installed


@dataclass
class Process:
    exitcode: int
    pid: int = field(default_factory=os.getpid)


class BilliardPool:
    """Stands in for billiard's pool."""

    def __init__(self) -> None:
        self.ended: list[Process] = []

    def on_process_down(self, process: Process) -> None:
        self.ended.append(process)


@pytest.fixture
def heartbeats() -> SharedHeartbeats:
    heartbeats = SharedHeartbeats(1)
    heartbeats.register(0)
    heartbeats.set_tags(0, {"job": "j1", "pipeline": "toy"})
    return heartbeats


def reported(
    settings: Settings, heartbeats: SharedHeartbeats, process: Process
) -> list[tuple[str, str]]:
    """Job and text of each event."""
    pool = BilliardPool()
    crash_reports.watch(pool, heartbeats)
    with installed(settings) as receiver:
        pool.on_process_down(process)
        events = arrived(receiver)
    assert pool.ended == [process]
    return [(e["tags"]["job"], e["exception"]["values"][0]["value"]) for e in events]


def test_a_child_killed_by_a_signal_is_reported_with_the_tags_of_its_batch(
    settings: Settings, heartbeats: SharedHeartbeats
) -> None:
    said = "a worker child was killed by SIGSEGV"
    assert reported(settings, heartbeats, Process(-11)) == [("j1", said)]


@pytest.mark.parametrize("exit_code", crash_reports.EXPECTED_EXIT_CODES)
def test_a_child_that_exited_as_expected_is_not_reported(
    settings: Settings, heartbeats: SharedHeartbeats, exit_code: int
) -> None:
    assert reported(settings, heartbeats, Process(exit_code)) == []


def test_a_child_that_reported_its_own_end_is_not_reported_again(
    settings: Settings, heartbeats: SharedHeartbeats
) -> None:
    heartbeats.unregister(0)
    assert reported(settings, heartbeats, Process(-9)) == []


def test_billiards_pool_has_the_hook() -> None:
    pool: Any
    with Pool(1, on_process_down=print) as pool:
        assert pool.on_process_down is print
        pool.close()
        pool.join()
