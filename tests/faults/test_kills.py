"""kill -9 under load: every accepted job still ends, within 30 s of the restart, and none twice."""

from __future__ import annotations

import signal
from collections import Counter

import psutil
import pytest

from tests.eventually import eventually
from tests.faults.load import JOBS, Load, under_load
from tests.stack import Stack

WITHIN_S = 30.0  # of the restart, by the issue

pytestmark = pytest.mark.timeout(150)


def all_end_once(load: Load, before: int) -> None:
    """What every test here is about. before: jobs that had succeeded before this load."""
    accepted = set(load.accepted)
    eventually(
        lambda: load.look() and accepted <= load.ends.keys(),
        f"the end of the {len(accepted)} jobs accepted by then",
        within_s=WITHIN_S,
    )
    eventually(lambda: load.all_accepted() and load.look() == JOBS, "all jobs", within_s=60)
    load.look()
    assert not load.changed
    assert len(set(load.accepted)) == JOBS
    assert Counter(status for status, *_ in load.ends.values()) == {"succeeded": JOBS}
    assert load.stack.ended() == {"succeeded": before + JOBS}
    assert load.stack.held() == 0


def succeeded(stack: Stack) -> int:
    return stack.ended().get("succeeded", 0)


def replaced(stack: Stack, old: psutil.Process) -> bool:
    children = [c.pid for c in stack.children("gpu")]
    return old.pid not in children and len(children) > 0


def test_jobs_survive_the_kill_of_the_gpu_workers_child(stack: Stack) -> None:
    before = succeeded(stack)
    with under_load(stack, "child") as load:
        child = stack.pool_child("gpu")
        stack.freeze_in_mid_batch(child)
        child.kill()
        eventually(lambda: replaced(stack, child), "another child")
        all_end_once(load, before)
    assert load.most_attempts == 2
    assert not load.refused
    assert stack.processes["gpu"].poll() is None


def test_jobs_survive_the_kill_of_the_gpu_worker_itself(stack: Stack) -> None:
    before = succeeded(stack)
    orphans = stack.children("gpu")
    with under_load(stack, "parent") as load:
        stack.processes["gpu"].kill()
        stack.processes["gpu"].wait()
        stack.start("gpu")
        all_end_once(load, before)
    _, alive = psutil.wait_procs(orphans, timeout=WITHIN_S)
    assert not alive
    assert not load.refused


def test_jobs_survive_the_kill_of_redis(stack: Stack) -> None:
    before = succeeded(stack)
    names = ("web", "gpu", "cpu")
    pids = {name: {child.pid for child in stack.children(name)} for name in names}
    with under_load(stack, "redis") as load:
        stack.processes["redis"].send_signal(signal.SIGKILL)
        stack.processes["redis"].wait()
        eventually(lambda: load.refused, "a client that was refused")
        stack.start("redis")
        all_end_once(load, before)
    for name in names:
        assert stack.processes[name].poll() is None
        assert {child.pid for child in stack.children(name)} == pids[name], name
    with stack.client() as client:
        body = {"pipeline": "slow", "input": {"text": "after the restart"}}
        response = client.post("/v1/jobs", json=body, headers={"Prefer": "wait=30"})
        assert (response.status_code, response.json()["status"]) == (200, "succeeded")


def test_jobs_survive_a_kill_of_everything_at_once(stack: Stack) -> None:
    before = succeeded(stack)
    with under_load(stack, "all") as load:
        for name in ("gpu", "cpu", "redis", "web"):
            for child in stack.children(name):
                child.kill()
            stack.processes[name].kill()
            stack.processes[name].wait()
        for name in ("redis", "web", "gpu", "cpu"):
            stack.start(name)
        all_end_once(load, before)
