"""A rolling restart under load: one process at a time ends in good order and comes back."""

from __future__ import annotations

import pytest

from tests.eventually import eventually
from tests.faults.load import under_load
from tests.faults.report import Report
from tests.stack import Stack

JOBS = 2_000


@pytest.mark.timeout(240)
def test_a_rolling_restart_loses_and_fails_nothing(stack: Stack, report: Report) -> None:
    stack.start("gpu-2")
    eventually(lambda: stack.alive("gpu") == 2, "two gpu workers", within_s=60)
    with under_load(stack, "rolling", JOBS) as load:
        for name in ("gpu", "gpu-2", "cpu"):
            stack.stop(name)
            stack.start(name)
            lane = name.partition("-")[0]
            workers = 2 if lane == "gpu" else 1
            eventually(lambda: stack.alive(lane) == workers, f"{name} again", within_s=60)  # noqa: B023
        assert not load.refused
        stack.stop("web")
        stack.start("web")
        load.all_end_once(within_s=25)
        assert load.most_attempts == 1
    stack.stop("gpu-2")
    report("rolling restart of every process", lost=0, failed=0, duplicates=0, second_attempts=0)
