"""kill -9 under load: every accepted job still ends, within 25 s, and none twice."""

from __future__ import annotations

import signal

import psutil
import pytest

from tests.eventually import eventually
from tests.faults.load import under_load
from tests.faults.report import Report
from tests.stack import Stack

WITHIN_S = 25.0  # of the kill

pytestmark = pytest.mark.timeout(150)


def replaced(stack: Stack, old: psutil.Process) -> bool:
    children = [c.pid for c in stack.children("gpu")]
    return old.pid not in children and len(children) > 0


@pytest.mark.core
def test_jobs_survive_the_kill_of_the_gpu_workers_child(stack: Stack, report: Report) -> None:
    with under_load(stack, "child") as load:
        child = stack.pool_child("gpu")
        stack.freeze_in_mid_batch(child)
        child.kill()
        took = load.all_end_once(WITHIN_S)
    assert load.most_attempts == 2
    assert not load.refused
    assert replaced(stack, child)
    assert stack.processes["gpu"].poll() is None
    report("SIGKILL of a pool child in mid-batch", lost=0, duplicates=0, recovered_s=took)


def test_jobs_survive_the_kill_of_the_gpu_worker_itself(stack: Stack, report: Report) -> None:
    orphans = stack.children("gpu")
    with under_load(stack, "parent") as load:
        stack.kill("gpu")
        stack.start("gpu")
        took = load.all_end_once(WITHIN_S)
    _, alive = psutil.wait_procs(orphans, timeout=WITHIN_S)
    assert not alive
    assert not load.refused
    report("SIGKILL of a worker's parent", lost=0, duplicates=0, orphans=0, recovered_s=took)


def test_jobs_survive_the_kill_of_the_web_server(stack: Stack, report: Report) -> None:
    orphans = stack.children("web")
    with under_load(stack, "web") as load:
        stack.kill("web")
        stack.start("web")
        took = load.all_end_once(WITHIN_S)
    _, alive = psutil.wait_procs(orphans, timeout=WITHIN_S)
    assert not alive
    report("SIGKILL of the web server", lost=0, duplicates=0, orphans=0, recovered_s=took)


def test_jobs_survive_the_kill_of_redis(stack: Stack, report: Report) -> None:
    names = ("web", "gpu", "cpu")
    pids = {name: {child.pid for child in stack.children(name)} for name in names}
    with under_load(stack, "redis") as load:
        stack.processes["redis"].send_signal(signal.SIGKILL)
        stack.processes["redis"].wait()
        eventually(lambda: load.refused, "a client that was refused")
        stack.start("redis")
        took = load.all_end_once(WITHIN_S)
    for name in names:
        assert stack.processes[name].poll() is None
        assert {child.pid for child in stack.children(name)} == pids[name], name
    with stack.client() as client:
        body = {"pipeline": "slow", "input": {"text": "after the restart"}}
        response = client.post("/v1/jobs", json=body, headers={"Prefer": "wait=30"})
        assert (response.status_code, response.json()["status"]) == (200, "succeeded")
    report("SIGKILL of Redis", lost=0, duplicates=0, recovered_s=took)


def test_jobs_survive_a_kill_of_everything_at_once(stack: Stack, report: Report) -> None:
    with under_load(stack, "all") as load:
        for name in ("gpu", "cpu", "redis", "web"):
            for child in stack.children(name):
                child.kill()
            stack.kill(name)
        for name in ("redis", "web", "gpu", "cpu"):
            stack.start(name)
        took = load.all_end_once(WITHIN_S)
    report("SIGKILL of everything at once", lost=0, duplicates=0, recovered_s=took)
