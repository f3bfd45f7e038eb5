"""Webhooks as clients see them, on all processes: set up, received, verified and replayed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from tests.eventually import eventually
from tests.receiver import Got, Receiver, answer
from tests.stack import Stack

pytestmark = pytest.mark.core

ENDPOINTS = "/v1/webhook-endpoints"
JOB: dict[str, Any] = {"pipeline": "null", "input": {"text": "hello"}}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(
        tmp_path_factory.mktemp("webhooks"),
        "tests.pipelines:echo",
        enable_null=True,
        webhook_http_hosts=("127.0.0.1",),
        webhook_schedule_s=(600, 600),
    )
    try:
        stack.start_all()
        stack.start("webhooks")
        eventually(lambda: stack.alive("webhooks"), "a worker of webhooks", within_s=120)
        yield stack
    finally:
        stack.stop_all()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with stack.client() as client:
        yield client
        for endpoint in client.get(ENDPOINTS).json()["endpoints"]:
            client.delete(endpoint["links"]["self"])


def event_in(got: Got, secret: str) -> dict[str, Any]:
    """What came, if it is signed with that secret."""
    event: dict[str, Any] = Webhook(secret).verify(got.body, dict(got.headers))
    return event


def ended(client: httpx.Client, **members: Any) -> dict[str, Any]:
    response = client.post("/v1/jobs", json=JOB | members, headers={"Prefer": "wait=60"})
    assert response.status_code == 200, response.text
    job: dict[str, Any] = response.json()
    return job


def deliveries(client: httpx.Client, job: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(job["links"]["deliveries"]).json()["deliveries"]
    return found


def status(client: httpx.Client, job: dict[str, Any]) -> str:
    """Of its only delivery."""
    (delivery,) = deliveries(client, job)
    return str(delivery["status"])


def test_a_jobs_own_webhook_brings_the_job_as_the_api_shows_it(
    client: httpx.Client, receiver: Receiver
) -> None:
    secret = client.get("/v1/webhook-secret").json()["secret"]
    job = ended(client, webhook={"url": receiver.url}, metadata={"ticket": "A-17"})
    eventually(lambda: receiver.got, "the webhook")
    event = event_in(receiver.got[0], secret)
    assert (event["type"], event["data"]) == ("job.succeeded", job)
    assert event["timestamp"] == job["finished_at"]

    eventually(lambda: status(client, job) == "succeeded", "its record")
    (delivery,) = deliveries(client, job)
    assert delivery["id"] == receiver.got[0].id
    assert [one["status"] for one in delivery["attempts"]] == [204]


def test_an_endpoint_is_tried_told_and_told_no_more(
    client: httpx.Client, receiver: Receiver
) -> None:
    made = client.post(ENDPOINTS, json={"url": receiver.url}).json()
    here = made["links"]["self"]
    ping = client.post(f"{here}/ping")
    eventually(lambda: client.get(ping.headers["Location"]).json()["finished_at"], "the ping")
    assert client.get(ping.headers["Location"]).json()["attempts"][0]["trigger"] == "test"
    job = ended(client)
    eventually(lambda: len(receiver.got) == 2, "the webhook")
    events = [event_in(got, made["secret"]) for got in receiver.got]
    assert [event["type"] for event in events] == ["ping", "job.succeeded"]
    assert events[1]["data"]["id"] == job["id"]
    client.patch(here, json={"enabled": False})
    assert deliveries(client, ended(client)) == []


def test_after_a_rotation_old_and_new_secret_fit(client: httpx.Client, receiver: Receiver) -> None:
    made = client.post(ENDPOINTS, json={"url": receiver.url}).json()
    new = client.post(f"{made['links']['self']}/rotate").json()["secret"]
    client.post(f"{made['links']['self']}/ping")
    eventually(lambda: receiver.got, "the ping")
    for secret in (made["secret"], new):
        assert event_in(receiver.got[0], secret)["type"] == "ping"


def test_what_failed_is_replayed_under_the_same_id_and_its_log_tells_no_answer(
    stack: Stack, client: httpx.Client, receiver: Receiver
) -> None:
    made = client.post(ENDPOINTS, json={"url": receiver.url}).json()
    receiver.behave = answer(500, body=b"secret of the receiver")
    job = ended(client)

    eventually(lambda: deliveries(client, job)[0]["next_attempt_at"], "the failure's record")
    shown = client.get(job["links"]["deliveries"])
    assert "secret of" not in shown.text
    assert receiver.url not in shown.text
    receiver.behave = answer(204)
    path = f"{job['links']['deliveries']}/{shown.json()['deliveries'][0]['id']}/retry"
    assert client.post(path).status_code == 202

    eventually(lambda: status(client, job) == "succeeded", "the replay's success")
    attempts = deliveries(client, job)[0]["attempts"]
    assert [(one["status"], one["error"], one["trigger"]) for one in attempts] == [
        (500, "bad_status", None),
        (204, None, "manual"),
    ]
    assert set(receiver.ids) == {deliveries(client, job)[0]["id"]}
    for log in ("web", "webhooks"):
        assert made["secret"] not in stack.log(log)


def test_an_operator_replays_what_was_given_up(
    stack: Stack, client: httpx.Client, receiver: Receiver
) -> None:
    receiver.behave = answer(410)
    job = ended(client, webhook={"url": receiver.url})
    eventually(lambda: status(client, job) == "failed", "the end of it")
    (delivery,) = deliveries(client, job)
    assert delivery["id"] in stack.flask("webhooks", "dead")
    receiver.behave = answer(204)
    stack.flask("webhooks", "retry", delivery["id"])
    eventually(lambda: status(client, job) == "succeeded", "the replay's success")
    assert delivery["id"] not in stack.flask("webhooks", "dead")
