"""Celery's messages may be lost or doubled, and an API process may die beside them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks.celery import queue_of
from tasks.jobs.lanes import Lane
from tests.eventually import eventually
from tests.faults.load import under_load
from tests.faults.patches import patched
from tests.faults.report import Report
from tests.stack import USUAL, Stack

DEATHS = 5
EXTRA_S = 10.0  # what losing every wake-up may cost

pytestmark = pytest.mark.timeout(180)


@contextmanager
def everywhere(stack: Stack, patch: str) -> Iterator[None]:
    """Every process started anew with a patch, and without it in the end."""
    restart(stack, **patched(patch))
    try:
        yield
    finally:
        restart(stack)


def restart(stack: Stack, **env: str) -> None:
    for name in USUAL:
        stack.stop(name)
    # What earlier loads left in the queues would wake workers that nobody is to wake.
    stack.redis.delete(*map(queue_of, Lane), "unacked", "unacked_index")
    for name in USUAL:
        stack.start(name, **env)
    eventually(stack.ready, "an answer of /readyz", within_s=120)


def one_job(stack: Stack, text: str) -> float:
    """Seconds until a single job on an idle stack has its answer."""
    with stack.client() as client:
        body = {"pipeline": "slow", "input": {"text": text}}
        response = client.post("/v1/jobs", json=body, headers={"Prefer": "wait=60"})
    assert (response.status_code, response.json()["status"]) == (200, "succeeded")
    return response.elapsed.total_seconds()


def found_by_itself(stack: Stack) -> bool:
    """Whether a worker took work unasked; it says so only once its lane is empty again."""
    return any("batches found without a wake-up" in stack.log(name) for name in ("gpu", "cpu"))


def test_jobs_end_though_every_wake_up_is_lost(stack: Stack, report: Report) -> None:
    with everywhere(stack, "lose_wake_ups"):
        waits = [one_job(stack, f"nobody was told {n}") for n in range(3)]
        assert max(waits) < EXTRA_S
        with under_load(stack, "unheard") as load:
            load.all_end_once(within_s=25)
        assert "wake-up not published" in stack.log("web")
        eventually(lambda: found_by_itself(stack), "a worker that says what it found by itself")
    report("every wake-up lost", lost=0, duplicates=0, most_extra_s=max(waits))


def test_wake_ups_that_come_five_times_change_nothing(stack: Stack, report: Report) -> None:
    with everywhere(stack, "repeat_wake_ups"), under_load(stack, "five-times") as load:
        load.all_end_once(within_s=25)
        assert load.most_attempts == 1
    report("every wake-up delivered five times", lost=0, duplicates=0)


@pytest.mark.parametrize("moment", ["die_before_wake_up", "die_before_reply"])
def test_an_api_process_that_dies_leaves_no_orphans(
    stack: Stack, report: Report, tmp_path: Path, moment: str
) -> None:
    request = tmp_path / "die"
    env = patched(moment, PENSTOCK_TEST_DIE=str(request))
    stack.stop("web")
    stack.start("web", **env)
    eventually(stack.ready, "an answer of /readyz", within_s=60)
    with stack.supervised("web", **env), under_load(stack, moment) as load:
        for _ in range(DEATHS):
            request.touch()
            eventually(lambda: not request.exists(), "a process that died")
        load.all_end_once(within_s=25)
        assert len(load.refused) >= DEATHS
    stack.stop("web")
    stack.start("web")
    eventually(stack.ready, "an answer of /readyz", within_s=60)
    where = {"die_before_wake_up": "before the wake-up", "die_before_reply": "before its reply"}
    report(
        f"SIGKILL of an API process {where[moment]}", times=DEATHS, orphans=0, lost=0, duplicates=0
    )


def test_a_hundred_identical_submits_at_once_are_one_job(stack: Stack, report: Report) -> None:
    before = stack.ended().get("succeeded", 0)
    body = {"pipeline": "slow", "input": {"text": "the only one"}}
    headers = {"Idempotency-Key": "the-only-one"}

    at_once = threading.Barrier(100)

    def submit(_: int) -> str:
        with stack.client() as client:
            at_once.wait(60)
            response = client.post("/v1/jobs", json=body, headers=headers)
        assert response.status_code in {200, 202}, response.text
        return str(response.json()["id"])

    with ThreadPoolExecutor(100) as pool:
        (job_id,) = set(pool.map(submit, range(100)))
    with stack.client() as client:
        job = client.get(f"/v1/jobs/{job_id}?wait=30").json()
    assert (job["status"], job["attempts"]) == ("succeeded", 1)
    assert stack.ended().get("succeeded", 0) == before + 1
    report("100 identical submits at once with one Idempotency-Key", jobs=1, executions=1)
