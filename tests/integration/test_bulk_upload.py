"""Uploads on the real stack: large ones in little memory, broken ones leave nothing."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psutil
import pytest

from tests.eventually import eventually
from tests.stack import Stack

LINES = 50_000
TEXT_CHARS = 2_050  # so that the upload comes to just under 100 MB
MOST_MB = 100  # that the web process may grow by; the upload is as large, and so are the results
PATIENCE_MS = 8_000
QUERY = "/v1/jobs?pipeline=bulky"
NDJSON = {"Content-Type": "application/x-ndjson"}
KEY = {"Idempotency-Key": "the-upload"}


@pytest.fixture(scope="module")
def bulk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One web process and a worker, apart from the stack that other tests share."""
    stack = Stack(
        tmp_path_factory.mktemp("bulk"),
        "tests.pipelines:bulky",
        web_workers=1,
        upload_patience_ms=PATIENCE_MS,
    )
    try:
        stack.start_all()
        yield stack
    finally:
        stack.stop_all()


def text_of(number: int) -> str:
    return f"{number} ".ljust(TEXT_CHARS, "x")


def line_of(number: int) -> bytes:
    return json.dumps({"text": text_of(number)}).encode() + b"\n"


def web_worker(stack: Stack) -> psutil.Process:
    (worker,) = [p for p in stack.children("web") if "tracker" not in " ".join(p.cmdline())]
    return worker


class Peak:
    """The most resident memory of a process, in MB, beyond what it had at first."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._first = self._most = process.memory_info().rss

    def look(self) -> None:
        self._most = max(self._most, self._process.memory_info().rss)

    @property
    def grown_mb(self) -> float:
        return float(self._most - self._first) / 2**20


@contextmanager
def watched(stack: Stack) -> Iterator[Peak]:
    peak, done = Peak(web_worker(stack)), threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak.look()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()
        peak.look()


@pytest.mark.timeout(300)
def test_50000_lines_of_100_mb_go_in_and_come_out_in_order_in_little_memory(bulk: Stack) -> None:
    with bulk.client() as client:
        warm = client.post(QUERY, content=line_of(0), headers=NDJSON | {"Prefer": "wait=30"})
        assert warm.json()["status"] == "succeeded", warm.text
        size, started = LINES * len(line_of(10_000)), time.monotonic()
        with watched(bulk) as sending:
            response = client.post(
                f"{QUERY}&lines={LINES}", content=map(line_of, range(LINES)), headers=NDJSON
            )
        sent_s = time.monotonic() - started
        assert response.status_code == 202, response.text
        job = response.json()
        assert job["progress"]["total"] == LINES
        while job["status"] not in {"succeeded", "failed"}:
            job = client.get(f"/v1/jobs/{job['id']}", params={"wait": 30}).json()
        ran_s = time.monotonic() - started - sent_s
        assert job["progress"] == {"done": LINES, "failed": 0, "total": LINES}
        read_started = time.monotonic()
        with watched(bulk) as reading, client.stream("GET", job["links"]["results"]) as answer:
            count = 0
            for line in answer.iter_lines():
                result = json.loads(line)
                assert result["index"] == count
                assert result["output"]["echo"] == text_of(count)
                count += 1
        assert count == LINES
    read_s = time.monotonic() - read_started
    print(  # noqa: T201
        f"\n{size / 2**20:.0f} MB: sent in {sent_s:.1f} s (+{sending.grown_mb:.0f} MB), "
        f"run in {ran_s:.1f} s, read in {read_s:.1f} s (+{reading.grown_mb:.0f} MB)"
    )
    assert 90 * 2**20 < size <= 100 * 2**20
    assert sending.grown_mb < MOST_MB
    assert reading.grown_mb < MOST_MB


def under_way(stack: Stack) -> list[str]:
    """What is staged of uploads whose jobs are not there yet."""
    return [str(key) for key in stack.redis.scan_iter("ps:inputs:*")]


def pending(stack: Stack) -> list[str]:
    found = [str(key) for key in stack.redis.scan_iter("ps:idempotency:*")]
    return [key for key in found if str(stack.redis.get(key)).startswith("pending")]


def jobs(stack: Stack) -> int:
    return sum(1 for _ in stack.redis.scan_iter("ps:job:*"))


class Halting:
    """A body that stops in its middle until it is let go."""

    def __init__(self, lines: int) -> None:
        self.lines = lines
        self.go_on = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        yield from map(line_of, range(self.lines // 2))
        self.go_on.wait()
        yield from map(line_of, range(self.lines // 2, self.lines))


@contextmanager
def half_sent(stack: Stack, lines: int) -> Iterator[None]:
    """While an upload has come to its middle; afterwards its client finds the connection gone."""
    body = Halting(lines)
    failures: list[Exception] = []

    def send() -> None:
        with stack.client() as client:
            try:
                client.post(QUERY, content=iter(body), headers=NDJSON | KEY)
            except httpx.TransportError as error:
                failures.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        eventually(lambda: under_way(stack), "the first units of an upload")
        yield
    finally:
        body.go_on.set()
        thread.join()
    assert failures


def test_a_web_process_killed_midway_leaves_what_goes_by_itself_and_the_key_works(
    bulk: Stack,
) -> None:
    before = jobs(bulk)
    with half_sent(bulk, lines=400):
        os.killpg(bulk.processes["web"].pid, signal.SIGKILL)
        bulk.processes["web"].wait()
        assert jobs(bulk) == before
        assert len(under_way(bulk)) == len(pending(bulk)) == 1
        for key in under_way(bulk) + pending(bulk):
            assert 0 < bulk.redis.pttl(key) <= PATIENCE_MS
    bulk.start("web")
    eventually(bulk.ready, "an answer of /readyz", within_s=60)
    eventually(lambda: not under_way(bulk) and not pending(bulk), "the end of what was staged")
    with bulk.client() as client:
        headers = NDJSON | KEY | {"Prefer": "wait=30"}
        response = client.post(QUERY, content=map(line_of, range(400)), headers=headers)
    assert response.json()["progress"] == {"done": 400, "failed": 0, "total": 400}
    assert jobs(bulk) == before + 1


@pytest.mark.parametrize("announced", ["Content-Length", "lines"])
def test_a_client_that_goes_midway_leaves_nothing(bulk: Stack, announced: str) -> None:
    before, body = jobs(bulk), b"".join(map(line_of, range(200)))
    half = b"".join(map(line_of, range(100)))

    def halves() -> Iterator[bytes]:
        yield half
        eventually(lambda: under_way(bulk), "the first units of an upload")
        raise httpx.WriteError("the client goes")

    query = f"{QUERY}&lines=200" if announced == "lines" else QUERY
    length = {} if announced == "lines" else {"Content-Length": str(len(body))}
    headers = NDJSON | {"Idempotency-Key": announced}
    with bulk.client() as client:
        with pytest.raises(httpx.TransportError):
            client.post(query, content=halves(), headers=headers | length)
        client.close()
    eventually(lambda: not under_way(bulk) and not pending(bulk), "the end of what was staged")
    assert jobs(bulk) == before
    with bulk.client() as client:
        response = client.post(query, content=body, headers=headers)
    assert response.status_code == 202, response.text
