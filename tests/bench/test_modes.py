from __future__ import annotations

import pytest

from bench.modes import MODES, Load, run, submit_only
from bench.traffic import LedgerError, Target
from tests.bench.servers import JobApi, serving

ONE_EACH = Load(
    connections=4,
    seconds=0.0,
    poll_pause_s=0.001,
    drain_jobs=50,
    drain_pause_s=0.001,
    bulk_connections=2,
    bulk_sizes=(3, 7),
)


@pytest.mark.parametrize(
    ("mode", "jobs", "items", "requests"),
    [
        ("wait", 1, 1, 2),  # the job API never holds a submit, so one GET with wait follows
        ("poll", 1, 1, 3),  # a submit, and the second look sees the end
        ("drain", 50, 50, 150),
        ("bulk", 1, 3, 3),  # submit, wait, results
    ],
)
def test_a_mode_ends_every_job_it_submits(mode: str, jobs: int, items: int, requests: int) -> None:
    api = JobApi()
    with serving(api) as address:
        tally = run(MODES[mode], Target(address, "key"), ONE_EACH)
    assert (tally.ledger.jobs, tally.ledger.items, tally.requests) == (jobs, items, requests)
    assert len(set(api.texts)) == items
    assert tally.seconds > 0


def test_latencies_are_taken_of_every_job_that_is_awaited() -> None:
    with serving(JobApi()) as address:
        tallies = {mode: run(MODES[mode], Target(address, "key"), ONE_EACH) for mode in MODES}
    counts = {mode: len(tally.latencies_s) for mode, tally in tallies.items()}
    assert counts == {"wait": 1, "poll": 1, "drain": 0, "bulk": 1}
    drained = tallies["drain"]
    assert 0 < drained.submit_seconds < drained.completed_seconds < drained.seconds


@pytest.mark.parametrize("mode", list(MODES))
def test_a_job_that_fails_fails_the_mode(mode: str) -> None:
    with (
        serving(JobApi(ending="failed")) as address,
        pytest.raises(LedgerError, match="did not succeed"),
    ):
        run(MODES[mode], Target(address, "key"), ONE_EACH)


def test_submit_only_submits_exactly_that_many() -> None:
    api = JobApi()
    with serving(api) as address:
        submit_only(Target(address, "key"), jobs=20, connections=4)
    assert len(api.texts) == 20
