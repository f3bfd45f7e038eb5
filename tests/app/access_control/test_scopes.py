from __future__ import annotations

import pytest
from flask import Flask

from app.api_keys.principal import Scope
from app.factory import create_app
from tasks.config.settings import Settings
from tasks.store.client import Store
from tests.app.answers import NULL_JOB, problem_in
from tests.app.keys import made, with_key
from tests.conftest import API_KEY

JOBS = [
    ("POST", "/v1/jobs"),
    ("GET", "/v1/jobs/job_1"),
    ("GET", "/v1/jobs/job_1/results"),
    ("POST", "/v1/jobs/job_1/cancel"),
    ("GET", "/v1/usage"),
    ("GET", "/v1/pipelines"),
    ("GET", "/v1/pipelines/null"),
    ("GET", "/v1/pipelines/null/drift"),
]
METRICS = [("GET", "/metrics"), ("GET", "/v1/lanes/gpu/scale")]
ADMIN = [("POST", "/v1/pipelines/null/drift")]


@pytest.fixture
def app(settings: Settings, store: Store) -> Flask:
    """An application that has not read the keys yet."""
    return create_app(settings)


def statuses(app: Flask, key: str, routes: list[tuple[str, str]]) -> set[int]:
    client = with_key(app, key)
    return {
        client.open(path, method=method, json=NULL_JOB if path == "/v1/jobs" else None).status_code
        for method, path in routes
    }


def test_the_scope_jobs_opens_jobs_and_pipelines_but_not_metrics(app: Flask) -> None:
    key = made(app, "acme", Scope.JOBS).key.text
    assert statuses(app, key, JOBS) == {202, 404, 200}
    assert statuses(app, key, METRICS + ADMIN) == {403}


def test_the_scope_metrics_opens_metrics_alone(app: Flask) -> None:
    key = made(app, "prometheus", Scope.METRICS).key.text
    assert statuses(app, key, JOBS) == {403}
    assert statuses(app, key, METRICS) == {200}


@pytest.mark.parametrize("operator", [True, False])
def test_the_scope_admin_and_the_key_of_the_settings_open_everything(
    app: Flask, operator: bool
) -> None:
    key = API_KEY if operator else made(app, "root", Scope.ADMIN).key.text
    assert statuses(app, key, JOBS) == {202, 404, 200}
    assert statuses(app, key, METRICS + ADMIN) == {200}


def test_several_scopes_add_up(app: Flask) -> None:
    key = made(app, "acme", Scope.JOBS, Scope.METRICS).key.text
    assert statuses(app, key, JOBS + METRICS) == {202, 404, 200}


def test_what_lacks_is_named(app: Flask) -> None:
    client = with_key(app, made(app, "acme", Scope.JOBS).key.text)
    problem = problem_in(client.get("/metrics"), 403, "forbidden")
    assert problem["detail"] == "This needs a key with the scope 'metrics'."
