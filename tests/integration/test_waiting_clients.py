"""500 clients that wait cost one web process little, and keep nobody else from being served."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tests.eventually import eventually
from tests.integration.texts import texts
from tests.stack import Stack

WAITERS = 500
MOST_MB = 150  # of the web process in all, by the issue
FEW = 20  # connections that other parts of the system may open meanwhile


@pytest.fixture
def idle(stack: Stack) -> Iterator[Stack]:
    """The stack with one web process, and without workers that compute, so that jobs wait."""
    stack.stop("gpu")
    stack.stop("cpu")
    stack.stop("web")
    stack.start("web", PENSTOCK_WEB_WORKERS="1")
    eventually(lambda: live(stack), "an answer of /livez", within_s=60)
    yield stack
    stack.stop("web")
    stack.start("web")
    stack.start("cpu")
    if "gpu" not in stack.processes:
        stack.start("gpu")
    eventually(stack.ready, "a gpu worker", within_s=120)


def live(stack: Stack) -> bool:
    try:
        return httpx.get(f"{stack.url}/livez").status_code == 200
    except httpx.TransportError:
        return False


def resident_mb(stack: Stack) -> float:
    """Resident memory of the web process that serves: granian's one worker."""
    (worker,) = [p for p in stack.children("web") if "tracker" not in " ".join(p.cmdline())]
    return float(worker.memory_info().rss / 2**20)


def reads(stack: Stack) -> int:
    return int(stack.redis.info("commandstats").get("cmdstat_hmget", {"calls": 0})["calls"])


def connections(stack: Stack) -> int:
    return int(stack.redis.info("clients")["connected_clients"])


def long_poll(stack: Stack, job_id: str) -> socket.socket:
    """Ask for a job on a connection of its own, without reading the answer."""
    connection = socket.create_connection(("127.0.0.1", stack.settings.port), timeout=90)
    request = (
        f"GET /v1/jobs/{job_id}?wait=60 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        f"Authorization: Bearer {stack.settings.api_key}\r\n\r\n"
    )
    connection.sendall(request.encode())
    return connection


def answer_on(connection: socket.socket) -> dict[str, Any]:
    with connection.makefile("rb") as stream:
        assert stream.readline().split()[1] == b"200"
        while stream.readline().strip():
            pass
        job: dict[str, Any] = json.loads(stream.read())
        return job


@pytest.mark.timeout(240)
def test_500_long_polls_are_held_in_little_memory_and_each_gets_its_job(idle: Stack) -> None:
    with idle.client() as client, ExitStack() as waiting:
        job_ids = []
        for text in texts("waiting", WAITERS):
            body = {"pipeline": "moderation", "input": {"text": text}}
            job_ids.append(client.post("/v1/jobs", json=body).json()["id"])
        clients_before, reads_before = connections(idle), reads(idle)
        polls = {job_id: waiting.enter_context(long_poll(idle, job_id)) for job_id in job_ids}
        eventually(lambda: reads(idle) >= reads_before + WAITERS, "500 waiters", within_s=60)

        assert resident_mb(idle) < MOST_MB
        assert connections(idle) < clients_before + FEW
        assert client.get("/livez").status_code == 200
        assert client.get(f"/v1/jobs/{job_ids[0]}").json()["status"] == "queued"
        meanwhile = {"text": "submitted meanwhile (waiting)"}
        body = {"pipeline": "moderation", "input": meanwhile}
        assert client.post("/v1/jobs", json=body).status_code == 202

        idle.start("gpu")
        for job_id, connection in polls.items():
            job = answer_on(connection)
            assert (job["id"], job["status"]) == (job_id, "succeeded")
        assert resident_mb(idle) < MOST_MB
