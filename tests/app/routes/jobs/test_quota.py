"""The limit of an owner's unfinished items, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from app.access_control import authentication
from app.api_keys.principal import KeyLimits, Principal, Scope
from tests.app.answers import details, problem_in

SMALL = Principal("small", "k", frozenset(Scope), KeyLimits(1_000, 1_000, unfinished_items=4))


def of(inputs: int) -> dict[str, Any]:
    return {"pipeline": "null", "inputs": [{"text": f"text {n}"} for n in range(inputs)]}


@pytest.fixture
def small(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.setattr(authentication, "OPERATOR", SMALL)
    return client


def test_beyond_the_quota_the_client_is_told_when_to_retry(small: FlaskClient) -> None:
    assert small.post("/v1/jobs", json=of(3)).status_code == 202
    response = small.post("/v1/jobs", json=of(2))
    problem = problem_in(response, 429, "quota_exceeded")
    assert "may have 4 unfinished items and has 3" in problem["detail"]
    assert int(response.headers["Retry-After"]) > 0


def test_what_could_never_be_accepted_is_refused_for_good(small: FlaskClient) -> None:
    problem = problem_in(small.post("/v1/jobs", json=of(5)), 400, "invalid_request")
    assert "at most 4 inputs" in details(problem)["/inputs"]
