"""Workers whose clocks are wrong by ten minutes: leases go by the clock of Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.eventually import eventually
from tests.faults.load import under_load
from tests.faults.patches import patched
from tests.faults.report import Report
from tests.stack import Stack

OFFSETS_S = {"gpu": "600", "gpu-2": "-600"}


@pytest.fixture
def wrong_clocks(stack: Stack) -> Iterator[None]:
    """A gpu worker whose clock is fast, and one whose clock is slow."""
    stack.stop("gpu")
    for name, offset in OFFSETS_S.items():
        stack.start(name, **patched("set_clock", PENSTOCK_TEST_CLOCK_S=offset))
    eventually(lambda: stack.alive("gpu") == 2, "two gpu workers", within_s=120)
    yield
    for name in OFFSETS_S:
        stack.stop(name)
    stack.start("gpu")
    eventually(stack.ready, "a gpu worker", within_s=120)


@pytest.mark.timeout(180)
@pytest.mark.usefixtures("wrong_clocks")
def test_no_lease_is_reclaimed_early(stack: Stack, report: Report) -> None:
    with under_load(stack, "clocks") as load:
        load.all_end_once(within_s=25)
        assert load.most_attempts == 1
    report("clocks of two workers 10 min fast and slow", early_reclaims=0, lost=0, duplicates=0)
