"""The deliveries of a job, and retry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.factory import create_app
from tasks.config.settings import Settings
from tasks.store import keys
from tasks.store.client import Store
from tasks.webhooks.deliveries import Result
from tests.app.answers import NULL_JOB, job_in, problem_in
from tests.app.hooks import ENDPOINTS, URL, attempted, made
from tests.app.keys import made as key_made
from tests.app.keys import with_key

MEMBERS = {
    *("id", "job_id", "endpoint_id", "event", "status", "created_at", "finished_at"),
    *("next_attempt_at", "attempts"),
}
FAILED: dict[str, Any] = {
    "at": "2026-01-01T00:00:00.000Z",
    "status": 500,
    "error": "bad_status",
    "ms": 12.5,
}


@pytest.fixture
def job_id(client: FlaskClient, work: Callable[[], int]) -> str:
    """A job that has ended, with a webhook of its own."""
    job = job_in(client.post("/v1/jobs", json={**NULL_JOB, "webhook": {"url": URL}}), 202)
    work()
    return str(job["id"])


def listed(client: FlaskClient, job_id: str) -> list[dict[str, Any]]:
    response = client.get(f"/v1/jobs/{job_id}/deliveries")
    assert response.status_code == 200, response.text
    assert response.headers["Cache-Control"] == "no-store"
    found: list[dict[str, Any]] = response.get_json()["deliveries"]
    assert all(set(one) == MEMBERS for one in found)
    return found


def only(client: FlaskClient, job_id: str) -> dict[str, Any]:
    (delivery,) = listed(client, job_id)
    return delivery


def retry(job_id: str, delivery_id: str) -> str:
    return f"/v1/jobs/{job_id}/deliveries/{delivery_id}/retry"


def test_a_job_without_webhooks_has_no_deliveries(client: FlaskClient) -> None:
    job_id = job_in(client.post("/v1/jobs", json=NULL_JOB), 202)["id"]
    assert listed(client, job_id) == []


def test_each_webhook_has_a_delivery_and_all_its_attempts(
    client: FlaskClient, store: Store, work: Callable[[], int]
) -> None:
    endpoint = made(client)["id"]
    job = job_in(client.post("/v1/jobs", json={**NULL_JOB, "webhook": {"url": URL}}), 202)
    work()
    found = {one["endpoint_id"]: one for one in listed(client, job["id"])}
    assert set(found) == {None, endpoint}
    for one in found.values():
        assert (one["job_id"], one["event"], one["status"]) == (
            *(job["id"], "job.succeeded"),
            "queued",
        )
        assert (one["attempts"], one["finished_at"], one["next_attempt_at"]) == ([], None, None)
    attempted(store, Result.RETRY, 60_000, **FAILED)
    for one in listed(client, job["id"]):
        assert (one["status"], one["finished_at"]) == ("queued", None)
        assert one["next_attempt_at"] > one["created_at"]
        assert one["attempts"] == [
            {
                "at": FAILED["at"],
                "status": 500,
                "error": "bad_status",
                "latency_ms": 12.5,
                "trigger": None,
            }
        ]


def test_where_a_webhook_goes_is_not_in_its_log(
    client: FlaskClient, store: Store, job_id: str
) -> None:
    attempted(store, Result.RETRY, 60_000, **FAILED)
    assert "example.com" not in client.get(f"/v1/jobs/{job_id}/deliveries").text


def test_a_failed_delivery_can_be_retried(client: FlaskClient, store: Store, job_id: str) -> None:
    attempted(store, Result.FAILED, **FAILED)
    given_up = only(client, job_id)
    assert given_up["status"] == "failed"
    assert given_up["finished_at"] is not None
    response = client.post(retry(job_id, given_up["id"]))
    assert response.status_code == 202
    assert response.get_json()["status"] == "queued"
    assert response.get_json()["finished_at"] is None
    assert attempted(store, Result.SUCCEEDED, status=200, trigger="manual") == [given_up["id"]]
    again = only(client, job_id)
    assert (again["id"], again["status"]) == (given_up["id"], "succeeded")
    assert [(one["status"], one["trigger"]) for one in again["attempts"]] == [
        (500, None),
        (200, "manual"),
    ]


def test_a_delivery_that_waits_for_its_next_attempt_is_retried_at_once(
    client: FlaskClient, store: Store, job_id: str
) -> None:
    attempted(store, Result.RETRY, 3_600_000, **FAILED)
    delivery = only(client, job_id)["id"]
    assert client.post(retry(job_id, delivery)).get_json()["next_attempt_at"] is None
    assert attempted(store, Result.SUCCEEDED, status=200) == [delivery]


def test_retrying_twice_queues_once(client: FlaskClient, store: Store, job_id: str) -> None:
    attempted(store, Result.SUCCEEDED, status=200)
    delivery = only(client, job_id)["id"]
    for _ in range(2):
        assert client.post(retry(job_id, delivery)).status_code == 202
    assert attempted(store, Result.SUCCEEDED, status=200) == [delivery]


def test_an_unknown_delivery_or_one_of_another_job_is_not_found(
    client: FlaskClient, store: Store, job_id: str
) -> None:
    delivery = only(client, job_id)["id"]
    other = job_in(client.post("/v1/jobs", json=NULL_JOB), 202)["id"]
    problem_in(client.post(retry(job_id, "msg_1")), 404, "delivery_not_found")
    problem_in(client.post(retry(other, delivery)), 404, "delivery_not_found")
    problem_in(client.post(retry("job_1", delivery)), 404, "job_not_found")
    problem_in(client.get("/v1/jobs/job_1/deliveries"), 404, "job_not_found")


def test_what_its_endpoint_has_become_is_said_before_it_is_queued(
    client: FlaskClient, store: Store, work: Callable[[], int]
) -> None:
    endpoint = f"{ENDPOINTS}/{made(client)['id']}"
    job_id = job_in(client.post("/v1/jobs", json=NULL_JOB), 202)["id"]
    work()
    attempted(store, Result.FAILED, **FAILED)
    path = retry(job_id, only(client, job_id)["id"])
    client.patch(endpoint, json={"enabled": False})
    problem_in(client.post(path), 409, "endpoint_disabled")
    client.delete(endpoint)
    problem_in(client.post(path), 404, "endpoint_not_found")
    assert attempted(store, Result.SUCCEEDED) == []


def test_another_owners_deliveries_are_as_if_they_did_not_exist(
    settings: Settings, store: Store, work: Callable[[], int]
) -> None:
    app = create_app(settings)
    acme = with_key(app, key_made(app, "acme").key.text)
    rival = with_key(app, key_made(app, "rival").key.text)
    job_id = job_in(acme.post("/v1/jobs", json={**NULL_JOB, "webhook": {"url": URL}}), 202)["id"]
    work()
    delivery = only(acme, job_id)["id"]
    for method, path in (
        ("GET", f"/v1/jobs/{job_id}/deliveries"),
        ("POST", retry(job_id, delivery)),
    ):
        problem_in(rival.open(path, method=method), 404, "job_not_found")
    assert only(acme, job_id)["status"] == "queued"


def test_the_log_outlives_its_job(client: FlaskClient, store: Store, job_id: str) -> None:
    attempted(store, Result.FAILED, **FAILED)
    kept = store.redis.pttl(keys.deliveries(job_id))
    assert kept > 6 * 86_400_000 > store.redis.pttl(keys.job(job_id))
    store.redis.delete(keys.job(job_id))
    delivery = only(client, job_id)
    assert delivery["status"] == "failed"
    assert client.post(retry(job_id, delivery["id"])).status_code == 202
