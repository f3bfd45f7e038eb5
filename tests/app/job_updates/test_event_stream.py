from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from redis import RedisError

import app.job_updates.event_stream
from app.factory import create_app
from tasks.config.settings import Settings
from tasks.queue.consumer import Consumer
from tasks.store import keys
from tasks.store.client import Store
from tests.app.answers import JOB_MEMBERS, NULL_JOB, problem_in
from tests.app.conftest import client_of
from tests.tasks.lanes import claim, done

NEVER_S = 3_600.0
BULK = {"pipeline": "echo", "inputs": [{"text": f"text {n}"} for n in range(12)]}


@dataclass(frozen=True)
class Event:
    kind: str
    id: str
    data: dict[str, Any]


class Stream:
    """The body of a response, read event by event."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._blocks: list[str] = []

    def next_block(self) -> str | None:
        """The text up to the next empty line; None at the end of the stream."""
        while not self._blocks:
            chunk = next(self._chunks, None)
            if chunk is None:
                return None
            text = chunk.decode()
            assert text.endswith("\n\n"), "an event was cut in two"
            self._blocks = text[:-2].split("\n\n")
        return self._blocks.pop(0)

    def next_event(self) -> Event | None:
        """The next event, or None at the end; comments are skipped."""
        while (block := self.next_block()) is not None:
            if block.startswith("event: "):
                kind, name, data = block.split("\n")
                return Event(
                    kind.removeprefix("event: "),
                    name.removeprefix("id: "),
                    json.loads(data.removeprefix("data: ")),
                )
        return None

    def rest(self) -> list[Event]:
        events = []
        while event := self.next_event():
            events.append(event)
        return events


@contextmanager
def following(client: FlaskClient, job_id: str, **headers: str) -> Iterator[Stream]:
    response = client.get(f"/v1/jobs/{job_id}/events", headers=headers, buffered=False)
    try:
        assert response.status_code == 200, response.text
        yield Stream(iter(response.iter_encoded()))
    finally:
        response.close()


def submit(client: FlaskClient, body: dict[str, Any] = NULL_JOB) -> str:
    response = client.post("/v1/jobs", json=body)
    assert response.status_code == 202
    return str(response.get_json()["id"])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.job_updates.event_stream, "LOOK_AGAIN_S", 0.01)


def limited(settings: Settings, streams: int = 10, seconds: int = 60) -> FlaskClient:
    limits = replace(settings, max_event_streams=streams, max_events_s=seconds)
    return client_of(create_app(limits))


def test_the_stream_has_its_media_type_and_forbids_buffering(client: FlaskClient) -> None:
    response = client.get(f"/v1/jobs/{submit(client)}/events", buffered=False)
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Accel-Buffering"] == "no"
    assert "Content-Length" not in response.headers
    response.close()


def test_the_first_event_is_the_job_as_it_stands(client: FlaskClient) -> None:
    job_id = submit(client)
    with following(client, job_id) as stream:
        assert stream.next_block() == "retry: 2000"
        event = stream.next_event()
        assert event is not None
        assert (event.kind, event.id) == ("status", "queued-0-0")
        assert set(event.data) == JOB_MEMBERS
        assert event.data == client.get(f"/v1/jobs/{job_id}").get_json()


def test_a_job_that_has_ended_is_one_event(client: FlaskClient, work: Callable[[], int]) -> None:
    job_id = submit(client)
    work()
    with following(client, job_id) as stream:
        (event,) = stream.rest()
    assert (event.kind, event.data["status"]) == ("status", "succeeded")
    assert event.data["output"]["label"] == "allow"


def test_a_job_is_followed_from_its_lane_to_its_end(
    client: FlaskClient, gpu_worker: Consumer
) -> None:
    job_id = submit(client, BULK)  # three units of four items
    with following(client, job_id) as stream:
        seen = [stream.next_event()]
        units = claim(gpu_worker)
        seen.append(stream.next_event())
        for unit in units:
            gpu_worker.commit([done(unit)])
            seen.append(stream.next_event())
        seen += stream.rest()
    assert [(event.kind, event.id) for event in seen if event] == [
        ("status", "queued-0-0"),
        ("status", "running-0-0"),
        ("progress", "running-4-0"),
        ("progress", "running-8-0"),
        ("progress", "running-12-0"),
        ("status", "succeeded-12-0"),
    ]
    assert seen[2]
    assert seen[2].data == {"done": 4, "failed": 0, "total": 12}


def test_the_end_is_sent_at_once_because_of_its_notice(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, work: Callable[[], int]
) -> None:
    monkeypatch.setattr(app.job_updates.event_stream, "LOOK_AGAIN_S", NEVER_S)
    job_id = submit(client)
    with following(client, job_id) as stream:
        stream.next_event()
        worker = threading.Thread(target=work)
        worker.start()
        assert [(event.kind, event.data.get("status")) for event in stream.rest()] == [
            ("progress", None),
            ("status", "succeeded"),
        ]
    worker.join()  # it would answer the job of the next test


def test_a_cancelled_job_ends_the_stream(client: FlaskClient) -> None:
    job_id = submit(client)
    with following(client, job_id) as stream:
        stream.next_event()
        client.post(f"/v1/jobs/{job_id}/cancel")
        (event,) = stream.rest()
    assert (event.id, event.data["error"]["code"]) == ("cancelled-0-0", "cancelled")


def test_while_nothing_happens_comments_keep_the_connection_alive(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.job_updates.event_stream, "KEEP_ALIVE_S", 0.0)
    with following(client, submit(client)) as stream:
        stream.next_event()
        assert [stream.next_block() for _ in range(3)] == [": still there"] * 3


def test_when_its_time_is_up_a_stream_ends_without_a_final_status(
    settings: Settings, store: Store
) -> None:
    client = limited(settings, seconds=1)
    with following(client, submit(client)) as stream:
        assert [event.id for event in stream.rest()] == ["queued-0-0"]


def test_a_record_that_vanishes_ends_the_stream(client: FlaskClient, store: Store) -> None:
    job_id = submit(client)
    with following(client, job_id) as stream:
        stream.next_event()
        store.redis.delete(keys.job(job_id))
        assert stream.rest() == []


def test_a_failure_of_redis_ends_the_stream(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RedisError

    with following(client, submit(client)) as stream:
        stream.next_event()
        monkeypatch.setattr(app.job_updates.event_stream, "read_job", fail)
        assert stream.rest() == []


def test_who_comes_back_with_the_last_event_is_told_that_it_was_the_last(
    client: FlaskClient, work: Callable[[], int]
) -> None:
    job_id = submit(client)
    with following(client, job_id, **{"Last-Event-ID": "queued-0-0"}) as stream:
        assert stream.next_event() is not None
    work()
    with following(client, job_id, **{"Last-Event-ID": "queued-0-0"}) as stream:
        (event,) = stream.rest()
    again = client.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": event.id})
    assert (again.status_code, again.data) == (204, b"")


def test_streams_beyond_the_limit_are_refused_until_one_has_ended(
    settings: Settings, store: Store
) -> None:
    client = limited(settings, streams=2)
    job_id = submit(client)
    path = f"/v1/jobs/{job_id}/events"
    with following(client, job_id) as first:
        first.next_event()
        with following(client, job_id):
            refused = client.get(path)
            problem = problem_in(refused, 503, "overloaded")
            assert "2 event streams" in problem["detail"]
            assert int(refused.headers["Retry-After"]) >= 1
            assert client.head(path).status_code == 200
        with following(client, job_id) as another:
            another.next_event()
            problem_in(client.get(path), 503, "overloaded")
        client.post(f"/v1/jobs/{job_id}/cancel")
        first.rest()
    for _ in range(5):
        assert client.get(path, buffered=True).status_code == 200


def test_a_client_that_disconnects_before_the_first_event_frees_its_stream(
    settings: Settings, store: Store
) -> None:
    client = limited(settings, streams=1)
    job_id = submit(client)
    for _ in range(5):
        client.get(f"/v1/jobs/{job_id}/events", buffered=False).close()


def test_a_stream_that_is_closed_waits_for_nothing_any_more(client: FlaskClient) -> None:
    waiting = client.application.extensions["penstock"].long_polls
    job_id = submit(client)
    with following(client, job_id) as stream:
        stream.next_event()
        assert job_id in waiting._waiters
    assert job_id not in waiting._waiters


def test_another_owners_job_cannot_be_followed(client: FlaskClient, store: Store) -> None:
    job_id = submit(client)
    spec = json.loads(store.redis.hget(keys.job(job_id), "spec") or "")
    store.redis.hset(keys.job(job_id), "spec", json.dumps({**spec, "owner": "another"}))
    problem_in(client.get(f"/v1/jobs/{job_id}/events"), 404, "job_not_found")
