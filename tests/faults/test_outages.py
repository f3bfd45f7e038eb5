"""Redis goes away, once for long or many times, and comes back: nobody needs a restart."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.eventually import eventually
from tests.faults.load import Load, under_load
from tests.faults.proxy import Proxy
from tests.faults.report import Report
from tests.stack import Stack

CYCLES = 20
AGAIN_WITHIN_S = 15.0  # workers consume again
ANSWER_WITHIN_S = 12.0  # the API's time limit for Redis is 5 s, and a request may ask it twice
NAMES = ("web", "gpu", "cpu")


@pytest.fixture
def cuttable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Proxy]]:
    """A stack whose processes reach Redis through a proxy; the test itself goes past it."""
    stack = Stack(tmp_path_factory.mktemp("outage"), "tests.pipelines:slow")
    proxy = Proxy(stack.settings.redis_port)
    stack.env["REDIS_PORT"] = str(proxy.port)
    try:
        stack.start_all()
        yield stack, proxy
    finally:
        proxy.close()
        stack.stop_all()


def pids(stack: Stack) -> dict[str, set[int]]:
    return {name: {child.pid for child in stack.children(name)} for name in NAMES}


def submit_once(client: httpx.Client) -> httpx.Response:
    """One job, however often this is called: a submit that the outage held up may still arrive."""
    body = {"pipeline": "slow", "input": {"text": "during the outage"}}
    return client.post("/v1/jobs", json=body, headers={"Idempotency-Key": "during-the-outage"})


def probe(client: httpx.Client) -> float:
    """Ask for all there is while Redis is away; the seconds that the slowest answer took."""
    assert client.get("/livez").status_code == 200
    refused = [
        submit_once(client),
        client.get("/v1/jobs/01J00000000000000000000000"),
    ]
    for answer in refused:
        assert answer.status_code == 503, answer.text
        assert answer.headers["Content-Type"] == "application/problem+json"
    not_ready = client.get("/readyz")
    assert (not_ready.status_code, not_ready.json()["status"]) == (503, "unready")
    return max(answer.elapsed.total_seconds() for answer in [*refused, not_ready])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seconds", [8, 60])
def test_every_process_survives_a_redis_that_cannot_be_reached(
    cuttable: tuple[Stack, Proxy], report: Report, seconds: int
) -> None:
    stack, proxy = cuttable
    before = pids(stack)
    with under_load(stack, "unreachable") as load, stack.client() as client:
        proxy.cut()
        until = time.monotonic() + seconds
        slowest = 0.0
        while time.monotonic() < until:
            slowest = max(slowest, probe(client))
        assert slowest < ANSWER_WITHIN_S
        proxy.mend()
        again = consuming_again(load)
        load.add(submit_once(client).json()["id"])
        load.all_end_once(within_s=60)
    assert pids(stack) == before
    report(
        f"Redis unreachable for {seconds} s",
        processes_died=0,
        lost=0,
        duplicates=0,
        other_than_503=0,
        slowest_answer_s=slowest,
        consuming_again_after_s=again,
    )


@pytest.mark.timeout(600)
def test_jobs_survive_twenty_kills_of_redis(stack: Stack, report: Report) -> None:
    before = pids(stack)
    slowest = 0.0
    with under_load(stack, "cycles", jobs=100_000) as load:
        for _ in range(CYCLES):
            stack.processes["redis"].send_signal(signal.SIGKILL)
            stack.processes["redis"].wait()
            stack.start("redis")
            slowest = max(slowest, consuming_again(load))
        load.enough()
        load.all_end_once(within_s=60)
    assert pids(stack) == before
    report(
        f"SIGKILL of Redis, {CYCLES} times under load",
        accepted=load.jobs,
        lost=0,
        duplicates=0,
        slowest_to_consume_again_s=slowest,
    )


def consuming_again(load: Load) -> float:
    """Seconds until a job is accepted, and until one ends that was not claimed before now.

    Not the same one: what waits in the lane already comes first, and may take a while.
    """
    began, known, claimed = time.monotonic(), len(load.accepted), load.stack.store.now_us()
    eventually(lambda: len(load.accepted) > known, "an accepted job", within_s=AGAIN_WITHIN_S)
    eventually(
        lambda: bool(load.look()) and load.last_claim > claimed,
        "the end of a job claimed since",
        within_s=AGAIN_WITHIN_S - (time.monotonic() - began),
    )
    return time.monotonic() - began
