from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tasks.store.client import Store
from tests.app.answers import NULL_JOB, details, job_in, problem_in
from tests.app.conftest import client_of

KEY = {"Idempotency-Key": "order-4711"}


def jobs_kept(store: Store) -> int:
    return len(list(store.redis.scan_iter("ps:job:*")))


def test_the_same_request_again_is_answered_with_the_same_job(
    client: FlaskClient, store: Store
) -> None:
    first = client.post("/v1/jobs", json=NULL_JOB, headers=KEY)
    second = client.post("/v1/jobs", json=NULL_JOB, headers=KEY)
    assert job_in(second, 202) == job_in(first, 202)
    assert second.headers["Location"] == first.headers["Location"]
    assert jobs_kept(store) == 1
    assert store.redis.xlen("ps:lane:gpu:normal") == 1


def test_a_replay_shows_the_job_as_it_stands_by_then(
    client: FlaskClient, work: Callable[[], int]
) -> None:
    first = job_in(client.post("/v1/jobs", json=NULL_JOB, headers=KEY), 202)
    work()
    again = job_in(client.post("/v1/jobs", json=NULL_JOB, headers=KEY), 200)
    assert (again["id"], again["status"]) == (first["id"], "succeeded")


def test_the_key_with_another_body_is_refused(client: FlaskClient, store: Store) -> None:
    client.post("/v1/jobs", json=NULL_JOB, headers=KEY)
    other = {**NULL_JOB, "input": {"text": "another"}}
    response = client.post("/v1/jobs", json=other, headers=KEY)
    problem = problem_in(response, 422, "idempotency_mismatch")
    assert "Idempotency-Key" in problem["detail"]
    assert jobs_kept(store) == 1


def test_the_same_body_with_another_key_is_another_job(client: FlaskClient, store: Store) -> None:
    first = client.post("/v1/jobs", json=NULL_JOB, headers=KEY)
    second = client.post("/v1/jobs", json=NULL_JOB, headers={"Idempotency-Key": "order-4712"})
    assert job_in(first, 202)["id"] != job_in(second, 202)["id"]
    assert jobs_kept(store) == 2


def test_a_refused_body_leaves_the_key_free(client: FlaskClient) -> None:
    bad = {**NULL_JOB, "input": {"text": ""}}
    problem_in(client.post("/v1/jobs", json=bad, headers=KEY), 400, "invalid_request")
    job_in(client.post("/v1/jobs", json=NULL_JOB, headers=KEY), 202)


def test_the_same_request_sent_at_once_by_many_is_one_job(app: Flask, store: Store) -> None:
    def post(_: int) -> str:
        answer = client_of(app).post("/v1/jobs", json=NULL_JOB, headers=KEY)
        return str(job_in(answer, 202)["id"])

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(post, range(24)))
    assert len(ids) == 1
    assert jobs_kept(store) == 1


@pytest.mark.parametrize(
    "key", ["", "two words", "ключ".encode().decode("latin-1"), "x" * 256, "a,b"]
)
def test_a_key_that_is_not_visible_ascii_or_given_twice_is_refused(
    client: FlaskClient, store: Store, key: str
) -> None:
    response = client.post("/v1/jobs", json=NULL_JOB, headers={"Idempotency-Key": key})
    problem = problem_in(response, 400, "invalid_request")
    assert "1 to 255 visible ASCII" in details(problem)["Idempotency-Key"]
    assert jobs_kept(store) == 0
