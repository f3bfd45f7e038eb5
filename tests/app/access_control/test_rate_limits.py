"""Rate limits over HTTP."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.access_control import authentication
from app.api_keys.principal import KeyLimits
from app.factory import create_app
from app.rate_limiting.limiter import ITEMS_WINDOW_S, RateLimiter
from app.rate_limiting.sliding_window import SlidingWindowStore
from app.services import EXTENSION
from tasks.config.settings import Settings
from tasks.store.client import Store
from tests.app.answers import NULL_JOB, details, job_in, problem_in
from tests.app.conftest import client_of
from tests.faults.proxy import Proxy

BULK = {"pipeline": "null", "inputs": [{"text": "a"}] * 20}


@pytest.fixture
def app(settings: Settings, store: Store) -> Flask:
    """An application whose rate limiter knows nothing of other tests."""
    return create_app(settings)


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """A function that sets the limits of the client's key: requests/s and items/s."""

    def limit(requests_per_s: int, items_per_s: int) -> None:
        limits = KeyLimits(requests_per_s, items_per_s, unfinished_items=1_000_000)
        monkeypatch.setattr(
            authentication, "OPERATOR", replace(authentication.OPERATOR, limits=limits)
        )

    return limit


def fields(response: TestResponse, name: str) -> dict[str, dict[str, int]]:
    """A list of structured fields: the parameters of each policy."""
    value = response.headers[name]
    assert re.fullmatch(r'"[a-z]+"(;[a-z]=\d+)+(, "[a-z]+"(;[a-z]=\d+)+)*', value)
    found = {}
    for item in value.split(", "):
        policy, *parameters = item.split(";")
        found[policy.strip('"')] = {one[0]: int(one[2:]) for one in parameters}
    return found


def flood(client: FlaskClient, path: str = "/v1/pipelines") -> TestResponse:
    """The first refusal of many requests."""
    for _ in range(1_000):
        response = client.get(path)
        if response.status_code == 429:
            return response
    raise AssertionError("nothing was refused")


def test_a_response_has_the_policies_and_what_is_left(
    client: FlaskClient, rates: Callable[[int, int], None]
) -> None:
    rates(50, 1_000)
    response = client.post("/v1/jobs", json=NULL_JOB)
    assert response.headers["RateLimit-Policy"] == '"requests";q=50;w=1, "items";q=60000;w=60'
    state = fields(response, "RateLimit")
    assert list(state) == ["requests", "items"]
    assert state["requests"] == {"r": 49, "t": 1}
    assert state["items"]["r"] == 60_000 - 1
    assert 1 <= state["items"]["t"] <= ITEMS_WINDOW_S


def test_a_bulk_job_spends_as_many_items_as_it_has_inputs(
    client: FlaskClient, rates: Callable[[int, int], None]
) -> None:
    rates(1_000, 1)
    response = client.post("/v1/jobs", json=BULK)
    assert fields(response, "RateLimit")["items"]["r"] == 40


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/pipelines", 200),
        ("GET", "/metrics", 200),
        ("GET", "/v1/jobs/job_1", 404),
        ("GET", "/v1/pipelines/none", 404),
        ("GET", "/v1/jobs/job_1?wait=x", 400),
        ("POST", "/v1/jobs", 415),
    ],
)
def test_every_response_to_a_valid_key_has_its_rates_and_spends_no_items(
    client: FlaskClient, method: str, path: str, status: int
) -> None:
    response = client.open(path, method=method)
    assert response.status_code == status
    assert set(fields(response, "RateLimit-Policy")) == {"requests", "items"}
    assert set(fields(response, "RateLimit")) == {"requests"}


@pytest.mark.parametrize("path", ["/v1/pipelines", "/livez", "/nowhere"])
def test_without_a_key_nothing_is_counted_or_told(app: Flask, path: str) -> None:
    response = app.test_client().get(path)
    assert "RateLimit" not in response.headers
    assert "RateLimit-Policy" not in response.headers


def test_requests_beyond_the_rate_are_refused_with_retry_after(
    client: FlaskClient, rates: Callable[[int, int], None]
) -> None:
    rates(2, 1_000)
    response = flood(client)
    problem = problem_in(response, 429, "rate_limited")
    assert '2 requests in any second (policy "requests")' in problem["detail"]
    retry_after_s = int(response.headers["Retry-After"])
    assert 1 <= retry_after_s <= 2
    assert fields(response, "RateLimit") == {"requests": {"r": 0, "t": retry_after_s}}
    assert fields(response, "RateLimit-Policy")["requests"] == {"q": 2, "w": 1}


def test_more_items_than_the_rate_are_refused_and_nothing_is_accepted(
    client: FlaskClient, store: Store, rates: Callable[[int, int], None]
) -> None:
    rates(1_000, 1)
    for _ in range(3):
        job_in(client.post("/v1/jobs", json=BULK), 202)
    units = store.redis.xlen("ps:lane:gpu:normal")
    response = client.post("/v1/jobs", json=NULL_JOB)
    problem = problem_in(response, 429, "rate_limited")
    assert '60 items in any 60 seconds (policy "items")' in problem["detail"]
    assert 1 <= int(response.headers["Retry-After"]) <= 2 * ITEMS_WINDOW_S
    assert fields(response, "RateLimit")["items"]["r"] == 0
    assert store.redis.xlen("ps:lane:gpu:normal") == units
    assert client.get("/v1/pipelines").status_code == 200  # requests are not refused


def test_what_is_not_valid_costs_no_items(
    client: FlaskClient, rates: Callable[[int, int], None]
) -> None:
    rates(1_000, 1)
    for _ in range(70):
        problem_in(client.post("/v1/jobs", json={"pipeline": "null"}), 400, "invalid_request")
    job_in(client.post("/v1/jobs", json=NULL_JOB), 202)


def test_a_job_larger_than_the_rate_is_refused_with_the_number_of_inputs_allowed(
    settings: Settings, store: Store, rates: Callable[[int, int], None]
) -> None:
    client = client_of(create_app(replace(settings, max_inputs=100)))
    rates(1_000, 1)
    too_many = {"pipeline": "null", "inputs": [{"text": "a"}] * 61}
    problem = problem_in(client.post("/v1/jobs", json=too_many), 400, "invalid_request")
    assert details(problem) == {
        "/inputs": "Must hold at most 60 inputs: what this key may send in 60 s."
    }
    job_in(client.post("/v1/jobs", json={**too_many, "inputs": too_many["inputs"][:60]}), 202)


def test_one_key_at_its_limit_leaves_another_alone(
    app: Flask, monkeypatch: pytest.MonkeyPatch, rates: Callable[[int, int], None]
) -> None:
    client = client_of(app)
    rates(2, 1_000)
    flood(client)
    monkeypatch.setattr(
        authentication, "OPERATOR", replace(authentication.OPERATOR, key_id="another")
    )
    assert client.get("/v1/pipelines").status_code == 200


def test_a_flood_is_refused_without_asking_redis(
    client: FlaskClient, store: Store, rates: Callable[[int, int], None]
) -> None:
    rates(1_000, 1)
    for _ in range(4):
        client.post("/v1/jobs", json=BULK)
    before = store.redis.info("commandstats")["cmdstat_evalsha"]["calls"]
    for _ in range(100):
        assert client.post("/v1/jobs", json=BULK).status_code == 429
    asked = store.redis.info("commandstats")["cmdstat_evalsha"]["calls"] - before
    assert (
        asked <= 20
    )  # for the policy of requests: a chunk has 25, and the usage is read each second


@pytest.fixture
def proxy(settings: Settings) -> Iterator[Proxy]:
    proxy = Proxy(settings.redis_port)
    yield proxy
    proxy.close()


@pytest.fixture
def halting(app: Flask, proxy: Proxy) -> Callable[[str], FlaskClient]:
    """A client of an API whose rate limiter alone has a store that never answers."""

    def client(fail: str) -> FlaskClient:
        here = app.extensions[EXTENSION]
        distant = replace(here.settings, redis_port=proxy.port, limiter_timeout_ms=500)
        limiter = RateLimiter(SlidingWindowStore(distant), 1)
        settings = replace(here.settings, limiter_fail=fail)
        app.extensions[EXTENSION] = replace(here, rate_limiter=limiter, settings=settings)
        proxy.cut()
        return client_of(app)

    return client


def answered_within_s(client: FlaskClient) -> tuple[list[TestResponse], float]:
    """Twenty responses, and the seconds they took."""
    began = time.monotonic()
    answers = [client.post("/v1/jobs", json=NULL_JOB) for _ in range(20)]
    return answers, time.monotonic() - began


def test_with_fail_open_requests_are_served_while_the_store_is_down(
    halting: Callable[[str], FlaskClient],
) -> None:
    answers, seconds = answered_within_s(halting("open"))
    for answer in answers:
        job_in(answer, 202)
        assert "RateLimit" not in answer.headers
        assert set(fields(answer, "RateLimit-Policy")) == {"requests", "items"}
    assert seconds < 5  # had each asked: 20


def test_with_fail_closed_requests_are_refused_at_once_while_the_store_is_down(
    halting: Callable[[str], FlaskClient],
) -> None:
    answers, seconds = answered_within_s(halting("closed"))
    for answer in answers:
        problem = problem_in(answer, 503, "unavailable")
        assert "rate limiter" in problem["detail"]
        assert int(answer.headers["Retry-After"]) >= 1
    assert seconds < 5


def test_with_fail_closed_a_wrong_key_is_still_401_and_probes_still_answer(
    app: Flask, halting: Callable[[str], FlaskClient]
) -> None:
    halting("closed")
    problem_in(app.test_client().get("/v1/pipelines"), 401, "unauthorized")
    assert app.test_client().get("/livez").status_code == 200
