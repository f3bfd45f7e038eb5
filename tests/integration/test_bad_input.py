"""Bad input through the real server: refused as a problem document, and nobody is disturbed."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.stack import Stack

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
