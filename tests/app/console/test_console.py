"""The console's routes: authentication, protection against other origins, and data."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.api_keys.principal import Scope
from app.console.authentication import OWN_HEADER
from app.console.routes import ASSETS
from app.console.snapshot import SnapshotCache
from app.factory import create_app
from app.services import EXTENSION
from tasks.config.settings import Settings
from tasks.store.client import Store
from tests.app.answers import JOB_MEMBERS, NULL_JOB, job_in, problem_in
from tests.app.conftest import client_of
from tests.app.keys import made, with_key
from tests.conftest import API_KEY

USER, PASSWORD = "flower", "password-of-flower"
READ = ("/console", "/console/data", "/console/jobs/job_1", "/console/metrics")
OWN = {OWN_HEADER: "1"}
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"

Work = Callable[[], int]


@pytest.fixture
def app(settings: Settings, store: Store) -> Flask:
    """An application that has neither read the keys nor built any data."""
    return create_app(replace(settings, flower_user=USER, flower_password=PASSWORD))


def with_password(app: Flask, password: str, user: str = USER) -> FlaskClient:
    client = app.test_client()
    shown = base64.b64encode(f"{user}:{password}".encode()).decode()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Basic {shown}"
    return client


@pytest.fixture
def operator(app: Flask) -> FlaskClient:
    return with_password(app, PASSWORD)


def data(client: FlaskClient) -> dict[str, Any]:
    response = client.get("/console/data")
    assert response.status_code == 200, response.text
    assert response.headers["Cache-Control"] == "no-store"
    found: dict[str, Any] = response.get_json()
    return found


# ---- Authentication


@pytest.mark.parametrize("path", READ)
def test_without_a_password_the_browser_is_told_to_ask_for_one(app: Flask, path: str) -> None:
    response = app.test_client().get(path)
    problem_in(response, 401, "unauthorized")
    assert response.headers.getlist("WWW-Authenticate") == [
        'Basic realm="Penstock console", charset="UTF-8"'
    ]


@pytest.mark.parametrize("path", READ)
def test_flowers_password_opens_it(operator: FlaskClient, path: str) -> None:
    assert operator.get(path).status_code == (404 if "job_1" in path else 200)


@pytest.mark.parametrize("path", READ)
def test_an_admin_key_opens_it_as_the_password_of_any_user_or_as_a_bearer(
    app: Flask, path: str
) -> None:
    key = made(app, "root", Scope.ADMIN).key.text
    expected = 404 if "job_1" in path else 200
    for admin in (
        with_password(app, key, "anybody"),
        with_password(app, key, ""),
        with_password(app, API_KEY),
        with_key(app, key),
    ):
        assert admin.get(path).status_code == expected


@pytest.mark.parametrize("scope", [Scope.JOBS, Scope.METRICS])
def test_a_key_without_the_scope_admin_is_403(app: Flask, scope: Scope) -> None:
    client = with_password(app, made(app, "acme", scope).key.text)
    for path in READ:
        problem_in(client.get(path), 403, "forbidden")
    problem_in(client.post("/console/try", json=NULL_JOB, headers=OWN), 403, "forbidden")


@pytest.mark.parametrize(
    ("user", "password"),
    [
        (USER, PASSWORD[:-1]),
        (USER, ""),
        ("other", PASSWORD),
        ("", ""),
        (PASSWORD, USER),
        ("é", "é"),
    ],
)
def test_a_wrong_user_or_password_is_401(app: Flask, user: str, password: str) -> None:
    problem_in(with_password(app, password, user).get("/console"), 401, "unauthorized")


@pytest.mark.parametrize("shown", ["Basic", "Basic !!!", "Basic AAAA", "Digest a=b", "Bearer"])
def test_a_malformed_authorization_header_is_401(app: Flask, shown: str) -> None:
    response = app.test_client().get("/console", headers={"Authorization": shown})
    problem_in(response, 401, "unauthorized")


@pytest.mark.parametrize("missing", ["flower_user", "flower_password"])
def test_where_flower_has_no_password_nothing_stands_for_it(
    settings: Settings, store: Store, missing: str
) -> None:
    both: Any = {"flower_user": USER, "flower_password": PASSWORD} | {missing: None}
    app = create_app(replace(settings, **both))
    for user, password in (
        (USER, PASSWORD),
        (USER, ""),
        ("", PASSWORD),
        ("", ""),
        ("None", "None"),
    ):
        assert with_password(app, password, user).get("/console").status_code == 401


def test_wrong_passwords_count_as_wrong_keys(settings: Settings, store: Store) -> None:
    strict = replace(settings, flower_user=USER, flower_password=PASSWORD, max_wrong_keys=3)
    app = create_app(strict)
    wrong = with_password(app, "wrong")
    assert [wrong.get("/console").status_code for _ in range(4)] == [401, 401, 401, 429]
    assert with_key(app, "wrong").get("/v1/jobs").status_code == 429
    assert with_password(app, PASSWORD).get("/console").status_code == 200


# ---- The page


def test_the_page_loads_nothing_from_elsewhere_and_runs_no_inline_script(
    app: Flask, operator: FlaskClient
) -> None:
    page = operator.get("/console")
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy
    assert page.headers["Cache-Control"] == "no-store"
    assert re.search(r"<script>|<style>|\sstyle=|\son\w+=|https?:", page.text) is None
    parts = re.findall(r'<(?:link|script)[^>]+(?:src|href)="(console/[^"]+)"', page.text)
    assert len(parts) == 3
    for part in parts:
        with app.test_client().get(f"/{part}") as response:
            assert response.status_code == 200, part


@pytest.mark.parametrize("name", ASSETS)
def test_its_scripts_write_no_markup_and_request_nothing_from_elsewhere(
    app: Flask, name: str
) -> None:
    with app.test_client().get(f"/console/{name}") as part:
        assert part.status_code == 200
        text = part.data.decode()
        kinds = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
        assert part.content_type.startswith(kinds[name.rpartition(".")[2]])
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert forbidden not in text
    assert set(re.findall(r"https?://[\w./]+", text)) <= {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("name", ["console.html", "../routes.py", "%2e%2e/routes.py"])
def test_no_other_file_is_served(operator: FlaskClient, name: str) -> None:
    assert operator.get(f"/console/{name}").status_code == 404


# ---- The data


def test_without_any_job_everything_is_there_and_empty(operator: FlaskClient) -> None:
    seen = data(operator)
    assert [lane["lane"] for lane in seen["lanes"]] == ["gpu", "cpu", "webhooks"]
    assert seen["status"] == "unready"
    assert seen["jobs"] == seen["latency"] == seen["confidence"] == []
    assert {breaker["state"] for breaker in seen["breakers"]} == {"closed"}
    assert seen["cost"] == {"priced": False, "lanes": [], "tiers": []}
    names = {line["name"]: line["takes_text"] for line in seen["pipelines"]}
    assert names == {"null": True, "echo": True}


def test_it_logs_what_was_done(app: Flask, operator: FlaskClient, work: Work) -> None:
    client = client_of(app)
    echo = {"pipeline": "echo", "input": {"text": "a secret text"}, "metadata": {"k": "v"}}
    first = job_in(client.post("/v1/jobs", json=echo), 202)
    work()
    job_in(client.post("/v1/jobs", json=echo), 200)
    waits = job_in(client.post("/v1/jobs", json=NULL_JOB), 202)
    seen = data(operator)
    gpu = seen["lanes"][0]
    assert gpu["items"] == 1
    assert gpu["jobs"] >= 1
    assert gpu["waiting"] == {"high": 0, "normal": 1, "low": 0}
    assert gpu["bytes"] > 0
    assert gpu["oldest_s"] >= 0
    assert seen["cache"] == [{"pipeline": "echo", "hits": 1, "misses": 1}]
    assert {"pipeline": "echo", "of": "succeeded", "count": 2} in seen["ended"]
    (latency,) = seen["latency"]
    for name in ("job", "queue", "inference"):
        assert len(latency[name]) == len(seen["seconds_bounds"]) + 1
        assert sum(latency[name]) >= 1
    assert seen["jobs"][0]["id"] == waits["id"]
    row = next(job for job in seen["jobs"] if job["id"] == first["id"])
    assert (row["owner"], row["status"], row["cached"]) == ("default", "succeeded", False)
    assert row["answer"]["tier"] == "size"


def test_no_input_and_no_metadata_is_in_it(app: Flask, operator: FlaskClient, work: Work) -> None:
    client = client_of(app)
    body = {"pipeline": "echo", "input": {"text": "a secret text"}, "metadata": {"k": "mine"}}
    job = job_in(client.post("/v1/jobs", json=body), 202)
    work()
    text = operator.get("/console/data").text
    assert job["id"] in text
    assert "a secret text" not in text
    assert "mine" not in text


def test_jobs_of_several_owners_are_shown_newest_first(app: Flask, operator: FlaskClient) -> None:
    owners = ["acme", "bolt", "acme"]
    clients = {of: with_key(app, made(app, of).key.text) for of in set(owners)}
    ids = [clients[of].post("/v1/jobs", json=NULL_JOB).get_json()["id"] for of in owners]
    shown = data(operator)["jobs"]
    assert [(job["id"], job["owner"]) for job in shown] == [
        *zip(reversed(ids), reversed(owners), strict=True)
    ]


def test_it_is_made_once_a_second_however_many_ask(app: Flask, operator: FlaskClient) -> None:
    now = [0.0]
    latest = SnapshotCache(app.extensions[EXTENSION], clock=lambda: now[0])
    first = latest.text()
    now[0] = 0.9
    assert latest.text() is first
    now[0] = 1.0
    assert latest.text() is not first


# ---- A job


def test_any_owners_job_is_found_by_its_id_without_its_input(
    app: Flask, operator: FlaskClient, work: Work
) -> None:
    client = with_key(app, made(app, "acme").key.text)
    body = {"pipeline": "null", "inputs": [{"text": "hidden"}] * 3, "metadata": {"x": HOSTILE}}
    job_id = client.post("/v1/jobs", json=body).get_json()["id"]
    work()
    response = operator.get(f"/console/jobs/{job_id}")
    job = response.get_json()
    assert set(job) == JOB_MEMBERS | {"owner", "request_id", "results"}
    assert (job["owner"], job["status"]) == ("acme", "succeeded")
    assert [line["status"] for line in job["results"]] == ["succeeded"] * 3
    assert job["metadata"] == {"x": HOSTILE}
    assert response.content_type == "application/json"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "hidden" not in response.text


def test_a_job_that_is_not_there_is_404(operator: FlaskClient) -> None:
    for job_id in ("job_1", "job_01ARZ3NDEKTSV4RRFFQ69G5FAV", HOSTILE):
        problem_in(operator.get(f"/console/jobs/{job_id.replace('/', '')}"), 404, "job_not_found")


# ---- Trying a text


def test_a_text_tried_on_the_console_is_checked_like_any_job(operator: FlaskClient) -> None:
    job = job_in(operator.post("/console/try", json=NULL_JOB, headers=OWN), 202)
    assert operator.get(f"/console/jobs/{job['id']}").get_json()["owner"] == "default"
    wrong = operator.post("/console/try", json={"pipeline": "null", "input": {}}, headers=OWN)
    assert problem_in(wrong, 400, "invalid_request")["errors"][0]["pointer"] == "/input/text"
    problem_in(
        operator.post("/console/try", data="text=1", headers=OWN), 415, "unsupported_media_type"
    )


def test_a_text_tried_with_a_key_belongs_to_its_owner(app: Flask) -> None:
    client = with_password(app, made(app, "root", Scope.ADMIN).key.text)
    job = job_in(client.post("/console/try", json=NULL_JOB, headers=OWN), 202)
    assert client.get(f"/console/jobs/{job['id']}").get_json()["owner"] == "root"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin"},
        OWN | {"Sec-Fetch-Site": "cross-site"},
        OWN | {"Sec-Fetch-Site": "same-site"},
        OWN | {"Sec-Fetch-Site": "none"},
        OWN | {"Origin": "https://evil.example.com"},
        OWN | {"Origin": "null"},
        OWN | {"Origin": "http://localhost.evil.example.com"},
    ],
)
def test_a_page_of_another_origin_cannot_submit(
    operator: FlaskClient, store: Store, headers: dict[str, str]
) -> None:
    response = operator.post("/console/try", json=NULL_JOB, headers=headers)
    problem_in(response, 403, "forbidden")
    assert store.redis.xlen("ps:lane:gpu:normal") == 0


@pytest.mark.parametrize(
    "headers",
    [
        OWN | {"Sec-Fetch-Site": "same-origin", "Origin": "https://behind.a.proxy.example.com"},
        OWN | {"Origin": "http://localhost"},
        OWN,
    ],
)
def test_its_own_page_submits(operator: FlaskClient, headers: dict[str, str]) -> None:
    job_in(operator.post("/console/try", json=NULL_JOB, headers=headers), 202)


@pytest.mark.parametrize("origins", [("*",), ("https://app.example.com",)])
def test_no_other_origin_is_allowed_in_even_where_the_api_lets_it(
    settings: Settings, store: Store, origins: tuple[str, ...]
) -> None:
    app = create_app(
        replace(settings, flower_user=USER, flower_password=PASSWORD, cors_origins=origins)
    )
    client = with_password(app, PASSWORD)
    asks = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
    for path in (*READ, "/console/try"):
        for response in (client.get(path, headers=asks), client.options(path, headers=asks)):
            assert "Access-Control-Allow-Origin" not in response.headers
            assert "Access-Control-Allow-Headers" not in response.headers
    assert "Access-Control-Allow-Origin" in client.options("/v1/jobs", headers=asks).headers
