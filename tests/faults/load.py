"""Clients that lose no job: they send each request again, with its key, until it is accepted.

The ledger notes how each job ended, and reads all of them again at the end: none may have changed.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Self

import httpx
from redis import RedisError

from tasks.jobs.model import Job
from tasks.jobs.read import read_jobs
from tests.eventually import eventually
from tests.stack import Stack

CLIENTS = 8
JOBS = 800
PAUSE_S = 0.05

End = tuple[str, int | None, str]  # status, when, output


class Load:
    """Jobs of the pipeline `slow` under way. accepted: their ids so far."""

    def __init__(self, stack: Stack, series: str, jobs: int = JOBS) -> None:
        self.stack = stack
        self.series = series
        self.jobs = jobs
        self._before = stack.ended()
        self.accepted: list[str] = []
        self.ends: dict[str, End] = {}
        self.changed: list[tuple[str, End, End]] = []
        self.refused: list[str] = []
        self.most_attempts = 0
        self.last_claim = 0  # of those that have ended: when the latest began, Redis us
        self._done = threading.Event()
        self._enough = threading.Event()
        self._looking = threading.Lock()
        self._pool = ThreadPoolExecutor(CLIENTS + 1)
        self._threads: list[Future[None]] = []

    def __enter__(self) -> Self:
        for share in range(CLIENTS):
            self._threads.append(self._pool.submit(self._submit, range(share, self.jobs, CLIENTS)))
        self._threads.append(self._pool.submit(self._watch))
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._pool.shutdown()

    def add(self, job_id: str) -> None:
        """Count a job that somebody else submitted among those that must end."""
        self.accepted.append(job_id)
        self.jobs += 1

    def all_accepted(self) -> bool:
        for thread in self._threads:
            if thread.done():
                thread.result()  # raises what ended it
        return len(self.accepted) == self.jobs

    def enough(self) -> None:
        """Let no more jobs come than were accepted by now."""
        self._enough.set()
        for thread in self._threads[:CLIENTS]:
            thread.result()
        self.jobs = len(self.accepted)

    def look(self, again: bool = False) -> int:
        """Read the accepted jobs that have not ended, or all; how many of them have ended."""
        with self._looking:
            job_ids = [job_id for job_id in list(self.accepted) if again or job_id not in self.ends]
            for job_id, job in zip(job_ids, read_jobs(self.stack.store, job_ids), strict=True):
                assert job is not None, f"{job_id} was accepted and is lost"
                if job.status.is_terminal:
                    self._note(job)
            return len(self.ends)

    def all_end_once(self, within_s: float) -> float:
        """Wait for every job; those accepted by now must end within `within_s`.

        Every one succeeds, and none twice. Returns the seconds that those accepted by now took.
        """
        began, accepted = time.monotonic(), set(self.accepted)
        eventually(
            lambda: self.look() and accepted <= self.ends.keys(),
            f"the end of the {len(accepted)} jobs accepted by then",
            within_s=within_s,
        )
        took = time.monotonic() - began
        eventually(
            lambda: self.all_accepted() and self.look() == self.jobs, "all jobs", within_s=90
        )
        self.look(again=True)
        assert not self.changed
        assert len(set(self.accepted)) == self.jobs
        assert Counter(status for status, *_ in self.ends.values()) == {"succeeded": self.jobs}
        before = self._before.get("succeeded", 0)
        assert self.stack.ended() == self._before | {"succeeded": before + self.jobs}
        assert self.stack.held() == 0
        return took

    def _note(self, job: Job) -> None:
        end = (job.status.value, job.finished, str(job.outcome))
        self.most_attempts = max(self.most_attempts, job.attempts)
        self.last_claim = max(self.last_claim, job.started or 0)
        known = self.ends.setdefault(job.id, end)
        if known != end:
            self.changed.append((job.id, known, end))

    def _watch(self) -> None:
        while not self._done.wait(PAUSE_S):
            try:
                self.look()
            except RedisError:
                continue

    def _submit(self, numbers: Sequence[int]) -> None:
        with self.stack.client() as client:
            for number in numbers:
                if self._enough.is_set():
                    return
                self.accepted.append(self._accepted(client, number))

    def _accepted(self, client: httpx.Client, number: int) -> str:
        body = {"pipeline": "slow", "input": {"text": f"{self.series} {number}"}}
        headers = {"Idempotency-Key": f"{self.series}-{number}"}
        while not self._done.wait(0):
            try:
                response = client.post("/v1/jobs", json=body, headers=headers)
            except httpx.TransportError as error:
                self.refused.append(repr(error))
                continue
            if response.status_code in {200, 202}:
                return str(response.json()["id"])
            assert response.status_code == 503, response.text
            assert response.headers["Content-Type"] == "application/problem+json"
            self.refused.append(response.text)
            self._done.wait(PAUSE_S)  # its Retry-After would be longer than the outage
        raise AssertionError("stopped before all jobs were accepted")


@contextmanager
def under_load(stack: Stack, series: str, jobs: int = JOBS) -> Iterator[Load]:
    """The stack with many jobs accepted, some of them held by the gpu worker, and more coming."""
    with Load(stack, series, jobs) as load:
        eventually(
            lambda: load.all_accepted() or len(load.accepted) > JOBS // 5,
            "a fifth of the jobs accepted",
        )
        eventually(lambda: stack.held() > 1, "a batch under way")
        yield load
