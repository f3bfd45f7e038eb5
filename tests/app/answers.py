"""Assertions on responses of the API that many tests share."""

from __future__ import annotations

from typing import Any

from werkzeug.test import TestResponse

from tasks.store import keys
from tasks.store.client import Store

JOB_MEMBERS = {
    *("id", "pipeline", "status", "created_at", "started_at", "finished_at", "queue_ms", "run_ms"),
    *("lane", "attempts", "cached", "progress", "output", "error", "metadata", "links"),
}
NULL_JOB: dict[str, Any] = {"pipeline": "null", "input": {"text": "hello"}}


def job_in(response: TestResponse, status: int) -> dict[str, Any]:
    """The job in a response of that status."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    job: dict[str, Any] = response.get_json()
    assert set(job) == JOB_MEMBERS
    return job


def problem_in(response: TestResponse, status: int, code: str) -> dict[str, Any]:
    """The problem document in a response (RFC 9457)."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    problem: dict[str, Any] = response.get_json()
    assert problem["code"] == code, problem
    assert problem["status"] == status
    assert problem["type"] == f"urn:penstock:error:{code}"
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == response.headers["X-Request-ID"]
    return problem


def details(problem: dict[str, Any]) -> dict[str, str]:
    """The error texts by pointer, parameter or header."""
    found = {}
    for error in problem.get("errors", []):
        (place,) = set(error) - {"detail"}
        assert place in {"pointer", "parameter", "header"}
        found[error[place]] = error["detail"]
    return found


def stored(store: Store) -> list[str]:
    """All our keys in Redis except the rate counters, which any request may write."""
    return [key for key in store.redis.scan_iter("ps:*") if not key.startswith(keys.LIMITS)]
