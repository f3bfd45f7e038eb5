"""Bad input through the real server: refused as a problem document, and nobody is disturbed."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing, suppress

import httpx
import pytest

from tests.stack import Stack

pytestmark = pytest.mark.core

JOB = {"pipeline": "moderation", "input": {"text": "still served (bad input)"}}
MEGABYTE = b"x" * 2**20


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    """A client; after the test the same processes still serve."""
    before = {name: {child.pid for child in stack.children(name)} for name in ("web", "gpu", "cpu")}
    with stack.client() as client:
        yield client
        response = client.post("/v1/jobs", json=JOB, headers={"Prefer": "wait=30"})
    assert (response.status_code, response.json()["status"]) == (200, "succeeded")
    assert before == {name: {child.pid for child in stack.children(name)} for name in before}


def refused(response: httpx.Response, status: int, code: str) -> dict[str, str]:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, str] = response.json()
    assert problem["code"] == code
    return problem


def test_a_body_of_20_mb_is_refused(client: httpx.Client) -> None:
    body = b'{"pipeline": "moderation", "input": {"text": "' + MEGABYTE * 20 + b'"}}'
    headers = {"Content-Type": "application/json"}
    problem = refused(client.post("/v1/jobs", content=body, headers=headers), 413, "body_too_large")
    assert "8388608 bytes" in problem["detail"]


def test_a_body_of_20_mb_without_its_length_is_refused(client: httpx.Client) -> None:
    chunks = iter([b'{"pipeline": "moderation", "input": {"text": "', *[MEGABYTE] * 20, b'"}}'])
    headers = {"Content-Type": "application/json"}
    refused(client.post("/v1/jobs", content=chunks, headers=headers), 413, "body_too_large")


def test_a_body_without_its_length_is_read(client: httpx.Client) -> None:
    chunks = iter([json.dumps({**JOB, "metadata": {"sent": "in chunks"}}).encode()])
    headers = {"Content-Type": "application/json"}
    response = client.post("/v1/jobs", content=chunks, headers=headers)
    assert response.status_code in {200, 202}, response.text


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 8_000_000, id="8-MB-of-brackets"),
        pytest.param(b"[" + b"0," * 3_900_000 + b"0]", id="8-MB-of-numbers"),
        pytest.param(
            b"{" + b",".join(b'"k%d":0' % n for n in range(700_000)) + b"}", id="700,000-keys"
        ),
    ],
)
def test_a_body_of_8_mb_that_would_fill_the_memory_is_refused(
    client: httpx.Client, body: bytes
) -> None:
    headers = {"Content-Type": "application/json"}
    problem = refused(client.post("/v1/jobs", content=body, headers=headers), 400, "malformed_body")
    assert "at most" in problem["detail"]


def test_a_refusal_without_reading_the_body_does_not_cost_the_next_request(
    stack: Stack, client: httpx.Client
) -> None:
    """A server that has not read a body closes the connection; its client must know beforehand."""
    connection = http.client.HTTPConnection("127.0.0.1", stack.settings.port, timeout=30)
    body = json.dumps(JOB).encode()
    seen = []
    with closing(connection):
        for key in [stack.settings.api_key, "wrong"] * 50:
            headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
            with suppress(BrokenPipeError):  # refused before all of it was sent
                connection.request("POST", "/v1/jobs", body, headers)
            response = connection.getresponse()
            response.read()
            seen.append(response.status)
            assert response.will_close == (response.status == 401)
    assert set(seen[::2]) <= {200, 202}
    assert set(seen[1::2]) == {401}


def test_a_body_that_breaks_off_is_refused(stack: Stack, client: httpx.Client) -> None:
    head = (
        "POST /v1/jobs HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1000\r\n"
        f"Content-Type: application/json\r\nAuthorization: Bearer {stack.settings.api_key}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", stack.settings.port), timeout=30) as connection:
        connection.sendall(head.encode() + json.dumps(JOB).encode())
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as stream:
            answer = stream.read().decode()
    assert answer.startswith("HTTP/1.1 400 ")
    assert "of the 1000 bytes announced" in answer


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Length": "7"},
        {"Content-Length": "-1"},
        {"Content-Length": "many"},
        {"Idempotency-Key": "another"},
        {"Authorization": "Bearer another"},
    ],
)
def test_a_header_that_contradicts_itself_is_refused(
    stack: Stack, client: httpx.Client, headers: dict[str, str]
) -> None:
    body = json.dumps(JOB).encode()
    twice = [
        ("Host", "a"),
        ("Connection", "close"),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("Idempotency-Key", "one"),
        ("Authorization", f"Bearer {stack.settings.api_key}"),
        *headers.items(),
    ]
    head = "".join(f"{name}: {value}\r\n" for name, value in twice)
    with socket.create_connection(("127.0.0.1", stack.settings.port), timeout=30) as connection:
        connection.sendall(b"POST /v1/jobs HTTP/1.1\r\n" + head.encode() + b"\r\n" + body)
        with connection.makefile("rb") as stream:
            status = int(stream.readline().split()[1])
    assert status in {400, 401}


@pytest.mark.parametrize("depth", [100, 200_000])
def test_deep_nesting_is_refused(client: httpx.Client, depth: int) -> None:
    body = b'{"pipeline": "moderation", "input": ' + b"[" * depth + b"]" * depth + b"}"
    response = client.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert "deep" in response.json()["detail"]


@pytest.mark.parametrize(
    "request_line",
    [b"GET /v1/jobs/%ff%fe HTTP/1.1", b"GET /v1/jobs/%00 HTTP/1.1", b"GET //v1//jobs/x HTTP/1.1"],
)
def test_odd_paths_are_no_failure_of_ours(
    stack: Stack, client: httpx.Client, request_line: bytes
) -> None:
    key = stack.settings.api_key.encode()
    with socket.create_connection(("127.0.0.1", stack.settings.port), timeout=30) as connection:
        connection.sendall(
            request_line
            + b"\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer "
            + key
            + b"\r\n\r\n"
        )
        with connection.makefile("rb") as stream:
            status = int(stream.readline().split()[1])
    assert 300 <= status < 500
