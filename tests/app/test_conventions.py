"""HTTP conventions of every route: HEAD, OPTIONS, ETag, and CORS if it is configured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.factory import create_app
from tasks.config.settings import Settings
from tests.app.answers import NULL_JOB, job_in
from tests.app.conftest import client_of

OURS = "https://app.example.com"
SECOND = "http://localhost:3000"


@pytest.fixture
def job_id(client: FlaskClient) -> str:
    return str(client.post("/v1/jobs", json=NULL_JOB).get_json()["id"])


READABLE = (
    *("/v1/jobs", "/v1/jobs/{id}", "/v1/jobs/{id}/results", "/v1/jobs/{id}/events"),
    *("/v1/jobs/{id}/deliveries", "/v1/webhook-endpoints", "/v1/webhook-secret", "/v1/usage"),
    *("/v1/pipelines", "/v1/pipelines/null", "/livez", "/readyz", "/metrics", "/v1/jobs/job_1"),
    "/v1/lanes/cpu/scale",
)


@pytest.mark.parametrize("path", READABLE)
def test_head_answers_as_get_does_without_a_body(
    client: FlaskClient, job_id: str, path: str
) -> None:
    headers = {"X-Request-ID": "one"}
    path = path.format(id=job_id)
    with client.get(path, headers=headers, buffered=False) as got:
        asked = client.head(path, headers=headers)
        assert asked.status_code == got.status_code
        assert asked.data == b""
        volatile = {"RateLimit"} | ({"Content-Length"} if path == "/metrics" else set())
        assert set(asked.headers.keys()) == set(got.headers.keys())
        for name in set(got.headers.keys()) - volatile:
            assert asked.headers[name] == got.headers[name], name


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/jobs", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("/v1/jobs/job_1", {"GET", "HEAD", "OPTIONS"}),
        ("/v1/jobs/job_1/results", {"GET", "HEAD", "OPTIONS"}),
        ("/v1/jobs/job_1/events", {"GET", "HEAD", "OPTIONS"}),
        ("/v1/jobs/job_1/cancel", {"OPTIONS", "POST"}),
        ("/v1/jobs/job_1/deliveries", {"GET", "HEAD", "OPTIONS"}),
        ("/v1/jobs/job_1/deliveries/msg_1/retry", {"OPTIONS", "POST"}),
        ("/v1/webhook-endpoints", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("/v1/webhook-endpoints/we_1", {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH"}),
        ("/v1/pipelines", {"GET", "HEAD", "OPTIONS"}),
        ("/v1/usage", {"GET", "HEAD", "OPTIONS"}),
        ("/v1/lanes/gpu/scale", {"GET", "HEAD", "OPTIONS"}),
        ("/metrics", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_options_says_what_a_route_allows_without_asking_for_a_key(
    app: Flask, path: str, allowed: set[str]
) -> None:
    response = app.test_client().options(path)
    assert (response.status_code, response.data) == (200, b"")
    assert set(response.headers["Allow"].split(", ")) == allowed
    refused = app.test_client().put(path)
    assert refused.status_code == 405
    assert set(refused.headers["Allow"].split(", ")) == allowed


def test_no_route_of_the_api_is_missing_above(app: Flask) -> None:
    above = app.url_map.bind("").match
    covered = {above(path, method="GET")[0] for path in READABLE}
    rules = [rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())]
    assert {rule.endpoint for rule in rules if rule.rule.startswith("/v1/jobs")} <= covered


@pytest.mark.parametrize("path", [path for path in READABLE if path.startswith("/v1/jobs")])
def test_where_results_travel_nothing_on_the_way_may_keep_them(
    client: FlaskClient, job_id: str, path: str
) -> None:
    assert client.head(path.format(id=job_id)).headers["Cache-Control"] == "no-store"


# ---- ETag and If-None-Match


def test_a_job_has_a_strong_etag_that_changes_with_it(
    client: FlaskClient, job_id: str, work: Callable[[], int]
) -> None:
    path = f"/v1/jobs/{job_id}"
    first = client.get(path)
    assert first.headers["ETag"].startswith('"')
    assert client.get(path).headers["ETag"] == first.headers["ETag"]
    work()
    assert client.get(path).headers["ETag"] != first.headers["ETag"]


@pytest.mark.parametrize("query", ["", "?wait=1"])
@pytest.mark.parametrize("form", ["{0}", "W/{0}", '"other", {0}', "*"])
def test_a_job_that_the_client_has_already_is_not_sent_again(
    client: FlaskClient, job_id: str, form: str, query: str
) -> None:
    path = f"/v1/jobs/{job_id}{query}"
    etag = client.get(path).headers["ETag"]
    response = client.get(path, headers={"If-None-Match": form.format(etag)})
    assert response.status_code == 304
    assert response.data == b""
    assert response.headers["ETag"] == etag
    assert response.headers["Cache-Control"] == "no-store"
    assert "Content-Type" not in response.headers


def test_a_job_that_has_changed_is_sent(
    client: FlaskClient, job_id: str, work: Callable[[], int]
) -> None:
    path = f"/v1/jobs/{job_id}"
    etag = client.get(path).headers["ETag"]
    work()
    job = job_in(client.get(path, headers={"If-None-Match": etag}), 200)
    assert job["status"] == "succeeded"
    job_in(client.get(path, headers={"If-None-Match": "nonsense"}), 200)


def test_head_is_conditional_too(client: FlaskClient, job_id: str) -> None:
    etag = client.head(f"/v1/jobs/{job_id}").headers["ETag"]
    response = client.head(f"/v1/jobs/{job_id}", headers={"If-None-Match": etag})
    assert response.status_code == 304


# ---- CORS


def cors_of(response: TestResponse) -> dict[str, str]:
    return {
        name.removeprefix("Access-Control-"): value
        for name, value in response.headers
        if name.startswith("Access-Control-")
    }


def preflight(api: FlaskClient, origin: str, headers: str = "authorization") -> TestResponse:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": headers,
    }
    return api.options("/v1/jobs", headers=asked)


@pytest.fixture
def opened(settings: Settings) -> Flask:
    return create_app(replace(settings, cors_origins=(OURS, SECOND)))


def test_unless_configured_no_other_origin_is_let_in(app: Flask, client: FlaskClient) -> None:
    assert cors_of(preflight(app.test_client(), OURS)) == {}
    assert cors_of(client.get("/v1/jobs", headers={"Origin": OURS})) == {}


@pytest.mark.parametrize("origin", [OURS, SECOND])
def test_a_preflight_of_a_configured_origin_passes_without_a_key(
    opened: Flask, origin: str
) -> None:
    response = preflight(opened.test_client(), origin, "authorization, idempotency-key, x-other")
    assert response.status_code == 200
    found = cors_of(response)
    assert found["Allow-Origin"] == origin
    assert set(found["Allow-Methods"].split(", ")) == {"DELETE", "GET", "HEAD", "PATCH", "POST"}
    assert found["Allow-Headers"] == "authorization, idempotency-key"
    assert found["Max-Age"] == "600"
    assert "Allow-Credentials" not in found
    assert "Origin" in response.headers["Vary"]


@pytest.mark.parametrize(
    "origin",
    [
        *("https://evil.example.com", "http://app.example.com", f"{OURS}.evil.com", "null", ""),
        *(f"{OURS}:8443", "https://appXexample.com", f"x{OURS}", f"{OURS}/"),
    ],
)
def test_an_origin_that_is_not_configured_is_not_let_in(opened: Flask, origin: str) -> None:
    assert cors_of(preflight(opened.test_client(), origin)) == {}
    assert cors_of(client_of(opened).get("/v1/jobs", headers={"Origin": origin})) == {}


def test_pages_may_read_the_headers_that_matter_on_answers_and_on_problems(
    opened: Flask,
) -> None:
    api, headers = client_of(opened), {"Origin": OURS}
    for response in (
        api.get("/v1/jobs", headers=headers),
        api.get("/v1/jobs/job_1", headers=headers),
        api.get("/nowhere", headers=headers),
        opened.test_client().get("/v1/jobs", headers=headers),
    ):
        found = cors_of(response)
        assert found["Allow-Origin"] == OURS
        assert {
            *("Location", "Retry-After", "ETag", "RateLimit", "RateLimit-Policy", "X-Request-ID"),
            "Link",
        } <= set(found["Expose-Headers"].split(", "))


def test_requests_without_an_origin_get_no_cors_headers(opened: Flask) -> None:
    response = client_of(opened).get("/v1/jobs")
    assert response.status_code == 200
    assert cors_of(response) == {}


def test_a_star_lets_any_origin_in_and_never_with_credentials(settings: Settings) -> None:
    api = create_app(replace(settings, cors_origins=("*",)))
    found = cors_of(preflight(api.test_client(), "https://anyone.example"))
    assert found["Allow-Origin"] == "*"
    assert "Allow-Credentials" not in found
