"""Webhook endpoints over HTTP: each owner has its own, and secrets are shown once."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.api_keys.principal import Scope
from app.factory import create_app
from tasks.config.settings import Settings
from tasks.store import keys
from tasks.store.client import Store
from tasks.webhooks import endpoints
from tasks.webhooks.deliveries import Result
from tasks.webhooks.endpoints import EVENTS, GONE
from tasks.webhooks.signing_secrets import MAX_SIGNING
from tests.app.answers import details, problem_in
from tests.app.hooks import ENDPOINT_MEMBERS, ENDPOINTS, URL, attempted, made
from tests.app.keys import made as key_made
from tests.app.keys import with_key

NOBODYS = f"{ENDPOINTS}/we_{'0' * 20}"


def path(endpoint: dict[str, Any]) -> str:
    return str(endpoint["links"]["self"])


def test_a_new_endpoint_has_its_place_its_defaults_and_its_secret(client: FlaskClient) -> None:
    response = client.post(ENDPOINTS, json={"url": URL})
    assert response.status_code == 201
    assert response.headers["Cache-Control"] == "no-store"
    endpoint = response.get_json()
    assert set(endpoint) == ENDPOINT_MEMBERS | {"secret"}
    assert response.headers["Location"] == path(endpoint) == f"{ENDPOINTS}/{endpoint['id']}"
    shown = {name: endpoint[name] for name in ("url", "events", "description", "enabled")}
    assert shown == {"url": URL, "events": list(EVENTS), "description": "", "enabled": True}
    prefix, _, key = endpoint["secret"].partition("_")
    assert (prefix, len(base64.b64decode(key, validate=True))) == ("whsec", 32)


def test_a_secret_is_shown_where_it_is_made_and_nowhere_else(
    client: FlaskClient, capfd: pytest.CaptureFixture[str]
) -> None:
    endpoint = made(client)
    old = endpoint["secret"]
    rotated = client.post(f"{path(endpoint)}/rotate").get_json()
    assert rotated["secret"] != old
    for answer in (
        client.get(path(endpoint)),
        client.get(ENDPOINTS),
        client.patch(path(endpoint), json={"description": "mine"}),
        client.post(f"{path(endpoint)}/ping"),
    ):
        assert answer.status_code in (200, 202)
        assert "whsec_" not in answer.text
        assert "secret" not in answer.text
    said = capfd.readouterr()
    assert old not in said.out + said.err
    assert rotated["secret"] not in said.out + said.err


def test_endpoints_are_listed_oldest_first(client: FlaskClient) -> None:
    ids = [made(client, description=str(n))["id"] for n in range(3)]
    listed = client.get(ENDPOINTS).get_json()
    assert [one["id"] for one in listed["endpoints"]] == ids
    assert all(set(one) == ENDPOINT_MEMBERS for one in listed["endpoints"])
    assert client.get(f"{ENDPOINTS}/{ids[1]}").get_json() == listed["endpoints"][1]


def test_a_change_keeps_the_other_members(client: FlaskClient) -> None:
    endpoint = made(client, events=["job.failed"], description="mine")
    changed = client.patch(path(endpoint), json={"url": "https://example.org/"})
    assert changed.status_code == 200
    expected = endpoint | {"url": "https://example.org/"}
    del expected["secret"]
    assert changed.get_json() == client.get(path(endpoint)).get_json() == expected
    assert client.patch(path(endpoint), json={}).get_json() == expected


def test_an_endpoint_is_disabled_and_enabled_again(client: FlaskClient, store: Store) -> None:
    endpoint = made(client)
    off = client.patch(path(endpoint), json={"enabled": False}).get_json()
    assert (off["enabled"], off["disabled_reason"]) == (False, "by_owner")
    on = client.patch(path(endpoint), json={"enabled": True}).get_json()
    assert (on["enabled"], on["disabled_reason"]) == (True, None)
    endpoints.disable(store, "default", endpoint["id"], GONE)
    assert client.get(path(endpoint)).get_json()["disabled_reason"] == "gone"


def test_a_deleted_endpoint_is_gone(client: FlaskClient, store: Store) -> None:
    endpoint = made(client)
    response = client.delete(path(endpoint))
    assert (response.status_code, response.data) == (204, b"")
    assert response.headers["Cache-Control"] == "no-store"
    problem_in(client.get(path(endpoint)), 404, "endpoint_not_found")
    problem_in(client.delete(path(endpoint)), 404, "endpoint_not_found")
    assert not store.redis.exists(keys.endpoints("default"), keys.hooks("default"))


def test_a_rotation_says_how_long_the_old_secrets_sign(client: FlaskClient, store: Store) -> None:
    endpoint = made(client)
    response = client.post(f"{path(endpoint)}/rotate")
    assert response.status_code == 200
    rotated = response.get_json()
    assert set(rotated) == ENDPOINT_MEMBERS | {"secret", "old_secrets_expire_at"}
    kept = endpoints.find(store, "default", endpoint["id"])
    assert kept is not None
    assert kept.secrets == (rotated["secret"], endpoint["secret"])
    expires = kept.kept[1].expires
    assert expires is not None
    assert 86_390 < expires / 1e6 - store.now_us() / 1e6 <= 86_400
    assert rotated["old_secrets_expire_at"].endswith("Z")


def test_without_a_grace_the_old_secret_signs_no_more(settings: Settings, store: Store) -> None:
    app = create_app(replace(settings, webhook_rotation_s=0))
    client = with_key(app, settings.api_key)
    endpoint = made(client)
    new = client.post(f"{path(endpoint)}/rotate").get_json()["secret"]
    kept = endpoints.find(store, "default", endpoint["id"])
    assert kept is not None
    assert kept.secrets == (new,)


def test_whoever_rotates_in_a_loop_does_not_make_headers_longer_and_longer(
    client: FlaskClient, store: Store
) -> None:
    endpoint = made(client)
    for _ in range(MAX_SIGNING + 2):
        newest = client.post(f"{path(endpoint)}/rotate").get_json()["secret"]
    kept = endpoints.find(store, "default", endpoint["id"])
    assert kept is not None
    assert len(kept.secrets) == MAX_SIGNING
    assert kept.secrets[0] == newest


def test_an_owner_may_have_so_many_endpoints_and_no_more(settings: Settings, store: Store) -> None:
    app = create_app(replace(settings, max_webhook_endpoints=2))
    client = with_key(app, settings.api_key)
    first = made(client)
    made(client)
    problem = problem_in(client.post(ENDPOINTS, json={"url": URL}), 409, "too_many_endpoints")
    assert "has 2 endpoints, the most allowed; delete one first" in problem["detail"]
    client.delete(path(first))
    made(client)


BAD = [
    ({}, "/url", "required"),
    ({"url": 7}, "/url", "string"),
    ({"url": "http://example.com/"}, "/url", "Must begin with https://."),
    ({"url": "https://10.0.0.1/"}, "/url", "Must not lead to a private or reserved address."),
    ({"url": "https://example.com:8443/"}, "/url", "Must use one of the ports 443."),
    ({"url": "https://u:p@example.com/"}, "/url", "user name or password"),
    ({"url": URL, "events": []}, "/events", "at least one"),
    ({"url": URL, "events": ["job.failed", "job.failed"]}, "/events", "twice"),
    ({"url": URL, "events": ["job.failed", "job.x"]}, "/events/1", "Must be one of: job.succeeded"),
    ({"url": URL, "events": "job.failed"}, "/events", "list"),
    ({"url": URL, "events": None}, "/events", "list"),
    ({"url": URL, "description": "x" * 257}, "/description", "at most 256"),
    ({"url": URL, "description": "a\x00b"}, "/description", "control"),
    (
        {"url": URL, "secret": "whsec_x"},
        "/secret",
        "description, and enabled in a change",
    ),
    (
        {"url": URL, "enabled": False},
        "/enabled",
        "description, and enabled in a change",
    ),
]


@pytest.mark.parametrize(("body", "pointer", "said"), BAD)
def test_bad_input_is_refused_by_name(
    client: FlaskClient, store: Store, body: dict[str, Any], pointer: str, said: str
) -> None:
    problem = problem_in(client.post(ENDPOINTS, json=body), 400, "invalid_request")
    assert list(details(problem)) == [pointer]
    assert said in details(problem)[pointer]
    assert not store.redis.exists(keys.endpoints("default"))


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        *(({"enabled": value}, "/enabled") for value in ("true", 1, None)),
        ({"url": "http://example.com/"}, "/url"),
        ({"url": None}, "/url"),
        ({"id": "we_1"}, "/id"),
    ],
)
def test_an_invalid_change_is_refused_by_name(
    client: FlaskClient, body: dict[str, Any], pointer: str
) -> None:
    endpoint = made(client)
    problem = problem_in(client.patch(path(endpoint), json=body), 400, "invalid_request")
    assert list(details(problem)) == [pointer]
    expected = {name: value for name, value in endpoint.items() if name != "secret"}
    assert client.get(path(endpoint)).get_json() == expected


def test_a_body_that_is_no_object_is_refused_with_an_example(client: FlaskClient) -> None:
    problem = problem_in(client.post(ENDPOINTS, json=[]), 400, "malformed_body")
    assert 'such as {"url": "https://..."}' in problem["detail"]


def test_a_ping_is_queued_and_can_be_followed(client: FlaskClient, store: Store) -> None:
    endpoint = made(client)
    response = client.post(f"{path(endpoint)}/ping")
    assert response.status_code == 202
    queued = response.get_json()
    assert (queued["event"], queued["status"], queued["job_id"]) == ("ping", "queued", None)
    assert (queued["endpoint_id"], queued["attempts"]) == (endpoint["id"], [])
    where = response.headers["Location"]
    assert where == f"{path(endpoint)}/pings/{queued['id']}"
    body = json.loads(str(store.redis.hget(keys.delivery(queued["id"]), "body")))
    assert (body["type"], body["data"]) == ("ping", {"id": endpoint["id"]})
    assert attempted(store, Result.SUCCEEDED, status=204, error=None, ms=3.5) == [queued["id"]]
    seen = client.get(where).get_json()
    assert seen["status"] == "succeeded"
    assert [one["status"] for one in seen["attempts"]] == [204]
    other = made(client)
    wrong = f"{path(other)}/pings/{queued['id']}"
    problem_in(client.get(wrong), 404, "delivery_not_found")
    problem_in(client.get(f"{path(endpoint)}/pings/msg_1"), 404, "delivery_not_found")


def test_a_disabled_endpoint_is_not_pinged(client: FlaskClient, store: Store) -> None:
    endpoint = made(client)
    client.patch(path(endpoint), json={"enabled": False})
    problem = problem_in(client.post(f"{path(endpoint)}/ping"), 409, "endpoint_disabled")
    assert 'PATCH it with {"enabled": true}' in problem["detail"]
    assert attempted(store, Result.SUCCEEDED) == []


ROUTES = [
    ("GET", "", None),
    ("PATCH", "", {"enabled": False}),
    ("DELETE", "", None),
    ("POST", "/rotate", None),
    ("POST", "/ping", None),
    ("GET", "/pings/{}", None),
]


@pytest.mark.parametrize(("method", "below", "body"), ROUTES)
def test_another_owners_endpoint_answers_as_one_that_does_not_exist(
    settings: Settings, store: Store, method: str, below: str, body: Any
) -> None:
    app = create_app(settings)
    acme = with_key(app, key_made(app, "acme").key.text)
    rival = with_key(app, key_made(app, "rival").key.text)
    endpoint = made(acme)
    ping = acme.post(f"{path(endpoint)}/ping").get_json()["id"]
    below = below.format(ping)
    before = store.redis.hgetall(keys.endpoints("acme"))
    theirs = rival.open(path(endpoint) + below, method=method, json=body)
    nobodys = rival.open(NOBODYS + below, method=method, json=body)
    problems = [problem_in(one, 404, "endpoint_not_found") for one in (theirs, nobodys)]
    for problem in problems:
        del problem["request_id"]
    assert problems[0] == problems[1]
    assert store.redis.hgetall(keys.endpoints("acme")) == before
    assert rival.get(ENDPOINTS).get_json() == {"endpoints": []}


def test_the_scope_jobs_opens_them(settings: Settings, store: Store) -> None:
    app = create_app(settings)
    blind = with_key(app, key_made(app, "acme", Scope.METRICS).key.text)
    for method, where in (("GET", ENDPOINTS), ("POST", ENDPOINTS), ("GET", "/v1/webhook-secret")):
        problem_in(blind.open(where, method=method), 403, "forbidden")
