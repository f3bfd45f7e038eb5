"""Helpers for uploads: send them, and read their responses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tasks.store.client import Store
from tests.app.answers import JOB_MEMBERS, job_in, problem_in, stored

Work = Callable[[], int]

GOOD = b'{"text": "fine"}'
BAD = b'{"text": ""}'
KEY = {"Idempotency-Key": "the-upload"}


def upload(
    client: FlaskClient, body: bytes, query: str = "pipeline=echo", **headers: str
) -> TestResponse:
    return client.post(
        f"/v1/jobs?{query}", data=body, content_type="application/x-ndjson", headers=headers
    )


def lines(*texts: str) -> bytes:
    return b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)


def results(client: FlaskClient, job: dict[str, Any]) -> list[dict[str, Any]]:
    response = client.get(job["links"]["results"])
    assert response.status_code == 200
    return [json.loads(line) for line in response.text.splitlines()]


def shown(client: FlaskClient, job: dict[str, Any]) -> dict[str, Any]:
    return job_in(client.get(job["links"]["self"]), 200)


def skipped_in(response: TestResponse, status: int = 202) -> dict[str, Any]:
    assert response.status_code == status, response.text
    job: dict[str, Any] = response.get_json()
    assert set(job) == JOB_MEMBERS | {"rejected"}
    return job


def errors_in(response: TestResponse) -> list[dict[str, Any]]:
    problem = problem_in(response, 400, "invalid_request")
    assert "nothing was accepted" in problem["detail"]
    found: list[dict[str, Any]] = problem["errors"]
    return found


def nothing_left(store: Store) -> bool:
    return stored(store) == []
