"""Events, HEAD and conditional reads through the real server, without any worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tasks.jobs.lanes import Lane
from tasks.queue.consumer import Consumer
from tests.eventually import eventually
from tests.stack import Stack
from tests.tasks.lanes import claim, done

pytestmark = pytest.mark.core

BULK = {"pipeline": "echo", "inputs": [{"text": f"text {n}"} for n in range(12)]}
SINGLE = {"pipeline": "echo", "input": {"text": "text"}}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Redis and one web process that sends one event stream at a time."""
    stack = Stack(
        tmp_path_factory.mktemp("reading"),
        "tests.pipelines:echo",
        web_workers=1,
        max_event_streams=1,
    )
    try:
        stack.start("redis")
        stack.start("web")
        eventually(lambda: live(stack), "an answer of /livez", within_s=120)
        yield stack
    finally:
        stack.stop_all()


@pytest.fixture
def client(api: Stack) -> Iterator[httpx.Client]:
    with api.client() as client:
        yield client


def live(stack: Stack) -> bool:
    try:
        return httpx.get(f"{stack.url}/livez").status_code == 200
    except httpx.TransportError:
        return False


def submit(client: httpx.Client, body: dict[str, Any]) -> str:
    return str(client.post("/v1/jobs", json=body).json()["id"])


def events_of(response: httpx.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    kind = ""
    for line in response.iter_lines():
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        if line.startswith("data: "):
            yield kind, json.loads(line.removeprefix("data: "))


def test_events_arrive_as_they_happen_and_end_with_the_job(
    api: Stack, client: httpx.Client
) -> None:
    worker = Consumer(api.store, Lane.GPU)
    job_id = submit(client, BULK)  # three units of four items
    with client.stream("GET", f"/v1/jobs/{job_id}/events") as response:
        events = events_of(response)
        assert next(events)[1]["status"] == "queued"
        first, *others = claim(worker)
        assert next(events)[1]["status"] == "running"
        worker.commit([done(first)])
        assert next(events) == ("progress", {"done": 4, "failed": 0, "total": 12})
        worker.commit([done(unit) for unit in others])
        assert next(events) == ("progress", {"done": 12, "failed": 0, "total": 12})
        (last,) = events
        assert (last[0], last[1]["status"]) == ("status", "succeeded")
    assert client.get(f"/v1/jobs/{job_id}").status_code == 200  # on the same connection


def test_a_client_that_hangs_up_frees_its_stream(api: Stack, client: httpx.Client) -> None:
    worker = Consumer(api.store, Lane.GPU)
    ended = submit(client, SINGLE)
    client.post(f"/v1/jobs/{ended}/cancel")
    for _ in range(3):
        job_id = submit(client, BULK)
        with api.client() as own, own.stream("GET", f"/v1/jobs/{job_id}/events") as response:
            assert next(events_of(response))[1]["status"] == "queued"
            refused = client.get(f"/v1/jobs/{ended}/events")
            assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        worker.commit([done(unit) for unit in claim(worker)[:1]])  # makes the server write
        eventually(
            lambda: client.get(f"/v1/jobs/{ended}/events").status_code == 200, "a free stream"
        )
        assert client.get(f"/v1/jobs/{job_id}").json()["status"] == "running"


@pytest.mark.parametrize("path", ["/v1/jobs/{id}", "/v1/jobs", "/livez", "/nowhere"])
def test_head_tells_the_length_of_the_body_that_it_leaves_out(
    client: httpx.Client, path: str
) -> None:
    path = path.format(id=submit(client, SINGLE))
    headers = {"X-Request-ID": "one"}
    asked, got = client.head(path, headers=headers), client.get(path, headers=headers)
    assert asked.status_code == got.status_code
    assert asked.content == b""
    assert asked.headers["Content-Length"] == got.headers["Content-Length"] == str(len(got.content))


def test_head_of_events_answers_at_once_and_holds_no_stream(client: httpx.Client) -> None:
    path = f"/v1/jobs/{submit(client, SINGLE)}/events"
    for _ in range(3):
        response = client.head(path)
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert "Content-Length" not in response.headers
        assert response.content == b""


def test_what_has_not_changed_is_304_without_a_body(client: httpx.Client) -> None:
    path = f"/v1/jobs/{submit(client, SINGLE)}"
    etag = client.get(path).headers["ETag"]
    response = client.get(path, headers={"If-None-Match": etag})
    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["ETag"] == etag


def test_what_was_submitted_is_listed_where_it_stands(api: Stack, client: httpx.Client) -> None:
    worker = Consumer(api.store, Lane.GPU)
    ended = submit(client, SINGLE | {"input": {"text": "first"}})
    while units := claim(worker):
        worker.commit([done(unit) for unit in units])
    waits = submit(client, SINGLE | {"input": {"text": "second"}})

    def listed(query: str) -> list[str]:
        page = client.get(f"/v1/jobs?{query}").json()
        return [job["id"] for job in page["jobs"]]

    assert listed("limit=2") == [waits, ended]
    assert listed("status=queued&limit=1") == [waits]
    assert listed("status=succeeded&limit=1") == [ended]
    client.post(f"/v1/jobs/{waits}/cancel")
    assert listed("status=cancelled&limit=1") == [waits]
    assert waits not in listed("status=queued")
