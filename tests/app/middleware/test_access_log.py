"""Each request has one log line, without secrets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from app.factory import create_app
from tasks.config.settings import Settings
from tasks.jobs.model import Spec
from tasks.jobs.read import read_job
from tasks.jobs.submit import new_job_id
from tasks.store.client import Store
from tests.app.answers import NULL_JOB
from tests.app.conftest import client_of
from tests.conftest import API_KEY

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def lines(event: str, ask: Callable[[], Any]) -> list[Any]:
    with capture_logs() as logs:
        ask()
    return [line for line in logs if line["event"] == event]


def test_a_submit_is_logged_with_its_job_owner_and_ids(client: FlaskClient) -> None:
    headers = {"X-Request-ID": "mine", "traceparent": TRACE}
    (line,) = lines("request", lambda: client.post("/v1/jobs", json=NULL_JOB, headers=headers))
    assert line.pop("ms") > 0
    assert line.pop("job").startswith("job_")
    assert line == {
        "event": "request",
        "log_level": "info",
        "method": "POST",
        "route": "/v1/jobs",
        "status": 202,
        "request_id": "mine",
        "trace_id": TRACE[3:35],
        "owner": "default",
        "key": "operator",
    }


def test_a_refusal_is_logged_with_its_code_and_request_id(app: Flask, client: FlaskClient) -> None:
    answers: list[Any] = []
    job_id = new_job_id()
    (line,) = lines("request", lambda: answers.append(client.get(f"/v1/jobs/{job_id}")))
    assert (line["status"], line["code"]) == (404, "job_not_found")
    assert (line["route"], line["job"]) == ("/v1/jobs/<job_id>", job_id)
    assert line["request_id"] == answers[0].get_json()["request_id"]
    (line,) = lines("request", lambda: app.test_client().get("/v1/jobs"))
    assert (line["status"], line["code"], "owner" in line) == (401, "unauthorized", False)


@pytest.mark.parametrize(
    "path", ["/secret-in-a-path", "/v1/jobs?secret-in-a-query=1", "/v1/jobs/secret-for-an-id"]
)
def test_neither_path_nor_query_nor_key_is_logged(client: FlaskClient, path: str) -> None:
    (line,) = lines("request", lambda: client.get(path))
    assert line["status"] >= 400
    assert "secret" not in repr(line)
    assert API_KEY not in repr(line)


def test_a_stream_is_logged_when_it_has_ended(client: FlaskClient, work: Callable[[], int]) -> None:
    job = client.post("/v1/jobs", json={"pipeline": "null", "inputs": [{"text": "a"}]}).get_json()
    work()
    with capture_logs() as logs:
        response = client.get(job["links"]["results"], buffered=False)
        assert [line for line in logs if line["event"] == "request"] == []
        response.close()
    (line,) = [line for line in logs if line["event"] == "request"]
    assert (line["route"], line["job"]) == ("/v1/jobs/<job_id>/results", job["id"])


def test_probes_are_logged_at_debug_unless_they_fail(client: FlaskClient) -> None:
    (line,) = lines("request", lambda: client.get("/livez"))
    assert line["log_level"] == "debug"
    (line,) = lines("request", lambda: client.get("/readyz"))
    assert (line["status"], line["log_level"]) == (503, "info")  # there is no worker


def test_a_cached_and_a_cancelled_job_are_logged_by_the_web_process(
    client: FlaskClient, work: Callable[[], int]
) -> None:
    body = {"pipeline": "echo", "input": {"text": "twice"}}
    client.post("/v1/jobs", json=body)
    work()
    (line,) = lines("job ended", lambda: client.post("/v1/jobs", json=body))
    assert (line["status"], line["cached"], line["tier"]) == ("succeeded", True, "size")
    job = client.post("/v1/jobs", json=NULL_JOB).get_json()
    (line,) = lines("job ended", lambda: client.post(f"/v1/jobs/{job['id']}/cancel"))
    assert (line["job"], line["status"]) == (job["id"], "cancelled")
    assert "queue_ms" not in line


def test_equal_inputs_have_equal_hashes_however_they_came_and_none_unless_it_is_asked_for(
    settings: Settings, client: FlaskClient, store: Store
) -> None:
    hashing = client_of(create_app(replace(settings, log_input_hash=True)))
    inputs = [{"text": f"text {n}"} for n in range(6)]
    upload = b"".join(b'{ "text" : "text %d" }\n' % n for n in range(6))
    body, ndjson = {"pipeline": "echo", "inputs": inputs}, {"Content-Type": "application/x-ndjson"}
    answers = [
        hashing.post("/v1/jobs", json=body),
        hashing.post("/v1/jobs?pipeline=echo", data=upload, headers=ndjson),
        hashing.post("/v1/jobs", json=body | {"inputs": inputs[::-1]}),
        client.post("/v1/jobs", json=body),
    ]
    hashes = [spec_of(store, answer.get_json()["id"]).input_hash for answer in answers]
    assert hashes[0] == hashes[1] != hashes[2]
    assert hashes[3] is None


def spec_of(store: Store, job_id: str) -> Spec:
    job = read_job(store, job_id)
    assert job is not None
    return job.spec
