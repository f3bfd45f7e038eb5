"""A worker that stands still for longer than its lease, then goes on: its answers are dropped."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from tests.eventually import eventually
from tests.faults.load import JOBS, Load
from tests.faults.report import Report
from tests.stack import Stack

LEASE_MS = "2000"
RENEW_MS = "500"


@pytest.fixture
def two_workers(stack: Stack) -> Iterator[tuple[psutil.Process, psutil.Process]]:
    """The children of two gpu workers with short leases."""
    stack.stop("gpu")
    env = {"PENSTOCK_LEASE_MS": LEASE_MS, "PENSTOCK_RENEW_MS": RENEW_MS}
    for name in ("gpu", "gpu-2"):
        stack.start(name, **env)
    eventually(lambda: stack.alive("gpu") == 2, "two gpu workers", within_s=120)
    yield stack.pool_child("gpu"), stack.pool_child("gpu-2")
    for name in ("gpu", "gpu-2"):
        stack.stop(name)
    stack.start("gpu")
    eventually(stack.ready, "a gpu worker", within_s=120)


@pytest.mark.timeout(240)
def test_units_of_a_frozen_worker_are_taken_over_and_its_late_answers_change_nothing(
    stack: Stack, two_workers: tuple[psutil.Process, psutil.Process], report: Report
) -> None:
    frozen, _ = two_workers
    with Load(stack, "frozen") as load:
        eventually(lambda: len(load.accepted) > JOBS // 5, "a fifth of the jobs accepted")
        stack.freeze_in_mid_batch(frozen)
        eventually(
            lambda: load.all_accepted() and load.look() == JOBS, "all jobs, without the frozen one"
        )
        assert load.most_attempts == 2
        frozen.resume()
        eventually(lambda: "stale units dropped" in stack.log("gpu"), "late answers dropped")
        load.all_end_once(within_s=30)
    report("SIGSTOP of a worker for longer than 2 leases", stale_commits=0, lost=0, duplicates=0)
