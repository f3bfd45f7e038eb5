"""Responses to a client that may not wait: too many wait, or the process is stopping."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask import Flask

from app.factory import create_app
from app.job_updates.long_poll import LongPolls
from app.services import EXTENSION
from tasks.config.settings import Settings
from tasks.store.client import Store
from tests.app.answers import NULL_JOB, job_in, problem_in
from tests.app.conftest import client_of


@pytest.fixture
def small(settings: Settings, store: Store) -> Flask:
    """An application where one client may wait."""
    return create_app(replace(settings, max_waiters=1))


def waits(app: Flask) -> LongPolls:
    waiting: LongPolls = app.extensions[EXTENSION].long_polls
    return waiting


def test_a_submit_that_may_not_wait_is_answered_202_at_once(small: Flask) -> None:
    with waits(small).register("another"):
        response = client_of(small).post("/v1/jobs", json=NULL_JOB, headers={"Prefer": "wait=60"})
    assert job_in(response, 202)["status"] == "queued"
    assert "Preference-Applied" not in response.headers
    assert response.headers["Retry-After"] == "1"


def test_a_long_poll_that_may_not_wait_is_answered_503_with_retry_after(small: Flask) -> None:
    client = client_of(small)
    path = client.post("/v1/jobs", json=NULL_JOB).headers["Location"]
    with waits(small).register("another"):
        response = client.get(f"{path}?wait=60")
        assert job_in(client.get(path), 200)["status"] == "queued"
    problem_in(response, 503, "overloaded")
    assert response.headers["Retry-After"] == "1"


def test_an_ended_job_is_shown_however_many_wait(small: Flask) -> None:
    client = client_of(small)
    path = client.post("/v1/jobs", json=NULL_JOB).headers["Location"]
    client.post(f"{path}/cancel")
    with waits(small).register("another"):
        assert job_in(client.get(f"{path}?wait=60"), 200)["status"] == "cancelled"


def test_a_stopping_process_answers_with_the_present_state_of_jobs(small: Flask) -> None:
    client = client_of(small)
    waits(small).drain()
    accepted = client.post("/v1/jobs", json=NULL_JOB, headers={"Prefer": "wait=60"})
    assert job_in(accepted, 202)["status"] == "queued"
    shown = client.get(f"{accepted.headers['Location']}?wait=60")
    assert job_in(shown, 200)["status"] == "queued"
