"""A web process that is told to stop ends what is under way, and keeps nobody waiting for it."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.eventually import eventually
from tests.integration.test_server_limits import connect, heard, request
from tests.integration.test_waiting_clients import answer_on, long_poll, reads
from tests.stack import Stack

pytestmark = pytest.mark.core

WAITERS = 20
MOST_S = 15.0  # less than the 20 s after which what is under way would be cut


@pytest.fixture
def waiting_jobs(stack: Stack) -> Iterator[list[str]]:
    """Jobs that wait, since nobody computes; in the end everything runs again."""
    stack.stop("gpu")
    stack.stop("cpu")
    with stack.client() as client:
        bodies = [
            {"pipeline": "moderation", "input": {"text": f"drain {n}"}} for n in range(WAITERS)
        ]
        yield [client.post("/v1/jobs", json=body).json()["id"] for body in bodies]
    stack.start("web")
    stack.start("cpu")
    stack.start("gpu")
    eventually(stack.ready, "an answer of /readyz", within_s=120)


@pytest.mark.timeout(240)
def test_sigterm_answers_those_who_wait_and_finishes_what_has_begun(
    stack: Stack, waiting_jobs: list[str]
) -> None:
    before = reads(stack)
    polls = [long_poll(stack, job_id) for job_id in waiting_jobs]
    eventually(lambda: reads(stack) >= before + WAITERS, "all of them wait", within_s=60)
    body = json.dumps({"pipeline": "moderation", "input": {"text": "half sent"}}).encode()
    half_sent = connect(
        stack,
        request(
            stack,
            "POST /v1/jobs",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        )
        + body[:10],
    )
    assert httpx.get(f"{stack.url}/livez").status_code == 200

    web = stack.processes.pop("web")
    started = time.monotonic()
    web.send_signal(signal.SIGTERM)
    for job_id, connection in zip(waiting_jobs, polls, strict=True):
        with connection:
            job = answer_on(connection)
        assert (job["id"], job["status"]) == (job_id, "queued")
    eventually(lambda: refused(stack), "a closed port")
    half_sent.sendall(body[10:])
    assert heard(half_sent).startswith(b"HTTP/1.1 202 ")
    assert web.wait(30) == 0
    took = time.monotonic() - started
    print(f"\n{WAITERS} long-polls and an upload answered, process ended after {took:.2f} s")  # noqa: T201
    assert took < MOST_S


def refused(stack: Stack) -> bool:
    try:
        socket.create_connection(("127.0.0.1", stack.settings.port)).close()
    except ConnectionRefusedError:
        return True
    return False
