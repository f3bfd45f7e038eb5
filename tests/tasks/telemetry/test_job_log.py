"""The log line of a finished job."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from tasks.jobs.finished import FinishedJob
from tasks.jobs.lanes import Lane
from tasks.jobs.model import Spec, Status
from tasks.queue.consumer import Consumer
from tasks.queue.counters import CountedAnswer, count_unit
from tasks.queue.units import SettledUnit
from tasks.store.client import Store
from tasks.telemetry.job_log import JobLog
from tests.tasks.lanes import SINGLE, claim, put

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SPEC = Spec("null", "o", request_id="r", traceparent=TRACE, metadata={"secret": 1})
JOB = FinishedJob("job_1", SPEC, Status.SUCCEEDED, "gpu", 1_000, 2_500, 6_000, 1, attempts=1)


def line_of(job: FinishedJob) -> dict[str, object]:
    with capture_logs() as logs:
        JobLog("host-1-ab")([job])
    (line,) = logs
    return dict(line)


def test_the_line_has_times_ids_and_counts() -> None:
    assert line_of(replace(JOB, tier="big", model_version="v1")) == {
        "event": "job ended",
        "log_level": "info",
        "worker": "host-1-ab",
        "job": "job_1",
        "status": "succeeded",
        "pipeline": "null",
        "owner": "o",
        "request_id": "r",
        "trace_id": TRACE[3:35],
        "lane": "gpu",
        "tier": "big",
        "model_version": "v1",
        "items": 1,
        "failed": 0,
        "attempts": 1,
        "cached": False,
        "queue_ms": 1.5,
        "run_ms": 3.5,
        "total_ms": 5.0,
    }


def test_unknown_fields_are_left_out() -> None:
    cancelled = replace(JOB, spec=Spec("null", "o"), status=Status.CANCELLED, started=None)
    unknown = {"request_id", "trace_id", "queue_ms", "run_ms", "tier", "model_version"}
    assert unknown.isdisjoint(line_of(cancelled))


def test_it_has_the_hash_of_the_inputs_if_the_job_has_one() -> None:
    assert line_of(replace(JOB, spec=replace(SPEC, input_hash="ab12")))["input_hash"] == "ab12"


@pytest.mark.parametrize(
    ("answer", "known"),
    [
        ({"output": {"tier": "big", "model_version": "v1"}, "error": None}, ("big", "v1")),
        ({"output": None, "error": {"code": "model_error", "message": "no"}}, (None, None)),
    ],
)
def test_a_commit_returns_which_model_answered(
    store: Store, answer: dict[str, object], known: tuple[str, str]
) -> None:
    put(store, SINGLE)
    worker = Consumer(store, Lane.GPU)
    (unit,) = claim(worker)
    counts = count_unit("null", "gpu", [CountedAnswer(answer)], 0)
    (ended,) = worker.commit([SettledUnit(unit, [answer], {}, counters=counts)]).ended
    assert (ended.tier, ended.model_version) == known
