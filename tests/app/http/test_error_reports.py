"""What is reported to Sentry about failed requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.factory import create_app
from app.routes.jobs import submission, views
from tasks.config.settings import Settings
from tasks.telemetry.sentry.scrubber import WITHHELD
from tests.app.answers import NULL_JOB
from tests.app.conftest import client_of
from tests.conftest import API_KEY
from tests.envelopes import Envelopes, arrived, installed
from tests.ports import free_port

# Defined far from the lines that raise, because events show those lines.
PRIVATE = "Rosewood"


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Envelopes]:
    with installed(settings) as envelopes:
        yield envelopes
        envelopes.assert_silent_about(API_KEY, settings.redis_password, PRIVATE)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every submission fails with an internal error whose text has the input."""

    def fail(**given: Any) -> None:
        raise LookupError(f"no room for {given['metadata']}")

    monkeypatch.setattr(submission, "Spec", fail)


def test_an_internal_error_is_reported_with_its_request(
    client: FlaskClient, receiver: Envelopes, broken: None
) -> None:
    job = NULL_JOB | {"metadata": {"who": PRIVATE}}
    for n in range(3):
        answer = client.post("/v1/jobs", json=job, headers={"X-Request-ID": f"req-{n}"})
        assert answer.status_code == 500
    (event,) = arrived(receiver)
    wanted = {"request_id": "req-0", "route": "/v1/jobs", "pipeline": "null", "failure": "api"}
    assert wanted.items() <= event["tags"].items()
    assert event["transaction"] == "POST /v1/jobs"
    assert event["exception"]["values"][0]["value"] == "no room for {'[input]': '[input]'}"
    assert set(event["request"]) == {"method", "url", "headers"}
    assert "authorization" not in {name.lower() for name in event["request"]["headers"]}


def test_refused_requests_are_not_reported(
    app: Flask, client: FlaskClient, receiver: Envelopes
) -> None:
    assert client.post("/v1/jobs", data=b"{").status_code == 415
    assert client.post("/v1/jobs", json={"pipeline": "none"}).status_code in (400, 404)
    assert client.get("/v1/jobs/job_none").status_code == 404
    assert client.get("/nowhere").status_code == 404
    assert app.test_client().get("/v1/jobs").status_code == 401
    assert arrived(receiver) == []


def test_if_the_input_is_unknown_the_text_of_the_error_is_withheld(
    client: FlaskClient, receiver: Envelopes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise LookupError(PRIVATE)

    monkeypatch.setattr(views, "read_query", fail)
    headers = {"Content-Type": "application/x-ndjson"}
    answer = client.post("/v1/jobs", data=b'{"text": "x"}\n', headers=headers)
    assert answer.status_code == 500
    (event,) = arrived(receiver)
    assert event["exception"]["values"][0]["value"] == WITHHELD


def test_a_response_that_fails_midway_is_reported_with_its_request(
    client: FlaskClient, receiver: Envelopes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lines(*_: Any) -> Iterator[Any]:
        yield {"index": 0}
        raise LookupError(PRIVATE)

    monkeypatch.setattr(views, "read_results", lines)
    job_id = client.post("/v1/jobs", json=NULL_JOB).json["id"]  # type: ignore[index]
    with pytest.raises(LookupError):
        client.get(f"/v1/jobs/{job_id}/results", headers={"X-Request-ID": "req-off"}).get_data()
    (event,) = arrived(receiver)
    assert event["tags"]["request_id"] == "req-off"
    assert event["exception"]["values"][0]["value"] == WITHHELD


def test_an_outage_of_redis_is_reported_once(settings: Settings, receiver: Envelopes) -> None:
    cut_off = client_of(create_app(replace(settings, redis_port=free_port())))
    for n in range(10):
        answer = cut_off.post("/v1/jobs", json=NULL_JOB, headers={"X-Request-ID": f"req-{n}"})
        assert answer.status_code == 503
    (event,) = arrived(receiver)
    assert (event["tags"]["failure"], event["tags"]["request_id"]) == ("redis", "req-0")
