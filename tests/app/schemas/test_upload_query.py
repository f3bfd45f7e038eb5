"""The query of an upload has everything but the inputs."""

from __future__ import annotations

import json

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from app.schemas.upload_query import PARAMETERS
from tasks.store import keys
from tasks.store.client import Store
from tests.app.answers import details, job_in, problem_in
from tests.app.middleware.test_any_body import BOUNDED, never_ours
from tests.app.uploads import (
    GOOD,
    nothing_left,
    upload,
)


def test_the_envelope_comes_in_the_query(client: FlaskClient, store: Store) -> None:
    query = (
        "pipeline=echo&priority=high&deadline_ms=60000&language=de&temperature=0.5&max_tokens=7"
        "&min_tier=size&mode=quality"
    )
    job = job_in(upload(client, GOOD, query), 202)
    record = store.redis.hgetall(keys.job(job["id"]))
    options = {"language": "de", "temperature": 0.5, "max_tokens": 7, "min_tier": "size"}
    options["mode"] = "quality"
    assert json.loads(record["spec"])["options"] == options
    assert int(record["deadline"]) > 0
    assert store.redis.xlen(keys.stream("gpu", "high")) == 1


@pytest.mark.parametrize(
    ("query", "name", "says"),
    [
        ("", "pipeline", "one of: echo, null"),
        ("pipeline=other", "pipeline", "one of: echo, null"),
        ("pipeline=echo&pipeline=null", "pipeline", "once"),
        ("pipeline=echo&priority=now", "priority", "one of: high, normal, low"),
        ("pipeline=echo&deadline_ms=soon", "deadline_ms", "integer"),
        ("pipeline=echo&deadline_ms=0", "deadline_ms", "between 1 and 86400000"),
        ("pipeline=echo&deadline_ms=%D9%A3", "deadline_ms", "integer"),
        ("pipeline=echo&temperature=nan", "temperature", "number"),
        ("pipeline=echo&temperature=99", "temperature", "20"),
        ("pipeline=echo&max_tokens=1.5", "max_tokens", "integer"),
        ("pipeline=echo&language=german", "language", "'en'"),
        ("pipeline=echo&min_tier=none", "min_tier", "one of: size"),
        ("pipeline=echo&lines=0", "lines", "number of lines"),
        ("pipeline=echo&lines=all", "lines", "number of lines"),
        ("pipeline=echo&on_error=ignore", "on_error", "fail, skip"),
        (
            "pipeline=echo&metadata=%7B%7D",
            "metadata",
            "Unknown query parameter; this route takes pipeline",
        ),
    ],
)
def test_a_parameter_that_is_wrong_is_named(
    client: FlaskClient, store: Store, query: str, name: str, says: str
) -> None:
    problem = problem_in(upload(client, GOOD, query), 400, "invalid_request")
    assert says in details(problem)[name]
    assert nothing_left(store)


@BOUNDED
@given(
    query=st.dictionaries(
        st.sampled_from(PARAMETERS) | st.text(max_size=8),
        st.text(max_size=20) | st.integers().map(str) | st.floats().map(str),
    )
)
def test_any_query(client: FlaskClient, query: dict[str, str]) -> None:
    parameters = {"pipeline": "echo", **query}
    never_ours(
        client.post(
            "/v1/jobs", query_string=parameters, data=GOOD, content_type="application/x-ndjson"
        )
    )


def test_all_parameters_that_are_wrong_are_named_at_once(client: FlaskClient) -> None:
    query = "pipeline=echo&priority=now&on_error=x&lines=0&max_tokens=0"
    problem = problem_in(upload(client, GOOD, query), 400, "invalid_request")
    assert set(details(problem)) == {"priority", "on_error", "lines", "max_tokens"}
