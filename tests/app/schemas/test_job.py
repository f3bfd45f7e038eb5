"""Every kind of invalid input is refused by name, with what would be right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from tasks.store.client import Store
from tests.app.answers import NULL_JOB, details, job_in, problem_in, stored

MISSING = object()
TEXT = {"text": "hello"}


def job(**members: Any) -> dict[str, Any]:
    """A valid job with some of its members replaced, or left out."""
    return {key: value for key, value in {**NULL_JOB, **members}.items() if value is not MISSING}


def inputs(*entries: Any) -> dict[str, Any]:
    return job(input=MISSING, inputs=list(entries))


BAD = [
    # the text
    pytest.param(job(input={"text": ""}), "/input/text", "1 to 5,000", id="empty-text"),
    pytest.param(job(input={"text": " \n\t "}), "/input/text", "1 to 5,000", id="white-space"),
    pytest.param(
        job(input={"text": "\x00\x01\x07\x1b\x7f\x9f\u200b"}),
        "/input/text",
        "1 to 5,000 characters; none are left",
        id="only-control-characters",
    ),
    pytest.param(
        job(input={"text": "x" * 5_001}), "/input/text", "this has 5,001", id="5,001-characters"
    ),
    pytest.param(job(input={"text": 7}), "/input/text", "string of 1 to", id="text-number"),
    pytest.param(job(input={"text": ["a"]}), "/input/text", "string of 1 to", id="text-list"),
    pytest.param(job(input={"text": None}), "/input/text", "string of 1 to", id="text-null"),
    pytest.param(job(input={"text": True}), "/input/text", "string of 1 to", id="text-true"),
    pytest.param(job(input={}), "/input/text", "is required", id="text-missing"),
    # its author
    pytest.param(
        job(input={**TEXT, "user_id": "a b"}), "/input/user_id", "letters, digits", id="user-space"
    ),
    pytest.param(
        job(input={**TEXT, "user_id": "é"}), "/input/user_id", "letters, digits", id="user-accent"
    ),
    pytest.param(
        job(input={**TEXT, "user_id": "a\n"}), "/input/user_id", "letters", id="user-newline"
    ),
    pytest.param(job(input={**TEXT, "user_id": ""}), "/input/user_id", "letters", id="user-empty"),
    pytest.param(
        job(input={**TEXT, "user_id": 7}), "/input/user_id", "string of", id="user-number"
    ),
    pytest.param(
        job(input={**TEXT, "user_id": "u" * 129}), "/input/user_id", "1 to 128", id="user-long"
    ),
    # input and inputs
    pytest.param(job(input="hello"), "/input", "must be an object", id="input-string"),
    pytest.param(job(input=["hello"]), "/input", "must be an object", id="input-list"),
    pytest.param(job(input=None), "/input", "must be an object", id="input-null"),
    pytest.param(
        job(input={**TEXT, "texd": 1}), "/input/texd", "text and user_id", id="input-unknown"
    ),
    pytest.param(job(input=MISSING), "/input", "'input' or 'inputs'", id="no-input"),
    pytest.param(job(inputs=[TEXT]), "/input", "'input' or 'inputs'", id="both-inputs"),
    pytest.param(inputs(), "/inputs", "between 1 and 20", id="no-inputs"),
    pytest.param(inputs(*[TEXT] * 21), "/inputs", "not 21", id="21-inputs"),
    pytest.param(job(input=MISSING, inputs="a"), "/inputs", "list", id="inputs-string"),
    pytest.param(job(input=MISSING, inputs=TEXT), "/inputs", "list", id="inputs-object"),
    pytest.param(inputs(TEXT, {"text": ""}), "/inputs/1/text", "1 to 5,000", id="second-empty"),
    pytest.param(inputs(TEXT, "a"), "/inputs/1", "must be an object", id="second-string"),
    pytest.param(inputs(TEXT, None), "/inputs/1", "must be an object", id="second-null"),
    # the envelope
    pytest.param({}, "/pipeline", "", id="nothing"),
    pytest.param(job(pipeline=MISSING), "/pipeline", "", id="no-pipeline"),
    pytest.param(job(pipeline="nil"), "/pipeline", "one of: echo, null", id="unknown-pipeline"),
    pytest.param(job(pipeline=7), "/pipeline", "string", id="pipeline-number"),
    pytest.param(job(pipeline=None), "/pipeline", "", id="pipeline-null"),
    pytest.param(job(pipeline=["null"]), "/pipeline", "string", id="pipeline-list"),
    pytest.param(job(prioritty="high"), "/prioritty", "", id="unknown-field"),
    pytest.param(job(**{"a/b~c": 1}), "/a~1b~0c", "", id="unknown-field-escaped"),
    pytest.param(job(priority="urgent"), "/priority", "high, normal, low", id="priority"),
    pytest.param(job(priority=1), "/priority", "string", id="priority-number"),
    pytest.param(job(priority=None), "/priority", "", id="priority-null"),
    pytest.param(job(deadline_ms=0), "/deadline_ms", "between 1 and 86400000", id="deadline-0"),
    pytest.param(job(deadline_ms=-5), "/deadline_ms", "between 1 and", id="deadline-negative"),
    pytest.param(job(deadline_ms=86_400_001), "/deadline_ms", "86400000", id="deadline-long"),
    pytest.param(job(deadline_ms="7"), "/deadline_ms", "integer", id="deadline-string"),
    pytest.param(job(deadline_ms=7.5), "/deadline_ms", "integer", id="deadline-fraction"),
    pytest.param(job(deadline_ms=True), "/deadline_ms", "integer", id="deadline-true"),
    pytest.param(job(metadata="a"), "/metadata", "", id="metadata-string"),
    pytest.param(job(metadata=["a"]), "/metadata", "", id="metadata-list"),
    pytest.param(
        job(metadata={"a": "x" * 300}), "/metadata", "at most 256 bytes", id="metadata-long"
    ),
    pytest.param(
        job(metadata={"a": {"b": [1, "c\x00d"]}}),
        "/metadata/a/b/1",
        "must not hold u+0000",
        id="metadata-nul",
    ),
    pytest.param(
        job(metadata={"a": {"b\n": 1}}), "/metadata/a/b\n", "control", id="metadata-key-newline"
    ),
    pytest.param(job(metadata={"\x9f": 1}), "/metadata/\x9f", "control", id="metadata-key-c1"),
    pytest.param(
        job(metadata={"a": [{"k" * 65: 1}]}),
        "/metadata/a/0/" + "k" * 65,
        "1 to 64 characters",
        id="metadata-key-long",
    ),
    # the options
    pytest.param(job(options="a"), "/options", "", id="options-string"),
    pytest.param(job(options=[]), "/options", "", id="options-list"),
    pytest.param(job(options=None), "/options", "", id="options-null"),
    pytest.param(job(options={"top_p": 1}), "/options/top_p", "", id="unknown-option"),
    pytest.param(
        job(options={"temperature": 0}), "/options/temperature", "0.05", id="temperature-0"
    ),
    pytest.param(
        job(options={"temperature": 21}), "/options/temperature", "20", id="temperature-21"
    ),
    pytest.param(
        job(options={"temperature": "1"}), "/options/temperature", "number", id="temperature-string"
    ),
    pytest.param(
        job(options={"temperature": True}), "/options/temperature", "number", id="temperature-true"
    ),
    pytest.param(job(options={"max_tokens": 0}), "/options/max_tokens", "1", id="tokens-0"),
    pytest.param(job(options={"max_tokens": 5_000}), "/options/max_tokens", "4096", id="tokens"),
    pytest.param(
        job(options={"max_tokens": 1.5}), "/options/max_tokens", "integer", id="tokens-fraction"
    ),
    pytest.param(job(options={"language": "English"}), "/options/language", "'en'", id="language"),
    pytest.param(job(options={"language": "EN"}), "/options/language", "'en'", id="language-upper"),
    pytest.param(job(options={"language": "en\n"}), "/options/language", "'en'", id="language-nl"),
    pytest.param(job(options={"language": 7}), "/options/language", "string", id="language-number"),
    pytest.param(job(options={"min_tier": "gpt"}), "/options/min_tier", "one of: null", id="tier"),
    pytest.param(job(options={"mode": "fast"}), "/options/mode", "quality, balanced", id="mode"),
    pytest.param(job(options={"min_tier": 7}), "/options/min_tier", "string", id="tier-number"),
]


@pytest.mark.parametrize(("body", "pointer", "right"), BAD)
def test_invalid_input_is_refused_by_name_with_what_would_be_right(
    client: FlaskClient, store: Store, body: dict[str, Any], pointer: str, right: str
) -> None:
    problem = problem_in(client.post("/v1/jobs", json=body), 400, "invalid_request")
    said = details(problem)
    assert pointer in said, said
    assert said[pointer]
    assert right.lower() in said[pointer].lower(), said
    assert stored(store) == []


@pytest.mark.parametrize(
    ("body", "pointer", "right"),
    [
        (job(prioritty="high"), "/prioritty", "priority"),
        (job(options={"top_p": 1}), "/options/top_p", "temperature"),
        (job(pipeline=MISSING), "/pipeline", "echo, null"),
        (job(metadata={"": 1}), "/metadata/", "1 to 64 characters"),
    ],
)
def test_the_detail_names_what_would_be_allowed(
    client: FlaskClient, body: dict[str, Any], pointer: str, right: str
) -> None:
    said = details(problem_in(client.post("/v1/jobs", json=body), 400, "invalid_request"))
    assert right in said[pointer]


def test_everything_that_is_wrong_is_said_at_once(client: FlaskClient) -> None:
    body = {
        "pipeline": "null",
        "input": {"text": "", "user_id": "a b"},
        "options": {"temperature": 99, "min_tier": "gpt", "top_p": 1},
        "priority": "urgent",
        "deadline_ms": 0,
        "metadata": {"long": "x" * 300},
        "extra": 1,
    }
    said = details(problem_in(client.post("/v1/jobs", json=body), 400, "invalid_request"))
    assert set(said) == {
        *("/input/text", "/input/user_id", "/priority", "/deadline_ms", "/metadata", "/extra"),
        *("/options/temperature", "/options/min_tier", "/options/top_p"),
    }


def test_each_of_many_inputs_is_named_by_its_own_place(client: FlaskClient) -> None:
    body = inputs(None, {"text": ""}, TEXT, 7, {"txt": "a"})
    said = details(problem_in(client.post("/v1/jobs", json=body), 400, "invalid_request"))
    places = {"/inputs/0", "/inputs/1/text", "/inputs/3", "/inputs/4/txt", "/inputs/4/text"}
    assert set(said) == places


def test_metadata_comes_back_exactly_as_it_was_sent(client: FlaskClient) -> None:
    sent = {"caf\u00e9 cafe\u0301": ["\n\u200b\ufdd0 two  spaces ", {"a": {}}, 1.5, None, True]}
    assert job_in(client.post("/v1/jobs", json=job(metadata=sent)), 202)["metadata"] == sent


def test_of_many_errors_the_first_are_named_and_the_rest_counted(client: FlaskClient) -> None:
    body = inputs(*[{"text": "", **{f"extra{n}": n for n in range(9)}}] * 20)
    response = client.post("/v1/jobs", json=body)
    problem = problem_in(response, 400, "invalid_request")
    assert len(problem["errors"]) == 101
    assert problem["errors"][0]["pointer"] == "/inputs/0/text"
    assert problem["errors"][-1] == {"pointer": "", "detail": "100 more errors are not listed."}
    assert len(response.data) < 20_000


def test_an_answer_to_bad_input_is_short(client: FlaskClient) -> None:
    response = client.post("/v1/jobs", json=job(**{"x" * 500_000: 1}))
    problem_in(response, 400, "invalid_request")
    assert len(response.data) < 10_000


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(job(input={"text": "x" * 5_000}), id="5,000-characters"),
        pytest.param(job(input={"text": "x" * 5_000 + "\x00" * 99}), id="5,000-once-cleaned"),
        pytest.param(job(input={"text": "a", "user_id": "A-z_09"}), id="user_id"),
        pytest.param(inputs(*[TEXT] * 20), id="20-inputs"),
        pytest.param(
            job(options={"temperature": 0.05, "max_tokens": 4_096, "language": "deu"}),
            id="options-at-their-bounds",
        ),
        pytest.param(job(options={"min_tier": "null"}), id="min_tier"),
        pytest.param(job(options={"max_tokens": 64.0}, deadline_ms=9e4), id="integers-in-disguise"),
        pytest.param(job(options={"mode": "balanced"}), id="mode"),
        pytest.param(job(options={}, metadata={}), id="empty-objects"),
        pytest.param(job(priority="high", deadline_ms=86_400_000), id="urgent-and-patient"),
    ],
)
def test_what_is_just_within_the_limits_is_accepted_and_runs(
    client: FlaskClient, work: Callable[[], int], body: dict[str, Any]
) -> None:
    accepted = job_in(client.post("/v1/jobs", json=body), 202)
    work()
    ended = job_in(client.get(f"/v1/jobs/{accepted['id']}"), 200)
    assert ended["status"] == "succeeded", ended
