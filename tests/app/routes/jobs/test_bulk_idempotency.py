"""Idempotency of uploads: the same one again, and one in progress."""

from __future__ import annotations

import io
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.routes.jobs import views
from tasks.jobs.hashing import digest_of
from tasks.store import keys
from tasks.store.client import Store
from tests.app.answers import job_in, problem_in
from tests.app.uploads import (
    BAD,
    GOOD,
    KEY,
    errors_in,
    lines,
    skipped_in,
    upload,
)


def test_the_same_upload_again_is_answered_with_the_same_job(
    client: FlaskClient, store: Store
) -> None:
    query, body = "pipeline=echo&on_error=skip", lines(*"abcdef") + b"?"
    first = skipped_in(upload(client, body, query, **KEY))
    assert skipped_in(upload(client, body, query, **KEY)) == first
    assert store.redis.keys("ps:inputs:*") == [keys.inputs(first["id"])]
    assert len(store.redis.keys("ps:job:*")) == 1


def test_the_order_of_parameters_does_not_matter(client: FlaskClient) -> None:
    first = job_in(upload(client, GOOD, "pipeline=echo&priority=low", **KEY), 202)
    second = upload(client, GOOD, "priority=low&pipeline=echo", **KEY)
    assert job_in(second, 202)["id"] == first["id"]


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("pipeline=echo", GOOD),
        ("pipeline=echo", lines("fine")),
        ("pipeline=null", lines(*"abcdef")),
        ("pipeline=echo&priority=low", lines(*"abcdef")),
    ],
)
def test_the_key_with_another_upload_is_refused(
    client: FlaskClient, store: Store, query: str, body: bytes
) -> None:
    job_in(upload(client, lines(*"abcdef"), **KEY), 202)
    problem_in(upload(client, body, query, **KEY), 422, "idempotency_mismatch")
    assert len(store.redis.keys("ps:inputs:*")) == 1


def test_the_key_of_a_job_of_json_is_not_that_of_an_upload(client: FlaskClient) -> None:
    client.post("/v1/jobs", json={"pipeline": "echo", "input": {"text": "a"}}, headers=KEY)
    problem_in(upload(client, lines("a"), **KEY), 422, "idempotency_mismatch")


def test_a_refused_upload_leaves_the_key_free(client: FlaskClient) -> None:
    errors_in(upload(client, lines(*"abcde") + BAD, **KEY))
    job_in(upload(client, lines(*"abcde"), **KEY), 202)


def test_while_an_upload_is_under_way_its_key_is_taken(client: FlaskClient, store: Store) -> None:
    record = keys.idempotency("default", digest_of(b"POST /v1/jobs", b"the-upload"))

    class Interrupted(io.BytesIO):
        """A body during which the same upload is sent by another client."""

        def read(self, size: int | None = -1, /) -> bytes:
            if chunk := super().read(size):
                return chunk
            assert str(store.redis.get(record)).startswith("pending ")
            for again in (upload(client, body, **KEY), client.post("/v1/jobs", **single)):
                problem_in(again, 409, "idempotency_in_flight")
            return b""

    body = lines(*"abcdefgh")
    single: Any = {"json": {"pipeline": "echo", "input": {"text": "a"}}, "headers": KEY}
    response = client.post(
        "/v1/jobs?pipeline=echo",
        input_stream=Interrupted(body),
        content_type="application/x-ndjson",
        headers=KEY,
        environ_overrides={"wsgi.input_terminated": True},
    )
    first = job_in(response, 202)
    assert job_in(upload(client, body, **KEY), 202)["id"] == first["id"]


def test_an_upload_whose_parts_went_meanwhile_must_be_sent_again(
    client: FlaskClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = views._submit

    def too_late(*args: Any) -> Any:
        store.redis.delete(*store.redis.keys("ps:inputs:*"))
        return submit(*args)

    monkeypatch.setattr(views, "_submit", too_late)
    problem_in(upload(client, GOOD), 408, "request_timeout")
    assert store.redis.keys("ps:job:*") == []
