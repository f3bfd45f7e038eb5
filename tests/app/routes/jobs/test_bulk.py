"""Uploads: valid and invalid lines of NDJSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from redis import RedisError

from app.routes.jobs import views
from tasks.store.client import Store
from tests.app.answers import job_in, problem_in
from tests.app.middleware.test_any_body import BOUNDED, JSON, never_ours
from tests.app.uploads import (
    BAD,
    GOOD,
    Work,
    errors_in,
    lines,
    nothing_left,
    results,
    shown,
    skipped_in,
    upload,
)
from tests.eventually import eventually


def test_every_line_is_an_item_answered_in_order(client: FlaskClient, work: Work) -> None:
    texts = [f"text {n}" for n in range(11)]
    response = upload(client, lines(*texts))
    job = job_in(response, 202)
    assert job["progress"] == {"done": 0, "failed": 0, "total": 11}
    assert response.headers["Location"] == f"/v1/jobs/{job['id']}"
    work()
    found = results(client, job)
    assert [line["index"] for line in found] == list(range(11))
    assert [line["output"]["echo"] for line in found] == texts
    job = shown(client, job)
    assert (job["status"], job["progress"]) == ("succeeded", {"done": 11, "failed": 0, "total": 11})


@BOUNDED
@given(body=st.binary(max_size=200), on_error=st.sampled_from(["fail", "skip"]))
def test_any_bytes(client: FlaskClient, body: bytes, on_error: str) -> None:
    never_ours(upload(client, body, f"pipeline=echo&on_error={on_error}"))


@BOUNDED
@given(values=st.lists(JSON, max_size=6), on_error=st.sampled_from(["fail", "skip"]))
def test_any_lines(client: FlaskClient, values: list[Any], on_error: str) -> None:
    body = b"\n".join(json.dumps(value).encode() for value in values)
    never_ours(upload(client, body, f"pipeline=echo&on_error={on_error}"))


@pytest.mark.parametrize(
    ("line", "pointer", "says"),
    [
        (BAD, "/text", "1 to 5,000 characters"),
        (b'{"text": 7}', "/text", "string"),
        (b'{"text": "a", "other": 1}', "/other", "Unknown field"),
        (b"{}", "/text", "required"),
        (b"[]", "", "object"),
        (b"7", "", "object"),
        (b"", "", "The line is blank"),
        (b" \t\r", "", "The line is blank"),
        (b"{", "", "The line must be JSON"),
        (b'{"text": "a"} {"text": "b"}', "", "Extra data at column 15"),
        (b'{"text": "a', "", "Unterminated string starting at column 10"),
        (b'{"text": "a", "text": "b"}', "", "twice"),
        (b'{"text": "\xff"}', "", "The line must be UTF-8; byte 10"),
        (b'{"text": "\\ud800"}', "/text", "lone surrogate"),
        (b'{"text": NaN}', "/text", "finite"),
        (b"[" * 50 + b"]" * 50, "/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0", "at most 16 levels"),
        (b'{"text": "' + b"x" * 70_000 + b'"}', "", "at most 65536 bytes"),
        (b'\xef\xbb\xbf{"text": "a"}', "", "byte order mark"),
    ],
)
def test_an_invalid_line_is_named_and_nothing_is_accepted(
    client: FlaskClient, store: Store, line: bytes, pointer: str, says: str
) -> None:
    body = b"\n".join([GOOD] * 6 + [line] + [GOOD] * 6)
    (error,) = errors_in(upload(client, body))
    assert (error["line"], error["pointer"]) == (7, pointer)
    assert says in error["detail"]
    assert nothing_left(store)


def test_all_invalid_lines_are_named_and_none_of_the_others_is_accepted(
    client: FlaskClient,
) -> None:
    errors = errors_in(upload(client, b"\n".join([BAD, GOOD, b"", GOOD, b"?"])))
    assert [error["line"] for error in errors] == [1, 3, 5]


def test_at_most_100_errors_are_listed_and_all_bad_lines_counted(client: FlaskClient) -> None:
    response = upload(client, b"\n".join([BAD] * 250 + [GOOD]))
    assert [error["line"] for error in errors_in(response)] == list(range(1, 101))
    detail = response.get_json()["detail"]
    assert "250 of 251 lines are not valid" in detail
    assert "first 100" in detail


def test_a_line_with_many_errors_leaves_room_for_the_errors_of_others(client: FlaskClient) -> None:
    many = json.dumps({f"field {n}": 1 for n in range(500)}).encode()
    errors = errors_in(upload(client, many + b"\n" + BAD))
    assert [error["line"] for error in errors] == [1, 1, 1, 2]


def test_skipped_lines_fail_in_their_places(client: FlaskClient, work: Work) -> None:
    body = b"\n".join([BAD, b'{"text": "b"}', b"?", b'{"text": "d"}', b'{"text": "e"}', b""]) + BAD
    job = skipped_in(upload(client, body, "pipeline=echo&on_error=skip"))
    assert job["rejected"]["count"] == 3
    assert [error["line"] for error in job["rejected"]["errors"]] == [1, 3, 6]
    assert job["progress"]["total"] == 6
    work()
    found = results(client, job)
    assert [line["index"] for line in found] == list(range(6))
    bad = [line for line in found if line["status"] == "failed"]
    assert [line["index"] for line in bad] == [0, 2, 5]
    assert {line["error"]["code"] for line in bad} == {"invalid_input"}
    assert {line["output"] for line in bad} == {None}
    assert bad[0]["error"]["message"].startswith("/text: Must have 1 to 5,000 characters")
    assert bad[1]["error"]["message"].startswith("The line must be JSON")
    good = [line["output"]["echo"] for line in found if line["status"] == "succeeded"]
    assert good == ["b", "d", "e"]
    job = shown(client, job)
    assert (job["status"], job["progress"]) == ("succeeded", {"done": 6, "failed": 3, "total": 6})


def test_a_unit_of_skipped_lines_alone_fails_line_by_line(client: FlaskClient, work: Work) -> None:
    body = b"\n".join([GOOD, *[BAD] * 9, GOOD])  # a unit of the echo pipeline has four
    job = skipped_in(upload(client, body, "pipeline=echo&on_error=skip"))
    work()
    statuses = [line["status"] for line in results(client, job)]
    assert statuses == ["succeeded", *["failed"] * 9, "succeeded"]
    assert shown(client, job)["progress"] == {"done": 11, "failed": 9, "total": 11}


def test_the_answer_says_that_no_line_was_skipped(client: FlaskClient) -> None:
    job = skipped_in(upload(client, GOOD, "pipeline=echo&on_error=skip"))
    assert job["rejected"] == {"count": 0, "errors": []}


def test_an_upload_without_a_good_line_is_refused_even_if_bad_ones_may_be_skipped(
    client: FlaskClient, store: Store
) -> None:
    body = b"\n".join([BAD] * 10)
    assert len(errors_in(upload(client, body, "pipeline=echo&on_error=skip"))) == 10
    assert nothing_left(store)


@pytest.mark.parametrize("on_error", ["fail", "skip"])
def test_an_empty_body_is_refused(client: FlaskClient, on_error: str) -> None:
    problem = problem_in(
        upload(client, b"", f"pipeline=echo&on_error={on_error}"), 400, "invalid_request"
    )
    assert problem["errors"][0]["line"] == 1


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_lines_may_end_in_crlf_and_the_last_need_not_end(
    client: FlaskClient, work: Work, end: bytes
) -> None:
    job = job_in(upload(client, b'{"text": "a"}\r\n{"text": "b"}' + end), 202)
    work()
    assert [line["output"]["echo"] for line in results(client, job)] == ["a", "b"]


def test_prefer_wait_answers_200_with_the_finished_upload(
    client: FlaskClient, store: Store, work: Work
) -> None:
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(
            upload, client, GOOD + b"\n?", "pipeline=echo&on_error=skip", Prefer="wait=30"
        )
        eventually(lambda: store.redis.xlen("ps:lane:gpu:normal"), "the job in its lane")
        work()
        job = skipped_in(asked.result(), 200)
    assert (job["status"], job["rejected"]["count"]) == ("succeeded", 1)
    assert asked.result().headers["Preference-Applied"] == "wait=30"


def test_results_that_redis_failed_to_complete_say_so(
    client: FlaskClient, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_in(upload(client, lines(*"abcdef")), 202)
    work()

    def fails_midway(*_: object) -> Iterator[dict[str, Any]]:
        yield {"index": 0}
        raise RedisError("gone")

    monkeypatch.setattr(views, "read_results", fails_midway)
    first, last = results(client, job)
    assert first == {"index": 0}
    assert list(last) == ["error"]
    assert last["error"]["code"] == "unavailable"
