"""More work than fits: refused at once and aloud, and everything accepted still ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tasks.jobs.model import Status
from tasks.jobs.read import read_jobs
from tests.eventually import eventually
from tests.faults.report import Report
from tests.stack import Stack

MAX_LANE_UNITS = 300
MEBIBYTE = 2**20
CLIENTS = 8
TEXT_CHARACTERS = 4_000

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose lanes are soon full."""
    stack = Stack(
        tmp_path_factory.mktemp("small"), "tests.pipelines:slow", max_lane_units=MAX_LANE_UNITS
    )
    try:
        stack.start_all()
        yield stack
    finally:
        stack.stop_all()


class Flood:
    """Clients that submit bulk jobs of long texts until they have been refused often enough."""

    def __init__(self, stack: Stack, enough: int, inputs: int) -> None:
        self.stack = stack
        self.accepted: list[str] = []
        self.refused: list[httpx.Response] = []
        self.most_memory = 0
        self._enough = enough
        self._inputs = [{"text": str(n).rjust(TEXT_CHARACTERS, ".")} for n in range(inputs)]

    def run(self) -> None:
        with ThreadPoolExecutor(CLIENTS) as pool:
            for client in [pool.submit(self._submit) for _ in range(CLIENTS)]:
                client.result()

    def all_end_well(self) -> None:
        def all_ended() -> bool:
            jobs = read_jobs(self.stack.store, self.accepted)
            assert None not in jobs, "a job was accepted and is lost"
            return all(job is not None and job.status.is_terminal for job in jobs)

        eventually(all_ended, f"the end of {len(self.accepted)} jobs", within_s=120)
        statuses = [job.status for job in read_jobs(self.stack.store, self.accepted) if job]
        assert Counter(statuses) == {Status.SUCCEEDED: len(self.accepted)}

    def _submit(self) -> None:
        with self.stack.client() as client:
            while len(self.refused) < self._enough:
                body = {"pipeline": "slow", "inputs": self._inputs}
                response = client.post("/v1/jobs", json=body)
                used: int = self.stack.redis.info("memory")["used_memory"]
                self.most_memory = max(self.most_memory, used)
                if response.status_code == 202:
                    self.accepted.append(response.json()["id"])
                    continue
                self.refused.append(response)

    def assert_refused_well(self) -> None:
        assert {response.status_code for response in self.refused} == {503}
        assert {response.json()["code"] for response in self.refused} == {"overloaded"}
        assert all(int(response.headers["Retry-After"]) > 0 for response in self.refused)


def test_a_flood_is_refused_beyond_the_depth_of_the_lane(small: Stack, report: Report) -> None:
    flood = Flood(small, enough=200, inputs=40)
    before: int = small.redis.info("memory")["used_memory"]
    flood.run()
    flood.assert_refused_well()
    grown = (flood.most_memory - before) / MEBIBYTE
    held = len(flood.accepted) * 40 * TEXT_CHARACTERS / MEBIBYTE
    flood.all_end_well()
    assert grown < 3 * held
    with small.client() as client:
        body = {"pipeline": "slow", "input": {"text": "after the flood"}}
        assert client.post("/v1/jobs", json=body).status_code == 202
    report(
        "queue flood past the depth limit",
        accepted=len(flood.accepted),
        refused_503=len(flood.refused),
        lost=0,
        memory_grown_MiB=grown,
    )


def test_a_full_redis_refuses_jobs_and_finishes_those_it_has(small: Stack, report: Report) -> None:
    redis = small.redis
    used: int = redis.info("memory")["used_memory"]  # with the records of earlier tests
    headroom = small.settings.redis_headroom_percent / 100
    redis.config_set("maxmemory", int((used + 8 * MEBIBYTE) / (1 - headroom)))
    try:
        flood = Flood(small, enough=200, inputs=8)
        flood.run()
        flood.assert_refused_well()
        assert flood.accepted
        assert any("nearly full" in response.text for response in flood.refused)
        redis.config_set("maxmemory", redis.info("memory")["used_memory"] - MEBIBYTE)
        flood.all_end_well()
        evicted: int = redis.info("stats")["evicted_keys"]
        assert evicted == 0
    finally:
        redis.config_set("maxmemory", 0)
    report(
        "Redis at maxmemory, and beyond it",
        accepted=len(flood.accepted),
        refused_503=len(flood.refused),
        evicted=evicted,
        lost=0,
    )
