"""A parent tells of children that ended without saying why, and lets billiard go on."""

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


class OfBilliard:
    """Its pool, as far as it is used here."""

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


def told(
    settings: Settings, heartbeats: SharedHeartbeats, process: Process
) -> list[tuple[str, str]]:
    """Job and text of each event."""
    pool = OfBilliard()
    crash_reports.watch(pool, heartbeats)
    with installed(settings) as receiver:
        pool.on_process_down(process)
        events = arrived(receiver)
    assert pool.ended == [process]
    return [(e["tags"]["job"], e["exception"]["values"][0]["value"]) for e in events]


def test_a_child_that_a_signal_ended_is_told_of_with_what_it_was_at(
    settings: Settings, heartbeats: SharedHeartbeats
) -> None:
    said = "a worker child was killed by SIGSEGV"
    assert told(settings, heartbeats, Process(-11)) == [("j1", said)]


@pytest.mark.parametrize("exit_code", crash_reports.EXPECTED_EXIT_CODES)
def test_a_child_that_ended_in_good_order_is_not(
    settings: Settings, heartbeats: SharedHeartbeats, exit_code: int
) -> None:
    assert told(settings, heartbeats, Process(exit_code)) == []


def test_a_child_whose_end_was_told_by_itself_is_not(
    settings: Settings, heartbeats: SharedHeartbeats
) -> None:
    heartbeats.unregister(0)
    assert told(settings, heartbeats, Process(-9)) == []


def test_billiards_pool_has_the_hook() -> None:
    pool: Any
    with Pool(1, on_process_down=print) as pool:
        assert pool.on_process_down is print
        pool.close()
        pool.join()
