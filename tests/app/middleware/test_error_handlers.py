from __future__ import annotations

from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from app.factory import create_app
from tasks.config.settings import Settings
from tests.app.answers import NULL_JOB, problem_in, stored
from tests.app.conftest import client_of
from tests.ports import free_port


@pytest.fixture
def cut_off(settings: Settings) -> FlaskClient:
    """A client of an API whose Redis is not there."""
    return client_of(create_app(replace(settings, redis_port=free_port())))


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/jobs/a/b/c", "/v2/jobs", "/v1/jobs/", "/%00"])
def test_an_unknown_path_is_answered_by_a_problem_document(client: FlaskClient, path: str) -> None:
    problem = problem_in(client.get(path), 404, "not_found")
    assert "/docs lists all routes" in problem["detail"]


def test_a_wrong_method_is_refused_with_the_allowed_ones(client: FlaskClient) -> None:
    response = client.delete("/v1/jobs")
    problem_in(response, 405, "method_not_allowed")
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}
    problem_in(client.get("/v1/jobs/job_1/cancel"), 405, "method_not_allowed")
    problem_in(client.post("/livez"), 405, "method_not_allowed")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/jobs"),
        ("GET", "/v1/jobs"),
        ("GET", "/v1/jobs/job_1"),
        ("GET", "/v1/jobs/job_1/events"),
        ("GET", "/v1/jobs/job_1?wait=1"),
        ("GET", "/v1/jobs/job_1/results"),
        ("POST", "/v1/jobs/job_1/cancel"),
        ("GET", "/metrics"),
    ],
)
def test_without_redis_nothing_is_accepted_and_it_says_when_to_try_again(
    cut_off: FlaskClient, method: str, path: str
) -> None:
    body = NULL_JOB if method == "POST" else None
    response = cut_off.open(path, method=method, json=body)
    problem = problem_in(response, 503, "unavailable")
    assert "job store" in problem["detail"]
    assert int(response.headers["Retry-After"]) >= 1


def test_without_redis_bad_input_is_still_called_bad(cut_off: FlaskClient) -> None:
    response = cut_off.post("/v1/jobs", json={**NULL_JOB, "input": {"text": ""}})
    problem_in(response, 400, "invalid_request")


def test_an_internal_error_reveals_no_details(settings: Settings) -> None:
    app = create_app(settings)

    def fail() -> str:
        raise RuntimeError("secret inside")

    app.add_url_rule("/fails", view_func=fail)
    with capture_logs() as logs:
        response = app.test_client().get("/fails")
    problem_in(response, 500, "internal_error")
    assert "secret" not in response.text
    (line,) = [line for line in logs if line["event"] == "request failed"]
    assert line["request_id"] == response.headers["X-Request-ID"]
    assert line["exception"].endswith("RuntimeError")


def test_a_full_redis_is_answered_503_overloaded(app: Flask, client: FlaskClient) -> None:
    store = app.extensions["penstock"].store
    store.redis.config_set("maxmemory", 1)
    try:
        refused = client.post("/v1/jobs", json=NULL_JOB)
        problem_in(refused, 503, "overloaded")
        assert int(refused.headers["Retry-After"]) > 0
        assert stored(store) == []
    finally:
        store.redis.config_set("maxmemory", 0)
    assert client.post("/v1/jobs", json=NULL_JOB).status_code == 202
