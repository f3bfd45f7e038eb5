"""A burst on the cpu lane: its worker's pool grows, and shrinks again, and nothing is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tasks.jobs.lanes import Lane
from tasks.jobs.read import read_jobs
from tests.eventually import eventually
from tests.stack import Stack

FEW, BURST = 20, 200
MOST = 3


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A cpu worker of one to three children; no gpu lane."""
    stack = Stack(
        tmp_path_factory.mktemp("autoscale"),
        "tests.pipelines:plodding",
        cpu_workers_max=MOST,
        scale_target_wait_s=2,
        scale_cool_down_s=2,
    )
    try:
        for name in ("redis", "web", "cpu"):
            stack.start(name)
        eventually(lambda: stack.alive(Lane.CPU) == 1, "one child", within_s=120)
        eventually(lambda: answers(stack), "an answer of the API", within_s=60)
        yield stack
    finally:
        stack.stop_all()


def answers(stack: Stack) -> bool:
    try:
        return httpx.get(f"{stack.url}/livez").status_code == 200
    except httpx.TransportError:
        return False


def submit(client: httpx.Client, prefix: str, count: int) -> list[str]:
    bodies = ({"pipeline": "plodding", "input": {"text": f"{prefix} {n}"}} for n in range(count))
    answers = [client.post("/v1/jobs", json=body) for body in bodies]
    assert {answer.status_code for answer in answers} == {202}
    return [answer.json()["id"] for answer in answers]


def counted(client: httpx.Client) -> dict[tuple[str, ...], float]:
    text = client.get("/metrics").text
    return {
        (sample.name, *(f"{label}={value}" for label, value in sorted(sample.labels.items()))): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def changes(client: httpx.Client, name: str) -> tuple[float, float]:
    """Up, and down."""
    seen = counted(client)
    up, down = (seen.get((name, f"direction={way}", "lane=cpu"), 0) for way in ("up", "down"))
    return up, down


def as_many_went(client: httpx.Client) -> bool:
    up, down = changes(client, "penstock_pool_changes_total")
    return up == down >= MOST - 1


@pytest.mark.timeout(180)
def test_a_burst_adds_children_that_go_again_and_every_job_ends_once(stack: Stack) -> None:
    with stack.client() as client:
        jobs = submit(client, "few", FEW)
        eventually(lambda: succeeded(stack) == FEW, "the end of the first jobs", within_s=60)
        jobs += submit(client, "burst", BURST)
        eventually(lambda: stack.alive(Lane.CPU) == MOST, "three children", within_s=60)
        assert len(set(workers(stack))) == MOST
        eventually(lambda: succeeded(stack) == FEW + BURST, "the end of all jobs", within_s=120)
        eventually(lambda: stack.alive(Lane.CPU) == 1, "one child again", within_s=60)
        assert_ended_once(stack, client, jobs)
        eventually(lambda: as_many_went(client), "the counts of the pool")
        up, down = changes(client, "penstock_scaling_decisions_total")
        assert up >= 1
        assert down >= 1
        scale = client.get("/v1/lanes/cpu/scale").json()
        assert (scale["desired"], scale["current"], scale["depth"]) == (1, 1, 0)
    assert stack.log("cpu").count("child no longer needed") >= MOST - 1
    assert "exited with" not in stack.log("cpu")
    assert "Traceback" not in stack.log("cpu")


def succeeded(stack: Stack) -> int:
    return stack.ended().get("succeeded", 0)


def workers(stack: Stack) -> list[str]:
    return [str(member) for member in stack.redis.zrange("ps:workers", 0, -1)]


def assert_ended_once(stack: Stack, client: httpx.Client, job_ids: list[str]) -> None:
    jobs = [job for job in read_jobs(stack.store, job_ids) if job]
    assert Counter((job.status, job.done, job.attempts) for job in jobs) == {
        ("succeeded", 1, 1): len(job_ids)
    }
    assert stack.ended() == {"succeeded": len(job_ids)}
    assert counted(client)["penstock_jobs_total", "pipeline=plodding", "status=succeeded"] == len(
        job_ids
    )
