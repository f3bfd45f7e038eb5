from __future__ import annotations

from dataclasses import replace
from itertools import cycle
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.api_keys.key_format import new_key
from app.api_keys.management import revoke, rotate
from app.factory import create_app
from app.services import EXTENSION
from tasks.config.settings import Settings
from tasks.store.client import Store
from tests.app.answers import NULL_JOB, problem_in
from tests.app.keys import made, with_key
from tests.conftest import API_KEY, PEPPER
from tests.ports import free_port

GUARDED = [
    ("POST", "/v1/jobs"),
    ("GET", "/v1/jobs"),
    ("GET", "/v1/jobs/job_1"),
    ("GET", "/v1/jobs/job_1/events"),
    ("GET", "/v1/jobs/job_1/results"),
    ("POST", "/v1/jobs/job_1/cancel"),
    ("GET", "/v1/pipelines"),
    ("GET", "/v1/pipelines/null"),
    ("GET", "/metrics"),
]
WRONG = [
    None,
    "",
    "Bearer",
    "Bearer ",
    API_KEY,
    f"Basic {API_KEY}",
    f"Bearer {API_KEY}x",
    f"Bearer {API_KEY[:-1]}",
    f"Bearer {API_KEY} {API_KEY}",
    "Bearer " + "ключ".encode().decode("latin-1"),
]


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_without_a_key_every_guarded_route_answers_alike(
    app: Flask, method: str, path: str
) -> None:
    response = app.test_client().open(path, method=method)
    problem = problem_in(response, 401, "unauthorized")
    assert "Authorization: Bearer <key>" in problem["detail"]
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", WRONG)
def test_a_wrong_key_is_refused_before_the_body_is_looked_at(
    app: Flask, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    client = app.test_client()
    good = client.post("/v1/jobs", json=NULL_JOB, headers=headers)
    bad = client.post("/v1/jobs", data=b"{", headers=headers)
    first = problem_in(good, 401, "unauthorized")
    assert problem_in(bad, 401, "unauthorized")["detail"] == first["detail"]
    assert API_KEY not in good.text


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_compared_without_regard_to_case(
    app: Flask, client: FlaskClient, scheme: str
) -> None:
    response = app.test_client().get(
        "/v1/pipelines", headers={"Authorization": f"{scheme} {API_KEY}"}
    )
    assert response.status_code == 200


@pytest.fixture
def fresh(settings: Settings, store: Store) -> Flask:
    """An application that has neither read the keys nor counted wrong ones."""
    return create_app(replace(settings, max_wrong_keys=5, trusted_proxies=("127.0.0.1",)))


def test_unknown_expired_and_revoked_keys_are_refused_with_the_same_words(fresh: Flask) -> None:
    here = fresh.extensions[EXTENSION].store
    revoked, expired, live = made(fresh), made(fresh), made(fresh)
    revoke(here, revoked.key.id)
    rotate(here, expired.key.id, grace_s=0)
    texts = ["", "nonsense", new_key().text, revoked.key.text, expired.key.text]
    problems = []
    for text in texts:
        response = with_key(fresh, text).get("/v1/pipelines")
        problems.append(problem_in(response, 401, "unauthorized"))
        del problems[-1]["request_id"]
    assert problems == problems[:1] * len(texts)
    assert with_key(fresh, live.key.text).get("/v1/pipelines").status_code == 200


def refusals(app: Flask, count: int, **headers: str) -> list[int]:
    """The statuses of `count` requests with a wrong key."""
    client = with_key(app, API_KEY + "x")
    return [client.get("/v1/pipelines", headers=headers).status_code for _ in range(count)]


def test_too_many_wrong_keys_are_429_and_say_when_to_try_again(fresh: Flask) -> None:
    assert refusals(fresh, 7) == [401] * 5 + [429] * 2
    response = with_key(fresh, "nonsense").get("/v1/pipelines")
    problem_in(response, 429, "too_many_wrong_keys")
    assert 1 <= int(response.headers["Retry-After"]) <= 60


def test_right_keys_work_from_an_address_that_showed_too_many_wrong_ones(fresh: Flask) -> None:
    key = made(fresh).key.text
    assert refusals(fresh, 20)[-1] == 429
    assert with_key(fresh, key).get("/v1/pipelines").status_code == 200
    assert with_key(fresh, API_KEY).get("/v1/pipelines").status_code == 200
    assert refusals(fresh, 1) == [429]


def test_a_request_that_shows_no_key_is_never_too_many(fresh: Flask) -> None:
    answers = [fresh.test_client().get("/v1/pipelines").status_code for _ in range(20)]
    assert answers == [401] * 20


def test_wrong_keys_for_one_id_are_counted_over_all_addresses(
    fresh: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = made(fresh).key
    letters = cycle(right.id)
    monkeypatch.setattr("app.api_keys.key_format.secrets.choice", lambda _: next(letters))
    forged = [new_key().text for _ in range(50)]
    answers = [
        with_key(fresh, key)
        .get("/v1/pipelines", headers={"X-Forwarded-For": f"198.51.100.{n}"})
        .status_code
        for n, key in enumerate(forged)
    ]
    assert answers[:5] == [401] * 5
    assert answers[5:] == [429] * 45
    assert with_key(fresh, right.text).get("/v1/pipelines").status_code == 200


def test_clients_behind_a_trusted_proxy_are_counted_separately(fresh: Flask) -> None:
    assert refusals(fresh, 10, **{"X-Forwarded-For": "203.0.113.1"})[-1] == 429
    others = [
        refusals(fresh, 1, **{"X-Forwarded-For": f"6.6.6.6, 198.51.100.{n}"}) for n in range(50)
    ]
    assert sum(answer == [401] for answer in others) > 40


def test_no_key_is_ever_logged_or_stored(
    fresh: Flask, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    right, wrong, mistyped = made(fresh).key.text, new_key().text, new_key().text[:-1]
    store = fresh.extensions[EXTENSION].store
    for key in (right, wrong, mistyped, *[wrong] * 6):
        with_key(fresh, key).post("/v1/jobs", json=NULL_JOB)
        with_key(fresh, key).post("/v1/jobs", data=b"{")
    broken = with_key(create_app(replace(store.settings, redis_port=free_port())), right)
    assert broken.get("/v1/pipelines").status_code == 503  # which is logged
    out, err = capfd.readouterr()
    said = caplog.text + out + err
    stored = everything_in(store)
    assert "redis failed a request" in said
    assert any("null" in value for value in stored)
    for secret in (API_KEY, PEPPER, *(key[17:] for key in (right, wrong, mistyped))):
        assert secret not in said
        assert not any(secret in value for value in stored)


def everything_in(store: Store) -> list[str]:
    """Every name and value in Redis, as text."""
    readers: dict[Any, Any] = {
        "string": store.redis.get,
        "hash": store.redis.hgetall,
        "stream": store.redis.xrange,
        "list": lambda name: store.redis.lrange(name, 0, -1),
        "set": store.redis.smembers,
        "zset": lambda name: store.redis.zrange(name, 0, -1),
        "none": lambda _: "has expired since its name was read",
    }
    names = list(store.redis.scan_iter("*"))
    return [f"{name} {readers[store.redis.type(name)](name)}" for name in names]


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_health_needs_no_key(app: Flask, path: str) -> None:
    assert app.test_client().get(path).status_code != 401
