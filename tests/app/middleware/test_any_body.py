"""No request body causes an internal error."""

from __future__ import annotations

import json
import math
from typing import Any

from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

BOUNDED = settings(
    max_examples=200,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NUMBERS = st.integers() | st.floats() | st.sampled_from([2**63, -(2**63), 1e308, math.nan])
SCALARS = st.none() | st.booleans() | NUMBERS | st.text(max_size=20)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
INPUT = st.fixed_dictionaries({}, optional={"text": JSON, "user_id": JSON}) | JSON
OPTIONS = st.dictionaries(
    st.sampled_from(["temperature", "max_tokens", "language", "min_tier", "other"]), JSON
)
JOBS = st.fixed_dictionaries(
    {"pipeline": st.sampled_from(["null", "echo"]) | JSON},
    optional={
        "input": INPUT,
        "inputs": st.lists(INPUT, max_size=3) | JSON,
        "options": OPTIONS | JSON,
        "priority": st.sampled_from(["high", "low"]) | JSON,
        "deadline_ms": JSON,
        "metadata": JSON,
        "_schema": JSON,
    },
)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["Idempotency-Key", "Prefer", "X-Request-ID", "traceparent", "Content-Type", "Accept"]
    ),
    st.text(st.characters(max_codepoint=255, blacklist_characters="\r\n\0"), max_size=40),
)


def never_ours(response: TestResponse) -> None:
    """Assert an accepted job, or a problem document with a status of 4xx."""
    assert response.status_code < 500, response.text
    assert response.status_code in {200, 202} or response.get_json()["code"]


@BOUNDED
@given(body=st.binary(max_size=200))
def test_any_bytes(client: FlaskClient, body: bytes) -> None:
    never_ours(client.post("/v1/jobs", data=body, content_type="application/json"))


@BOUNDED
@given(body=JSON)
def test_any_json(client: FlaskClient, body: Any) -> None:
    never_ours(client.post("/v1/jobs", data=json.dumps(body), content_type="application/json"))


@BOUNDED
@given(body=JOBS)
def test_anything_that_is_almost_a_job(client: FlaskClient, body: Any) -> None:
    never_ours(client.post("/v1/jobs", data=json.dumps(body), content_type="application/json"))


@BOUNDED
@given(headers=HEADERS)
def test_any_headers(client: FlaskClient, headers: dict[str, str]) -> None:
    body = b'{"pipeline": "null", "input": {"text": "hello"}}'
    headers = {"Content-Type": "application/json", **headers}
    never_ours(client.post("/v1/jobs", data=body, headers=headers))


@BOUNDED
@given(job_id=st.text(max_size=40) | st.text("0123456789ABCDEFGHJKZ", min_size=26, max_size=26))
def test_any_job_id(client: FlaskClient, job_id: str) -> None:
    for name in (job_id, f"job_{job_id}"):
        never_ours(client.open(path=f"/v1/jobs/{name}", method="GET"))
