"""Uploads: chunks, lengths and limits."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.factory import create_app
from app.routes.jobs import submission
from tasks.config.settings import Settings
from tasks.jobs.submit import Submission
from tasks.store.client import Store
from tests.app.answers import details, job_in, problem_in
from tests.app.conftest import client_of
from tests.app.uploads import (
    KEY,
    Work,
    lines,
    nothing_left,
    results,
    skipped_in,
    upload,
)


@pytest.fixture
def small(settings: Settings, store: Store) -> FlaskClient:
    """A client of an application with small limits."""
    limited = replace(settings, max_upload_bytes=1_024, max_upload_lines=20, max_line_bytes=256)
    return client_of(create_app(limited))


def test_characters_and_lines_may_be_cut_anywhere(
    client: FlaskClient, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.routes.jobs.upload.CHUNK_BYTES", 3)
    texts = ["naïve € 🙂", "日本語", "plain"]
    body = b"\n".join(json.dumps({"text": t}, ensure_ascii=False).encode() for t in texts)
    job = job_in(upload(client, body), 202)
    work()
    assert [line["output"]["echo"] for line in results(client, job)] == texts


def test_a_body_without_its_length_is_read(client: FlaskClient) -> None:
    response = client.post(
        "/v1/jobs?pipeline=echo",
        input_stream=io.BytesIO(lines("a", "b")),
        content_type="application/x-ndjson",
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert job_in(response, 202)["progress"]["total"] == 2


def test_a_body_that_ends_before_its_length_is_no_job(client: FlaskClient, store: Store) -> None:
    response = client.post(
        "/v1/jobs?pipeline=echo",
        input_stream=io.BytesIO(lines("a", "b", "c", "d", "e")),
        content_type="application/x-ndjson",
        headers=KEY,
        environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": "1000"},
    )
    assert response.status_code == 400
    assert nothing_left(store)


@pytest.mark.parametrize("announced", [3, 5])
def test_an_upload_with_another_number_of_lines_than_announced_is_no_job(
    client: FlaskClient, store: Store, announced: int
) -> None:
    response = upload(client, lines(*"abcd"), f"pipeline=echo&lines={announced}", **KEY)
    problem = problem_in(response, 400, "invalid_request")
    assert "it has 4" in details(problem)["lines"]
    assert nothing_left(store)
    job_in(upload(client, lines(*"abcd"), "pipeline=echo&lines=4", **KEY), 202)


def test_an_upload_may_be_larger_than_other_bodies(app: Flask, client: FlaskClient) -> None:
    body = lines(*["x" * 4_000] * 300)
    assert len(body) > app.config["MAX_CONTENT_LENGTH"]
    assert job_in(upload(client, body), 202)["progress"]["total"] == 300


@pytest.mark.parametrize("given", [True, False], ids=["with its length", "without its length"])
def test_an_upload_has_its_own_limit(small: FlaskClient, store: Store, given: bool) -> None:
    def post(size: int) -> TestResponse:
        length = {"CONTENT_LENGTH": str(size)} if given else {}
        body = lines("x" * 100) * 8
        body += b" " * (size - len(body))
        return small.post(
            "/v1/jobs?pipeline=echo",
            input_stream=io.BytesIO(body),
            content_type="application/x-ndjson",
            environ_overrides={"wsgi.input_terminated": True, **length},
        )

    assert post(1_024).status_code == 400  # for its last line, which is blank
    problem = problem_in(post(1_025), 413, "body_too_large")
    assert "1024 bytes" in problem["detail"]
    assert nothing_left(store)


def test_an_upload_may_have_so_many_lines(small: FlaskClient, store: Store) -> None:
    problem = problem_in(upload(small, lines("a") * 21), 413, "body_too_large")
    assert "20 lines" in problem["detail"]
    assert nothing_left(store)
    job_in(upload(small, lines("a") * 20), 202)


def test_a_huge_line_may_be_skipped(small: FlaskClient, work: Work) -> None:
    body = lines("a", "x" * 300, "c")
    job = skipped_in(upload(small, body, "pipeline=echo&on_error=skip"))
    work()
    found = results(small, job)
    assert [line["status"] for line in found] == ["succeeded", "failed", "succeeded"]
    assert "256 bytes" in found[1]["error"]["message"]


def test_an_upload_beyond_the_owners_quota_leaves_nothing(
    client: FlaskClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        submission, "Submission", lambda **given: Submission(**{**given, "most_unfinished": 4})
    )
    problem = problem_in(upload(client, lines(*"abcde"), **KEY), 400, "invalid_request")
    assert "at most 4 inputs" in details(problem)["/inputs"]
    assert nothing_left(store)
