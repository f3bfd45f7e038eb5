"""A worker that is told to stop finishes or hands back what it holds, and nothing is lost."""

from __future__ import annotations

import signal

import pytest

from tasks.jobs.read import read_jobs
from tests.eventually import eventually
from tests.integration.texts import texts
from tests.stack import Stack

JOBS, ITEMS = 30, 1_000  # more than a worker drains before it looks at its signals
GRACE_S = 30  # a supervisor kills after that


@pytest.mark.timeout(240)
def test_sigterm_under_load_loses_nothing_and_leaves_nothing_held(stack: Stack) -> None:
    stack.stop("cpu")  # it would take over what the gpu worker leaves
    before = stack.ended().get("succeeded", 0)
    series = texts("shutdown", JOBS * ITEMS)
    job_ids = []
    children, child = stack.children("gpu"), stack.pool_child("gpu")
    child.suspend()
    with stack.client() as client:
        for start in range(0, len(series), ITEMS):
            inputs = [{"text": text} for text in series[start : start + ITEMS]]
            response = client.post("/v1/jobs", json={"pipeline": "moderation", "inputs": inputs})
            assert response.status_code == 202, response.text
            job_ids.append(response.json()["id"])
    child.resume()
    stack.freeze_in_mid_batch(child)
    stack.processes["gpu"].send_signal(signal.SIGTERM)
    child.resume()
    assert stack.processes["gpu"].wait(GRACE_S) == 0
    assert not any(child.is_running() for child in children)
    assert stack.held() == 0
    assert stack.alive("gpu") == 0
    assert stack.ended().get("succeeded", 0) < before + JOBS, "it ended before it was stopped"

    stack.start("gpu")
    eventually(lambda: stack.ended().get("succeeded", 0) == before + JOBS, "all jobs", within_s=90)
    jobs = [job for job in read_jobs(stack.store, job_ids) if job]
    assert [job.done for job in jobs] == [ITEMS] * JOBS
    assert {job.attempts for job in jobs} == {1}
    stack.start("cpu")
