from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from tasks.store.client import Store
from tests.app.answers import details, job_in, problem_in, stored

JOB = b'{"pipeline": "null", "input": {"text": "hello"}}'
JSON = "application/json"
TOO_BIG = b'{"pipeline": "null", "input": {"text": "' + b"x" * 20_000_000 + b'"}}'


@pytest.fixture(autouse=True)
def _nothing_is_accepted(store: Store) -> Iterator[None]:
    yield
    assert stored(store) == []


def with_text(text: bytes) -> bytes:
    return b'{"pipeline": "null", "input": {"text": ' + text + b"}}"


def with_temperature(number: bytes) -> bytes:
    return JOB[:-1] + b', "options": {"temperature": ' + number + b"}}"


@pytest.mark.parametrize(
    ("body", "right"),
    [
        pytest.param(b"", "is missing; it must be a JSON object", id="empty"),
        pytest.param(b"{", "line 1, column 2", id="unfinished"),
        pytest.param(JOB + b"}", "line 1, column 49", id="something-behind-it"),
        pytest.param(b"{'pipeline': 'null'}", "line 1, column 2", id="single-quotes"),
        pytest.param(with_text(b'"tab\tin it"'), "line 1, column", id="control-character"),
        pytest.param(b"\xff\xfe" + JOB, "must be UTF-8; byte 0 is not", id="no-utf-8"),
        pytest.param(with_text(b'"\xe9"'), "must be UTF-8; byte 40 is not", id="latin-1"),
        pytest.param(JOB.decode().encode("utf-16"), "must be UTF-8", id="utf-16"),
        pytest.param(b"[]", "must be a JSON object", id="list"),
        pytest.param(b'"text"', "must be a JSON object", id="string"),
        pytest.param(b"7", "must be a JSON object", id="number"),
        pytest.param(b"null", "must be a JSON object", id="null"),
        pytest.param(b"true", "must be a JSON object", id="true"),
        pytest.param(b"[" * 100_000, "nest at most 16 levels", id="100,000-brackets"),
        pytest.param(b"[" * 999, "nests too deep", id="999-brackets"),
        pytest.param(
            JOB[:-1] + b', "pipeline": "echo"}', "'pipeline' appears twice", id="duplicate-key"
        ),
        pytest.param(
            with_text(b'"a", "text": "b"'), "'text' appears twice", id="duplicate-key-inside"
        ),
        pytest.param(with_temperature(b"9" * 401), "number that is too long", id="401-digits"),
        pytest.param(with_temperature(b"0." + b"9" * 400), "that is too long", id="long-fraction"),
        pytest.param(with_temperature(b"1e" + b"9" * 400), "that is too long", id="long-exponent"),
    ],
)
def test_a_body_that_is_no_json_object_is_malformed(
    client: FlaskClient, body: bytes, right: str
) -> None:
    response = client.post("/v1/jobs", data=body, content_type="application/json")
    problem = problem_in(response, 400, "malformed_body")
    assert right in problem["detail"]


@pytest.mark.parametrize(
    ("body", "pointer", "right"),
    [
        (with_temperature(b"NaN"), "/options/temperature", "number"),
        (with_temperature(b"Infinity"), "/options/temperature", "number"),
        (with_temperature(b"-Infinity"), "/options/temperature", "number"),
        (with_temperature(b"1e999"), "/options/temperature", "number between"),
        (with_temperature(b"1" + b"0" * 30), "/options/temperature", "number between"),
        (with_temperature(b"9" * 400), "/options/temperature", "number between"),
        (
            JOB[:-1] + b', "deadline_ms": 9223372036854775808}',
            "/deadline_ms",
            "between -2^63 and 2^63",
        ),
        (
            JOB[:-1] + b', "metadata": {"a/b": [0, {"c~d": -1e400}]}}',
            "/metadata/a~1b/1/c~0d",
            "number between",
        ),
        (with_text(rb'"a\ud800b"'), "/input/text", "character 1 is a lone surrogate"),
        (with_text(rb'"\udfff"'), "/input/text", "valid Unicode"),
        (JOB[:-1] + rb', "metadata": {"\ud83d": 1}}', "/metadata", "valid Unicode"),
        (rb'{"\udc00": 1}', "", "valid Unicode"),
        (
            JOB[:-1] + b', "metadata": {"deep": ' + b"[" * 50 + b"]" * 50 + b"}}",
            "/metadata/deep" + "/0" * 14,
            "at most 16 levels",
        ),
        (with_text(b'{"a":' * 500 + b"1" + b"}" * 500), "/input/text" + "/a" * 14, "16 levels"),
    ],
)
def test_values_that_json_parsers_let_through_are_refused_by_their_place(
    client: FlaskClient, body: bytes, pointer: str, right: str
) -> None:
    response = client.post("/v1/jobs", data=body, content_type="application/json")
    problem = problem_in(response, 400, "invalid_request")
    assert right in details(problem)[pointer]


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "nonsense", ""],
)
def test_another_content_type_is_refused(client: FlaskClient, media_type: str) -> None:
    response = client.post("/v1/jobs", data=JOB, content_type=media_type)
    problem = problem_in(response, 415, "unsupported_media_type")
    assert "must be application/json" in problem["detail"]


@pytest.mark.parametrize("charset", ["latin-1", "utf-16", "us-ascii", "utf-32", "x" * 9_000])
def test_another_charset_is_refused(client: FlaskClient, charset: str) -> None:
    content_type = f'application/json; charset="{charset}"'
    response = client.post("/v1/jobs", data=JOB, content_type=content_type)
    problem = problem_in(response, 415, "unsupported_media_type")
    assert problem["detail"] == f"The charset must be utf-8, not {charset[:100]}."
    assert len(response.data) < 1_000


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "gzip, identity", "nonsense"])
def test_a_compressed_body_is_refused(client: FlaskClient, coding: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    response = client.post("/v1/jobs", data=JOB, headers=headers)
    problem = problem_in(response, 415, "unsupported_media_type")
    assert f"without Content-Encoding, not as {coding}." in problem["detail"]


def test_a_body_shorter_than_announced_is_refused(client: FlaskClient) -> None:
    response = client.post(
        "/v1/jobs",
        input_stream=io.BytesIO(JOB),
        content_type="application/json",
        environ_overrides={
            "CONTENT_LENGTH": "60",
            "wsgi.input_terminated": True,
        },  # as granian does
    )
    problem = problem_in(response, 400, "malformed_body")
    assert problem["detail"] == "The body ended after 48 of the 60 bytes announced."


def test_no_content_type_is_refused(client: FlaskClient) -> None:
    problem = problem_in(client.post("/v1/jobs", data=JOB), 415, "unsupported_media_type")
    assert "none was given" in problem["detail"]


def test_a_body_of_20_mb_is_refused_by_the_limit(client: FlaskClient) -> None:
    response = client.post("/v1/jobs", data=TOO_BIG, content_type="application/json")
    problem = problem_in(response, 413, "body_too_large")
    assert "at most 1000000 bytes" in problem["detail"]


class TestWhatIsFine:
    """Valid jobs that differ only slightly from the ones above."""

    @pytest.fixture(autouse=True)
    def _nothing_is_accepted(self) -> None: ...

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(with_text(rb'"\ud83d\ude00"'), id="surrogate-pair"),
            pytest.param(with_text('"é 漢 😀"'.encode()), id="raw-utf-8"),
            pytest.param(b" \n" + JOB + b"\n", id="white-space-around"),
            pytest.param(JOB[:-1] + b', "metadata": {"n": 9223372036854775807}}', id="int64"),
            pytest.param(
                JOB[:-1] + b', "metadata": {"deep": ' + b"[" * 13 + b"]" * 13 + b"}}",
                id="16-levels",
            ),
        ],
    )
    def test_it_is_accepted(self, client: FlaskClient, body: bytes) -> None:
        content_type = "application/json; charset=utf-8"
        job_in(client.post("/v1/jobs", data=body, content_type=content_type), 202)

    @pytest.mark.parametrize(
        "content_type", ["Application/JSON", 'application/json;charset="UTF-8"', JSON + "; v=1"]
    )
    def test_any_spelling_of_the_media_type_is_accepted(
        self, client: FlaskClient, content_type: str
    ) -> None:
        headers = {"Content-Type": content_type, "Content-Encoding": "identity"}
        job_in(client.post("/v1/jobs", data=JOB, headers=headers), 202)
