"""10,000 requests that nobody should send: none is a failure of ours, and nothing restarts."""

from __future__ import annotations

import http.client
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Self

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.integration.odd_requests import PARTS, VALID, Odd
from tests.stack import Stack

CASES = 10_000


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of its own without models, so that what is accepted disturbs no other test."""
    stack = Stack(
        tmp_path_factory.mktemp("fuzzed"),
        "ml.null:pipeline",
        "tests.pipelines:echo",
        max_wrong_keys=10**6,
    )
    try:
        stack.start_all()
        yield stack
    finally:
        stack.stop_all()


class Sender:
    """One kept-alive connection, as a client of the real server."""

    def __init__(self, stack: Stack) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", stack.settings.port, timeout=60)
        self._headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {stack.settings.api_key}",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def send(self, odd: Odd) -> tuple[int, str, Any]:
        """Status, media type and document of the answer."""
        headers = {**self._headers, **odd.headers}
        with suppress(BrokenPipeError):  # answered and closed before the body was asked for
            self._connection.request("POST", "/v1/jobs", odd.body, headers)
        response = self._connection.getresponse()
        document = json.loads(response.read())
        assert document.get("request_id", "") in ("", response.headers["X-Request-ID"])
        return response.status, response.headers["Content-Type"], document


def processes(stack: Stack) -> dict[str, set[int]]:
    return {
        name: {stack.processes[name].pid, *(child.pid for child in stack.children(name))}
        for name in ("web", "gpu", "cpu")
    }


@pytest.mark.timeout(600)
def test_10000_odd_requests_are_answered_and_nothing_restarts(
    fuzzed: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    before = processes(fuzzed)
    answers = {name: fuzz(fuzzed, name) for name in PARTS}
    with capsys.disabled():
        for name, statuses in answers.items():
            print(f"\n{statuses.total():6} {name:12} {dict(sorted(statuses.items()))}", end="")  # noqa: T201
    total = sum(answers.values(), Counter())
    assert total.total() >= CASES
    assert max(total) < 500
    assert {200, 202, 400, 401, 415} >= set(total) - {422}
    assert total[202] > 500
    assert before == processes(fuzzed)
    assert fuzzed.ready()
    assert "request failed" not in fuzzed.log("web")
    for name in ("web", "gpu", "cpu"):
        assert "Traceback" not in fuzzed.log(name)
    with fuzzed.client() as client:
        job = client.post("/v1/jobs", json=VALID, headers={"Prefer": "wait=60"}).json()
    assert job["status"] == "succeeded"


def fuzz(stack: Stack, part: str) -> Counter[int]:
    """Statuses of the answers to one part; each answer is checked as it comes."""
    count, strategy = PARTS[part]
    statuses: Counter[int] = Counter()

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def ask(odd: Odd) -> None:
        status, media_type, document = sender.send(odd)
        statuses[status] += 1
        if status < 300:
            assert media_type == "application/json"
            assert document["metadata"] == json.loads(odd.body).get("metadata", {})
        else:
            check_problem(odd, status, media_type, document)

    with Sender(stack) as sender:
        ask()
    return statuses


def check_problem(odd: Odd, status: int, media_type: str, problem: dict[str, Any]) -> None:
    """A problem document that tells the client what to do (RFC 9457)."""
    assert status < 500, problem
    assert media_type == "application/problem+json"
    assert re.fullmatch(r"[a-z_]+", problem["code"])
    assert problem["status"] == status
    assert problem["detail"]
    assert len(json.dumps(problem)) < 100_000
    errors = problem.get("errors", [])
    assert bool(errors) == (problem["code"] == "invalid_request"), problem
    for error in errors:
        assert error["detail"]
        (place,) = set(error) - {"detail"}
        assert place in {"pointer", "header"}
        assert place == "header" or leads_into(json.loads(odd.body), error["pointer"]), error


def leads_into(document: Any, pointer: str) -> bool:
    """Whether each step but the last, which may name what is missing, is there."""
    *steps, _ = pointer.split("/")
    for step in steps[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(document, list):
            document = document[int(key)]
        elif isinstance(document, dict) and key in document:
            document = document[key]
        else:
            return False
    return not pointer or isinstance(document, dict | list)
