"""A job of another owner is answered like one that does not exist."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.factory import create_app
from tasks.config.settings import Settings
from tasks.store.client import Store
from tests.app.answers import NULL_JOB, job_in, problem_in
from tests.app.keys import made, with_key

BULK = {"pipeline": "null", "inputs": [{"text": "one"}, {"text": "two"}]}


@pytest.fixture
def app(settings: Settings, store: Store) -> Flask:
    return create_app(settings)


@pytest.fixture
def acme(app: Flask) -> FlaskClient:
    return with_key(app, made(app, "acme").key.text)


@pytest.fixture
def rival(app: Flask) -> FlaskClient:
    return with_key(app, made(app, "rival").key.text)


ROUTES = [
    "GET /v1/jobs/{}",
    "GET /v1/jobs/{}?wait=1",
    "GET /v1/jobs/{}/results",
    "POST /v1/jobs/{}/cancel",
]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("ended", [False, True])
def test_another_owners_job_answers_as_one_that_does_not_exist(
    acme: FlaskClient,
    rival: FlaskClient,
    work: Callable[[], int],
    route: str,
    ended: bool,
) -> None:
    method, path = route.split()
    job_id = job_in(acme.post("/v1/jobs", json=BULK), 202)["id"]
    if ended:
        work()
    theirs = problem_in(rival.open(path.format(job_id), method=method), 404, "job_not_found")
    nobodys = problem_in(rival.open(path.format("job_1"), method=method), 404, "job_not_found")
    del theirs["request_id"], nobodys["request_id"]
    assert theirs == nobodys
    status = job_in(acme.get(f"/v1/jobs/{job_id}"), 200)["status"]
    assert status == ("succeeded" if ended else "queued")
    assert acme.get(f"/v1/jobs/{job_id}/results").text.count("\n") == 2


def test_two_keys_of_one_owner_see_the_same_jobs(app: Flask, acme: FlaskClient) -> None:
    other = with_key(app, made(app, "acme").key.text)
    job_id = job_in(acme.post("/v1/jobs", json=NULL_JOB), 202)["id"]
    assert job_in(other.get(f"/v1/jobs/{job_id}"), 200)["id"] == job_id


def test_an_idempotency_key_is_its_owners(acme: FlaskClient, rival: FlaskClient) -> None:
    headers = {"Idempotency-Key": "order-1"}
    first = job_in(acme.post("/v1/jobs", json=NULL_JOB, headers=headers), 202)["id"]
    again = job_in(acme.post("/v1/jobs", json=NULL_JOB, headers=headers), 202)["id"]
    theirs = job_in(rival.post("/v1/jobs", json=NULL_JOB, headers=headers), 202)["id"]
    assert first == again != theirs
